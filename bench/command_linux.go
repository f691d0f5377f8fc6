package bench

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"edgerouter/bench/proc"
)

// Command is `edgerouter bench`.
func Command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Load generator, and side-by-side runs against other proxies",
		Long:  "Load on the loopback interface only, bounded in count and time. See bench/README.md.",
		Args:  cobra.NoArgs,
	}
	var httputil, fast, sdk builtinProxy
	cmd.AddCommand(compareCommand(), loadCommand(), originCommand(), reportCommand(),
		httputil.command("proxy-httputil", "A minimal net/http/httputil proxy", serveHTTPUtil),
		fast.command("proxy-fasthttp", "A bare fasthttp proxy loop", serveFasthttp),
		sdk.command("proxy-lambda-sdk", "A minimal net/http and aws-sdk-go-v2 proxy to a Lambda function", serveLambdaSDK))
	return cmd
}

func compareCommand() *cobra.Command {
	o := Options{}
	cmd := &cobra.Command{
		Use:   "compare",
		Short: "Measures edgerouter and the proxies that are installed side by side",
		Args:  cobra.NoArgs,
	}
	f := cmd.Flags()
	f.StringSliceVar(&o.Scenarios, "scenario", []string{"all"}, "which scenarios, or all")
	f.StringSliceVar(&o.Proxies, "proxies", []string{"all"}, "which proxies: edgerouter, nginx, haproxy, caddy, fasthttp, httputil; all takes those that are installed; none leaves only --extra")
	f.StringArrayVar(&o.Extra, "extra", nil, "NAME=COMMAND of another proxy, with {http} {https} {admin} {origin1} {origin2} {dir} {cert} {key} {both} {certdir} {apps} filled in")
	f.StringVar(&o.Edgerouter, "edgerouter", "", "the binary to measure (default: this program)")
	f.StringVar(&o.Base, "base", "", "the proxy whose ratio to the others is shown (default: the first)")
	f.IntVar(&o.Rounds, "rounds", 7, "rounds of every scenario")
	f.IntVar(&o.Connections, "connections", 64, "connections of the closed loops")
	f.DurationVar(&o.Duration, "duration", 2*time.Second, "measured time of each proxy in each round")
	f.IntVar(&o.Slices, "slices", 5, "slices of that time, in which the proxies take turns")
	f.DurationVar(&o.Warmup, "warmup", 500*time.Millisecond, "load before the first slice that is not counted (before the others, at most 100ms)")
	f.Float64Var(&o.Rate, "rate", 5000, "requests a second of the scenarios with a constant rate")
	f.IntVar(&o.Apps, "apps", 10000, "applications of the scenarios with many")
	f.IntVar(&o.Idle, "idle", 10000, "idle connections")
	f.Int64Var(&o.StreamSize, "stream-size", 10e9, "bytes streamed in each direction")
	f.Float64Var(&o.MaxNoise, "max-noise", 10, "percent of a core that others may take before a slice is made again, at most twice (0: never again)")
	f.BoolVar(&o.ReloadOneFile, "reload-one-file", false, "in the reload scenarios, keep all applications in one file")
	f.DurationVar(&o.StartTimeout, "start-timeout", 10*time.Second, "how long a proxy may take to answer for the first time")
	f.StringVar(&o.Out, "out", "bench/out", "folder for RESULTS.md, results.json, charts, and logs of what failed")
	f.BoolVar(&o.Bare, "bare", false, "the other proxies set no forwarding fields: less work than edgerouter does")
	f.IntVar(&o.ProxyCPU, "proxy-cpu", -2, "core of the proxy (default: the last one; -1: not pinned)")
	f.IntVar(&o.LoadCPU, "load-cpu", -2, "core of load and origin (default: the first one)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cmd.SilenceUsage = true
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find this program's file: %w", err)
		}
		if o.Edgerouter == "" {
			o.Edgerouter = self
		}
		// What stands between the program's name and this command's is how its
		// sibling commands are called.
		words := strings.Fields(cmd.CommandPath())
		o.Self = append([]string{self}, words[1:len(words)-1]...)
		o.Command = strings.Join(append(words[1:], os.Args[min(len(os.Args), len(words)):]...), " ")
		o.Progress = cmd.ErrOrStderr()
		if err := o.cores(); err != nil {
			return err
		}
		ctx, stop := signalContext(cmd.Context())
		defer stop()
		run, err := Compare(ctx, o)
		if run != nil && len(run.Samples) > 0 {
			fmt.Fprintf(cmd.OutOrStdout(), "%s\n", o.Out)
		}
		return err
	}
	return cmd
}

// cores chooses and checks the cores.
func (o *Options) cores() error {
	cpus := proc.CPUs()
	if o.ProxyCPU == -2 {
		o.ProxyCPU = -1
		if len(cpus) > 1 {
			o.ProxyCPU = cpus[len(cpus)-1]
		}
	}
	if o.LoadCPU == -2 && len(cpus) > 0 {
		o.LoadCPU = cpus[0]
	}
	if o.ProxyCPU >= 0 && o.ProxyCPU == o.LoadCPU {
		return fmt.Errorf("%w: --proxy-cpu %d is --load-cpu as well: the proxy needs a core of its own, or --proxy-cpu -1", ErrUsage, o.ProxyCPU)
	}
	return nil
}
