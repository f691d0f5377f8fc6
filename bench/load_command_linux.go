package bench

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"edgerouter/bench/load"
	"edgerouter/bench/proc"
)

// loadFlags are those of `bench load`.
type loadFlags struct {
	cfg      load.Config
	method   string
	host     string
	body     int64
	fields   []string
	insecure bool
	cpu      int
}

func loadCommand() *cobra.Command {
	var l loadFlags
	cmd := &cobra.Command{
		Use:   "load URL",
		Short: "The load generator alone: HTTP/1.1 to a loopback address",
		Example: "  edgerouter bench origin --listen 127.0.0.1:8001 &\n" +
			"  edgerouter bench load http://127.0.0.1:8001/b/128 --connections 64 --duration 5s\n" +
			"  edgerouter bench load http://127.0.0.1:8080/ --host hello.localhost --rate 2000",
		Args: cobra.ExactArgs(1),
	}
	f := cmd.Flags()
	f.IntVarP(&l.cfg.Connections, "connections", "c", 64, "connections at the same time")
	f.DurationVarP(&l.cfg.Duration, "duration", "d", 5*time.Second, "how long, at most an hour")
	f.DurationVar(&l.cfg.Warmup, "warmup", 0, "load before it that is not counted")
	f.Int64VarP(&l.cfg.MaxRequests, "requests", "n", 0, "end after so many requests (0: no limit)")
	f.Float64VarP(&l.cfg.Rate, "rate", "r", 0, "requests a second at even distances, latency from the moment each is due (0: each connection as fast as it is answered)")
	f.BoolVar(&l.cfg.Churn, "churn", false, "a new connection for each request")
	f.DurationVar(&l.cfg.Timeout, "timeout", 10*time.Second, "of one request")
	f.IntVar(&l.cfg.Status, "status", 200, "wanted status; another one is an error")
	f.Int64Var(&l.cfg.Length, "length", -1, "wanted length of bodies; another one is an error (-1: any)")
	f.StringVar(&l.host, "host", "", "Host field, and name in TLS (default: the URL's)")
	f.StringVar(&l.method, "method", "GET", "method")
	f.Int64Var(&l.body, "body", 0, "bytes of filling sent as the request's body")
	f.StringArrayVarP(&l.fields, "header", "H", nil, "further header line, as in \"Name: value\"")
	f.BoolVarP(&l.insecure, "insecure", "k", false, "do not verify the certificate")
	f.IntVar(&l.cpu, "cpu", -1, "core to run on")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := l.target(args[0]); err != nil {
			return err
		}
		cmd.SilenceUsage = true
		ctx, stop := signalContext(cmd.Context())
		defer stop()
		res, err := l.run(ctx)
		if err != nil {
			return err
		}
		fmt.Fprint(cmd.OutOrStdout(), res)
		if n := res.Errors.Total(); n > 0 {
			return fmt.Errorf("%d failed requests: %s", n, res.Errors.String())
		}
		return nil
	}
	return cmd
}

// target reads the URL.
func (l *loadFlags) target(raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return fmt.Errorf("%w: URL: %w", ErrUsage, err)
	}
	port := u.Port()
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%w: URL %q: want http://ADDRESS:PORT/ or https://ADDRESS:PORT/", ErrUsage, raw)
	case port == "" && u.Scheme == "http":
		port = "80"
	case port == "":
		port = "443"
	}
	name := u.Hostname()
	if name == "localhost" {
		name = "127.0.0.1"
	}
	ip, err := netip.ParseAddr(name)
	if err != nil {
		return fmt.Errorf("%w: URL %q: the host must be a loopback address such as 127.0.0.1 (set --host for the Host field): %w", ErrUsage, raw, load.ErrNotLoopback)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return fmt.Errorf("%w: URL %q: port %q: %w", ErrUsage, raw, port, err)
	}
	l.cfg.Target = netip.AddrPortFrom(ip, uint16(n))
	if l.host == "" {
		l.host = u.Host
	}
	if u.Scheme == "https" {
		if l.cfg.Churn {
			return fmt.Errorf("%w: --churn with https is not offered: see the handshake scenarios of compare", ErrUsage)
		}
		server := l.host
		if h, _, ok := cutPort(server); ok {
			server = h
		}
		l.cfg.TLS = &tls.Config{ServerName: server, InsecureSkipVerify: l.insecure, NextProtos: []string{"http/1.1"}}
	}
	fields := l.fields
	if l.cfg.Churn {
		fields = append(fields, "Connection: close")
	}
	l.cfg.Requests = []load.Request{load.NewRequest(l.method, l.host, u.RequestURI(), l.body, fields...)}
	return nil
}

func cutPort(hostport string) (host, port string, ok bool) {
	u, err := url.Parse("//" + hostport)
	if err != nil || u.Port() == "" {
		return hostport, "", false
	}
	return u.Hostname(), u.Port(), true
}

func (l *loadFlags) run(ctx context.Context) (*load.Result, error) {
	if _, err := proc.RaiseFiles(uint64(l.cfg.Connections) + 256); err != nil {
		return nil, err
	}
	if l.cpu >= 0 {
		undo, err := proc.PinSelf(l.cpu)
		if err != nil {
			return nil, fmt.Errorf("--cpu: %w", err)
		}
		defer undo()
	}
	loop, err := load.NewLoop()
	if err != nil {
		return nil, err
	}
	defer loop.Close()
	return load.Run(ctx, loop, l.cfg)
}

func originCommand() *cobra.Command {
	var listen []string
	var cpu int
	cmd := &cobra.Command{
		Use:   "origin",
		Short: "The origin alone: answers /b/N with N bytes, /echo with the request's head, bodies with their length",
		Args:  cobra.NoArgs,
	}
	cmd.Flags().StringSliceVar(&listen, "listen", []string{"127.0.0.1:8001", "127.0.0.1:8002"}, "loopback addresses, one per peer")
	cmd.Flags().IntVar(&cpu, "cpu", -1, "core to run on")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var addrs []netip.AddrPort
		for _, s := range listen {
			a, err := netip.ParseAddrPort(s)
			if err != nil {
				return fmt.Errorf("%w: --listen %s: want ADDRESS:PORT: %w", ErrUsage, s, err)
			}
			addrs = append(addrs, a)
		}
		cmd.SilenceUsage = true
		if cpu >= 0 {
			undo, err := proc.PinSelf(cpu)
			if err != nil {
				return fmt.Errorf("--cpu: %w", err)
			}
			defer undo()
		}
		loop, err := load.NewLoop()
		if err != nil {
			return err
		}
		defer loop.Close()
		origin, err := load.NewOrigin(loop, addrs...)
		if err != nil {
			return err
		}
		for _, a := range origin.Addrs() {
			fmt.Fprintf(cmd.ErrOrStderr(), "origin on %s\n", a)
		}
		ctx, stop := signalContext(cmd.Context())
		defer stop()
		<-ctx.Done()
		return nil
	}
	return cmd
}
