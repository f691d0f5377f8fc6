package bench

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"edgerouter/bench/report"
)

// reportCommand writes a report again, from one comparison or from several that
// were run apart from each other.
func reportCommand() *cobra.Command {
	var out, base string
	cmd := &cobra.Command{
		Use:   "report RESULTS.json...",
		Short: "Writes tables and charts again from the raw rounds of earlier comparisons",
		Long: "Several files are put together: rounds of the same scenario and proxy are counted on, so that long\n" +
			"comparisons can be made in parts. The description of machine and programs is the first file's.",
		Args: cobra.MinimumNArgs(1),
	}
	cmd.Flags().StringVar(&out, "out", "", "folder to write to (default: the first file's)")
	cmd.Flags().StringVar(&base, "base", "", "the proxy whose ratio to the others is shown (default: as it was)")
	cmd.RunE = func(cmd *cobra.Command, files []string) error {
		cmd.SilenceUsage = true
		var runs []*report.Run
		for _, f := range files {
			r, err := Read(f)
			if err != nil {
				return err
			}
			runs = append(runs, r)
		}
		run := report.Merge(runs)
		if base != "" {
			run.Base = base
		}
		if out == "" {
			out = filepath.Dir(files[0])
		}
		if err := Write(run, out); err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), filepath.Join(out, "RESULTS.md"))
		return nil
	}
	return cmd
}
