package cli

import (
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"edgerouter/admin"
)

func explainCommand() *cobra.Command {
	var (
		method  string
		headers []string
		apps    string
		asJSON  bool
		from    node
	)
	cmd := &cobra.Command{
		Use:   "explain URL",
		Short: "Tell which application takes a request, and why",
		Long: `Tells which frontend takes a request and why, which ones lost and why, the backend and the
peer, and what would be done to the request. Nothing is sent to a backend.

A running node is asked (--server), or the files of applications are read (--apps).`,
		Example: `  edgerouter explain http://hello.localhost:8080/
  edgerouter explain https://example.com/api --method POST --header 'X-Canary: 1'
  edgerouter explain example.com/files/ --apps applications.json`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			q, err := admin.ParseQuestion(args[0], method, headers)
			if err != nil {
				return usageError{err}
			}
			if apps != "" && from.server != "" {
				return usagef("--apps and --server: only one of the two can be asked")
			}
			var answer admin.Explanation
			if apps != "" {
				found, err := loadApplications(cmd.Context(), apps)
				if err != nil {
					return err
				}
				for _, p := range found.Problems {
					fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", p.Error())
				}
				answer = admin.Explain(offlineSnapshot(found.Apps), q)
			} else {
				ask := url.Values{"url": {q.URL.String()}, "method": {q.Method}, "header": headers}
				if err := from.get(cmd.Context(), "api/v1/explain", ask, &answer); err != nil {
					return err
				}
			}
			if asJSON {
				return printJSON(cmd, answer)
			}
			return tellExplanation(cmd.OutOrStdout(), answer)
		},
	}
	cmd.Flags().StringVar(&method, "method", "GET", "`method` of the request")
	cmd.Flags().StringArrayVar(&headers, "header", nil, "a `NAME:VALUE` of the request; may be given several times")
	cmd.Flags().StringVar(&apps, "apps", "", "read applications from this file or folder instead of asking a node")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, the same as /api/v1/explain")
	from.addFlags(cmd)
	return cmd
}

// tellExplanation writes an explanation for people.
func tellExplanation(w io.Writer, e admin.Explanation) error {
	var b strings.Builder
	line := func(label, text string) {
		if text != "" {
			fmt.Fprintf(&b, "%-12s%s\n", label, text)
		}
	}
	name := func(c *admin.Candidate) string {
		text := fmt.Sprintf("%s frontends[%d] %s", c.App, c.Frontend, c.Claim)
		if c.Source != "" {
			text += " (source " + c.Source + ")"
		}
		return text
	}
	line("request", e.Method+" "+e.URL)
	line("matched as", e.Host+" "+e.Path)
	if e.Winner != nil {
		line("taken by", name(e.Winner))
		line("because", e.Winner.Reason)
	} else {
		line("taken by", "nobody")
	}
	for i, step := range e.Steps {
		label := ""
		if i == 0 {
			label = "then"
		}
		line(label, step)
	}
	line("backend", e.Backend)
	line("peer", e.Peer)
	line("answer", e.Answer)
	for i := range e.Losers {
		label := ""
		if i == 0 {
			label = "lost"
		}
		line(label, name(&e.Losers[i])+": "+e.Losers[i].Reason)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
