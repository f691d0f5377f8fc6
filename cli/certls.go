package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"edgerouter/bus"
	"edgerouter/certs"
	"edgerouter/certs/certbus"
)

func certListCommand() *cobra.Command {
	var (
		l              logFlags
		asJSON, stream bool
	)
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the certificates of a running node, from which source and until when",
		Long: `Lists the certificates that a running node has, from which source, until when and how many days that is:
on a terminal in red when it has expired, in yellow from 14 days. What a source found wrong is told on
standard error.

With --stream, the certificates in CertBus's stream are listed with their Ids and the fingerprint of the
key that each is encrypted for.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if stream {
				return l.listStream(cmd, asJSON)
			}
			var answer struct {
				Certs    []certs.Status             `json:"certs"`
				Problems map[string][]certs.Problem `json:"problems"`
			}
			if err := l.get(cmd.Context(), "api/v1/certs", nil, &answer); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd, answer.Certs)
			}
			for _, source := range certs.Order() {
				for _, p := range answer.Problems[source] {
					fmt.Fprintf(cmd.ErrOrStderr(), "edgerouter: %s: %s\n", source, oneLine(p.Error()))
				}
			}
			rows := make([]certRow, len(answer.Certs))
			for i, c := range answer.Certs {
				rows[i] = certRow{
					[]string{strings.Join(append(c.Names, c.IPs...), " "), c.Source, until(c.NotAfter), left(c.NotAfter), c.KeyType, c.Origin},
					c.NotAfter,
				}
			}
			return certTable(cmd, []string{"NAMES", "SOURCE", "UNTIL", "DAYS", "KEY", "ORIGIN"}, rows)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&stream, "stream", false, "list CertBus's stream instead")
	l.addFlags(cmd)
	return cmd
}

func (l *logFlags) listStream(cmd *cobra.Command, asJSON bool) error {
	return l.withLog(cmd, func(ctx context.Context, log bus.Log) error {
		list, err := certbusWriter(ctx, l, log)
		if err != nil {
			return err
		}
		all, err := list.List(ctx)
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(cmd, all)
		}
		rows := make([]certRow, len(all))
		for i, c := range all {
			rows[i] = certRow{[]string{c.ID, strings.Join(c.Domains, " "), until(c.Expires), left(c.Expires), cmp.Or(c.Serial, "unreadable"), c.Fingerprint}, c.Expires}
		}
		return certTable(cmd, []string{"ID", "NAMES", "UNTIL", "DAYS", "SERIAL", "ENCRYPTED FOR"}, rows)
	})
}

// certbusWriter is a writer on a bus that has come up.
func certbusWriter(ctx context.Context, l *logFlags, log bus.Log) (certbus.Writer, error) {
	w := certbus.Writer{Log: log, Stream: bus.StreamPath(l.tenant, "certbus"), Now: time.Now}
	_, err := lastOf(ctx, log, w.Stream)
	return w, err
}

// certRow is a line of a table of certificates.
type certRow struct {
	cells []string
	until time.Time
}

func until(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// left is how many whole days a certificate has left.
func left(end time.Time) string {
	if d := time.Until(end); d >= 0 {
		return fmt.Sprint(int(d.Hours() / 24))
	}
	return "expired"
}

// certTable prints rows, those that end soon in colour on a terminal. The colour
// is put on afterwards, because it would count as width.
func certTable(cmd *cobra.Command, head []string, rows []certRow) error {
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, strings.Join(head, "\t"))
	for _, r := range rows {
		fmt.Fprintln(table, strings.Join(r.cells, "\t"))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	lines := slices.Collect(strings.Lines(b.String()))
	if coloured(cmd.OutOrStdout()) {
		for i, r := range rows {
			if colour := urgency(time.Until(r.until)); colour != "" {
				lines[i+1] = colour + strings.TrimSuffix(lines[i+1], "\n") + "\x1b[0m\n"
			}
		}
	}
	_, err := io.WriteString(cmd.OutOrStdout(), strings.Join(lines, ""))
	return err
}

// urgency is the colour of what ends soon.
func urgency(left time.Duration) string {
	switch {
	case left < 0:
		return "\x1b[31m"
	case left < certs.WarnBefore:
		return "\x1b[33m"
	}
	return ""
}

// coloured says whether colours are wanted: on a terminal, unless NO_COLOR says no.
func coloured(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd()) && os.Getenv("NO_COLOR") == ""
}
