package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"edgerouter/app"
	"edgerouter/discovery/destination"
	discoverys3 "edgerouter/discovery/s3"
	"edgerouter/s3site"
	"edgerouter/turbo/deploy"
)

// s3Discovery says which bucket applications are discovered in.
type s3Discovery struct{ bucket, region string }

var s3DiscoverySettings = []setting{
	{flag: "s3-discovery-bucket", env: []string{"S3_DISCOVERY_BUCKET"}},
	{flag: "s3-discovery-region", env: []string{"S3_DISCOVERY_BUCKET_REGION"}},
}

func (d *s3Discovery) addFlags(f *pflag.FlagSet) {
	f.StringVar(&d.bucket, "s3-discovery-bucket", "", "`bucket` whose objects below discovery/ are application definitions")
	f.StringVar(&d.region, "s3-discovery-region", "", "`region` of that bucket")
}

func (d *s3Discovery) check() error {
	switch {
	case d.bucket != "" && d.region == "":
		return usagef("--s3-discovery-bucket %q: --s3-discovery-region must say in which region it is", d.bucket)
	case d.bucket == "" && d.region != "":
		return usagef("--s3-discovery-region %q: --s3-discovery-bucket must say which bucket", d.region)
	}
	return nil
}

// source is nil when no bucket was named.
func (d *s3Discovery) source(ctx context.Context, log zerolog.Logger) (*discoverys3.Source, error) {
	if d.bucket == "" {
		return nil, nil
	}
	b, err := openBucket(ctx, d.region, d.bucket)
	if err != nil {
		return nil, fmt.Errorf("--s3-discovery-bucket: %w", err)
	}
	return discoverys3.New(b, 0, log), nil
}

func s3Command() *cobra.Command {
	return group("s3", "Make and deploy static sites in S3", s3MakeCommand(), s3DeployCommand())
}

func s3MakeCommand() *cobra.Command {
	var at definitions
	cmd := &cobra.Command{
		Use:   "mk ID HOST PATH BUCKET REGION",
		Short: "Make the definition of a static site in a bucket, with no version yet",
		Long: `Writes the definition of an application that serves a static site out of a bucket: into the event log, or
where --to says. Until the first edgerouter s3 deploy it answers 404.`,
		Example: `  edgerouter s3 mk blog blog.example.com / my-bucket eu-central-1
  edgerouter s3 mk blog blog.example.com / my-bucket eu-central-1 --to file:applications.json`,
		Args: arguments(cobra.ExactArgs(5)),
		RunE: func(cmd *cobra.Command, args []string) error {
			to, err := at.open(cmd)
			if err != nil {
				return err
			}
			a := app.Application{
				ID:        args[0],
				Frontends: []app.Frontend{{Kind: app.FrontendHostname, Hostname: args[1], PathPrefix: args[2]}},
				Backend: app.Backend{Kind: app.BackendS3StaticWebsite, S3StaticWebsite: &app.S3StaticWebsiteOpts{
					BucketName: args[3], RegionID: args[4],
				}},
			}
			if problems := a.Validate(); len(problems) > 0 {
				return usageError{problems[0]}
			}
			_, err = destination.Get(cmd.Context(), to, a.ID)
			switch {
			case err == nil:
				return fmt.Errorf("%s: %w; deploy to it, or remove it first", a.ID, destination.ErrExists)
			case !errors.Is(err, destination.ErrNotFound):
				return err
			}
			if err := to.Put(cmd.Context(), a); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.ErrOrStderr(), "%s is written to %s\n", a.ID, to)
			return err
		},
	}
	at.addFlags(cmd)
	return cmd
}

