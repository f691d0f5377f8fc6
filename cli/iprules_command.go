package cli

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"edgerouter/auth"
	"edgerouter/discovery/stream"
)

func ipRulesCommand() *cobra.Command {
	return group("ip-rules", "IP rules of the event log, for all nodes without --ip-rules", ipRulesCat(), ipRulesPut(), ipRulesRm())
}

func ipRulesCat() *cobra.Command {
	var l logFlags
	cmd := &cobra.Command{
		Use: "cat", Short: "Print the rules", Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := l.open(cmd)
			if err != nil {
				return err
			}
			defer log.Close()
			s, _, err := l.current(cmd.Context(), log)
			if err != nil {
				return err
			}
			if s.IPRules() == "" {
				fmt.Fprintln(cmd.ErrOrStderr(), "the event log has no IP rules: everybody may enter, unless a node has --ip-rules")
				return nil
			}
			_, err = io.WriteString(cmd.OutOrStdout(), s.IPRules())
			return err
		},
	}
	l.addFlags(cmd)
	return cmd
}

func ipRulesPut() *cobra.Command {
	var l logFlags
	cmd := &cobra.Command{
		Use:   "put FILE|-",
		Short: "Put rules into service on every node",
		Long: `Checks the rules and appends them to the event log. They replace those before them. Prints the generation,
which edgerouter discovery wait --generation N waits for.`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := readFileOrInput(cmd, args[0])
			if err != nil {
				return err
			}
			if _, err := auth.ParseIPRules(args[0], text); err != nil {
				return err
			}
			line, err := stream.IPRulesUpdated(time.Now(), string(text))
			return l.appendRules(cmd, string(text), line, err)
		},
	}
	l.addFlags(cmd)
	return cmd
}

func ipRulesRm() *cobra.Command {
	var l logFlags
	cmd := &cobra.Command{
		Use: "rm", Short: "Take the rules away: everybody may enter", Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			line, err := stream.IPRulesDeleted(time.Now())
			return l.appendRules(cmd, "", line, err)
		},
	}
	l.addFlags(cmd)
	return cmd
}

// appendRules appends a line that makes rules the current ones, unless they are.
func (l *logFlags) appendRules(cmd *cobra.Command, rules, line string, err error) error {
	if err != nil {
		return err
	}
	log, err := l.open(cmd)
	if err != nil {
		return err
	}
	defer log.Close()
	at, err := l.apply(cmd.Context(), log, func(s *stream.State) ([]string, []string, error) {
		if s.IPRules() == rules {
			return nil, nil, nil
		}
		return []string{line}, nil, nil
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), at.Version)
	return err
}

func readFileOrInput(cmd *cobra.Command, path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(cmd.InOrStdin())
	}
	return os.ReadFile(path)
}
