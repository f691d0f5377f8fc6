package cli

import (
	"cmp"
	"fmt"
	"os"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"edgerouter/turbo/content"
	"edgerouter/turbo/deploy"
	"edgerouter/turbo/store"
)

func turbochargerCommand() *cobra.Command {
	return group("turbocharger", "Deploy static sites, and look after their store",
		tarDeployCommand(), downloadCommand(), pruneCommand())
}

// siteStore is the store that a command works on, as serve's flags say it.
type siteStore struct{ url, data string }

func (s *siteStore) addFlags(cmd *cobra.Command) {
	addStoreFlag(cmd.Flags(), &s.url)
	cmd.Flags().StringVar(&s.data, "data", cmp.Or(os.Getenv("EDGEROUTER_DATA"), "/var/lib/edgerouter"), "data `folder` of the node, whose store is used by default")
}

func (s *siteStore) open(cmd *cobra.Command) (store.Store, error) {
	return openStore(cmd.Context(), cmp.Or(s.url, os.Getenv("TURBOCHARGER_STORE")), s.data)
}

func tarDeployCommand() *cobra.Command {
	var (
		at           siteStore
		cacheControl map[string]string
	)
	cmd := &cobra.Command{
		Use:   "tar-deploy-to-store PROJECT < SITE.tar",
		Short: "Put a site into the store and print the id of its manifest",
		Long: `Reads a tar (plain, gzip or zstd) of a site from standard input, sends the files that the store does not
have, and prints the id of the manifest alone on standard output: what a turbocharger backend serves, or an
application advertises.

A deploy that breaks off changes nothing; done again, it sends what is missing.`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := cmd.InOrStdin()
			if f, ok := in.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
				return usagef("the tar is read from standard input: %s PROJECT < SITE.tar", cmd.CommandPath())
			}
			s, err := at.open(cmd)
			if err != nil {
				return err
			}
			p := startProgress(cmd.ErrOrStderr(), "deploying")
			r, err := deploy.Tar(cmd.Context(), s, args[0], in, deploy.Options{Progress: p.show, CacheControl: cacheControl})
			p.end(r.Progress)
			if err != nil {
				return fmt.Errorf("deploying to %s: %w", s, err)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), r.Manifest)
			return err
		},
	}
	cmd.Flags().StringToStringVar(&cacheControl, "cache-control", nil, "Cache-Control of files other than by rule, as `PATTERN=VALUE`; a pattern is a path, or begins or ends with *")
	at.addFlags(cmd)
	return cmd
}

func downloadCommand() *cobra.Command {
	var at siteStore
	cmd := &cobra.Command{
		Use:   "download-from-store MANIFEST [DIR]",
		Short: "Write the files of a manifest below a folder",
		Long: `Writes the files of a manifest below DIR, the working folder by default, and checks each against its hash.
Files that are there already are left alone; what the manifest does not have stays.`,
		Args: arguments(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := content.ParseID(args[0])
			if err != nil {
				return usagef("MANIFEST %q: %w", args[0], err)
			}
			dir := "."
			if len(args) > 1 {
				dir = args[1]
			}
			s, err := at.open(cmd)
			if err != nil {
				return err
			}
			p := startProgress(cmd.ErrOrStderr(), "downloading")
			done, err := deploy.Download(cmd.Context(), s, id, dir, p.show)
			p.end(done)
			return err
		},
	}
	at.addFlags(cmd)
	return cmd
}

func pruneCommand() *cobra.Command {
	var (
		at   siteStore
		o    deploy.PruneOptions
		also []string
	)
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Delete old manifests, and the files that no other has",
		Long: `Deletes all but the newest manifests of each project, and then the files that none of the others has.
Objects that are younger than --age stay, as a deploy that is under way may have sent them. A manifest that
is still served, or rolled back to, must be among those that stay: name it with --also.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Keep < 1 {
				return usagef("--keep %d: at least 1 manifest of each project must stay", o.Keep)
			}
			for _, text := range also {
				id, err := content.ParseID(text)
				if err != nil {
					return usagef("--also %q: %w", text, err)
				}
				o.Also = append(o.Also, id)
			}
			s, err := at.open(cmd)
			if err != nil {
				return err
			}
			p, err := deploy.Prune(cmd.Context(), s, o)
			if err != nil {
				return err
			}
			did := "deleted"
			if o.DryRun {
				did = "would delete"
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s %d manifests and %d files of %d bytes; %d manifests and %d files stay\n",
				did, p.Manifests, p.Files, p.Bytes, p.KeptManifests, p.KeptFiles)
			return err
		},
	}
	cmd.Flags().IntVar(&o.Keep, "keep", 10, "how `many` manifests of each project stay")
	cmd.Flags().StringSliceVar(&also, "also", nil, "`manifests` that stay however old they are")
	cmd.Flags().DurationVar(&o.Age, "age", 0, "what is younger stays (default 24h)")
	cmd.Flags().BoolVar(&o.DryRun, "dry-run", false, "only tell what would be deleted")
	at.addFlags(cmd)
	return cmd
}