func s3DeployCommand() *cobra.Command {
	var (
		at    definitions
		sites siteStore
		force bool
		turbo bool
	)
	cmd := &cobra.Command{
		Use:   "deploy ID VERSION SITE.tar.gz",
		Short: "Deploy a version of a static site, and then serve it",
		Long: `Sends the files of a tar (plain, gzip or zstd; "-" is standard input) to the bucket of the application, then
a record that they are there, and only then writes the application with the new version: readers see the old
version or the new one. A deploy that breaks off changes nothing; done again, it sends what is missing.

With --turbocharger the files go into the Turbocharger store instead, and the application becomes one of kind
turbocharger.`,
		Example: `  edgerouter s3 deploy blog 2026-11-22 site.tar.gz --to file:applications.json`,
		Args:    arguments(cobra.ExactArgs(3)),
		RunE: func(cmd *cobra.Command, args []string) error {
			to, err := at.open(cmd)
			if err != nil {
				return err
			}
			a, err := destination.Get(cmd.Context(), to, args[0])
			if errors.Is(err, destination.ErrNotFound) {
				return fmt.Errorf("%w; edgerouter s3 mk makes it", err)
			}
			if err != nil {
				return err
			}
			in, err := openInput(cmd, args[2])
			if err != nil {
				return err
			}
			defer in.Close()
			if sites.data = at.data; !cmd.Flags().Changed("data") {
				sites.data = cmp.Or(os.Getenv("EDGEROUTER_DATA"), at.data)
			}
			if turbo {
				err = deployToStore(cmd, sites, &a, in)
			} else {
				err = deployToBucket(cmd, &a, args[1], in, force)
			}
			if err != nil {
				return fmt.Errorf("deploying %s: %w", args[0], err)
			}
			if err := to.Put(cmd.Context(), a); err != nil {
				return fmt.Errorf("the files are there, but the definition is not changed: %w", err)
			}
			_, err = fmt.Fprintf(cmd.ErrOrStderr(), "%s is changed in %s\n", a.ID, to)
			return err
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "overwrite a version that is deployed already; nodes that know it go on with what they have")
	cmd.Flags().BoolVar(&turbo, "turbocharger", false, "put the files into the Turbocharger store")
	at.addFlags(cmd)
	addStoreFlag(cmd.Flags(), &sites.url)
	return cmd
}

func openInput(cmd *cobra.Command, path string) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(cmd.InOrStdin()), nil
	}
	return os.Open(path)
}

func deployToBucket(cmd *cobra.Command, a *app.Application, version string, in io.Reader, force bool) error {
	opts := a.Backend.S3StaticWebsite
	if opts == nil {
		return fmt.Errorf("its backend is of kind %s, not %s", a.Backend.Kind, app.BackendS3StaticWebsite)
	}
	b, err := openBucket(cmd.Context(), opts.RegionID, opts.BucketName)
	if err != nil {
		return err
	}
	p := startProgress(cmd.ErrOrStderr(), "deploying")
	done, err := s3site.Deploy(cmd.Context(), b, a.ID, version, in, s3site.DeployOptions{Force: force, Progress: p.show})
	p.end(done)
	if err != nil {
		return err
	}
	changed := *opts
	changed.DeployedVersion = version
	a.Backend.S3StaticWebsite = &changed
	return nil
}

// keptManifests is how many earlier manifests a deploy leaves in the definition.
const keptManifests = 3

func deployToStore(cmd *cobra.Command, at siteStore, a *app.Application, in io.Reader) error {
	next := app.TurbochargerOpts{}
	switch {
	case a.Backend.Turbocharger != nil:
		next = *a.Backend.Turbocharger
	case a.Backend.S3StaticWebsite != nil:
		old := a.Backend.S3StaticWebsite
		if old.IndexDocument != "" && old.IndexDocument != "index.html" {
			return fmt.Errorf("its index_document is %s, which kind %s does not have", old.IndexDocument, app.BackendTurbocharger)
		}
		next.NotFoundPage, next.SPAFallback = old.NotFoundPage, old.SPAFallback
	default:
		return fmt.Errorf("its backend is of kind %s, which is not a static site", a.Backend.Kind)
	}
	s, err := at.open(cmd)
	if err != nil {
		return err
	}
	p := startProgress(cmd.ErrOrStderr(), "deploying")
	r, err := deploy.Tar(cmd.Context(), s, a.ID, in, deploy.Options{Progress: p.show})
	p.end(r.Progress)
	if err != nil {
		return err
	}
	id := r.Manifest.String()
	earlier := []string{}
	for _, m := range append([]string{next.Manifest}, next.PreviousManifests...) {
		if m != "" && m != id && !slices.Contains(earlier, m) && len(earlier) < keptManifests {
			earlier = append(earlier, m)
		}
	}
	next.Manifest, next.PreviousManifests = id, earlier
	a.Backend = app.Backend{Kind: app.BackendTurbocharger, Turbocharger: &next}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), id)
	return err
}
