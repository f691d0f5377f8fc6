package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"edgerouter/server"
)

func serveCommand() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the configured applications",
		Long: `Serves the applications of --apps and follows the file: a change is in service at once, without a
restart and without a lost request. Each flag can be given as an environment variable, EDGEROUTER_ and its
name in capitals; docs/configuration.md has them all.

SIGTERM and SIGINT drain and stop, SIGHUP reads files again.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := s.resolve(cmd.Flags(), os.LookupEnv); err != nil {
				return err
			}
			terminal := isatty.IsTerminal(os.Stderr.Fd())
			log := newLogger(os.Stderr, s.level, terminal)
			warnOfVariables(cmd, log)
			limitMemory(log)
			return serve(cmd.Context(), s, log, cmd.OutOrStdout())
		},
	}
	s.addFlags(cmd.Flags())
	return cmd
}

// limitMemory tells the collector how much memory a container may have, so that
// it works harder before the kernel ends the process.
func limitMemory(log zerolog.Logger) {
	if limit, err := memlimit.Set(memlimit.WithRatio(0.9), memlimit.WithProvider(memlimit.FromCgroup)); err == nil && limit > 0 {
		log.Debug().Int64("bytes", limit).Msg("memory limit from the cgroup")
	}
}

// serve runs until a signal or the end of ctx, and drains.
func serve(ctx context.Context, s settings, log zerolog.Logger, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := makeData(s.data); err != nil {
		return fmt.Errorf("--data %s: %w; name a folder that this user may write to", s.data, err)
	}
	tellWide(s.data, log)
	if s.dev {
		if err := noInstanceMetadata(); err != nil {
			return err
		}
		if err := useQuickstart(ctx, &s); err != nil {
			return err
		}
	}
	if err := s.keepName(s.data); err != nil {
		return err
	}
	n, err := newEdge(s, log)
	if err != nil {
		return err
	}
	listeners, err := openListeners(s)
	if err != nil {
		n.close()
		return err
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)

	n.start(ctx, listeners)
	log.Info().Str("version", version()).Str("go", runtime.Version()).Str("http", s.http).Str("https", s.https).
		Str("admin", s.admin).Str("apps", s.apps).Str("docker", s.docker.String()).Str("data", s.data).Msg("started")
	if s.dev {
		fmt.Fprint(out, greeting(s, listeners))
	}
	for {
		select {
		case <-ctx.Done():
		case sig := <-signals:
			if sig == syscall.SIGHUP {
				log.Info().Msg("SIGHUP: reading files again")
				n.reload()
				continue
			}
			log.Info().Str("signal", sig.String()).Dur("grace", s.shutdownGrace).Msg("draining; a second signal ends it at once")
		}
		break
	}
	drain, stop := context.WithTimeout(context.WithoutCancel(ctx), s.shutdownGrace)
	defer stop()
	go func() {
		for sig := range signals {
			if sig != syscall.SIGHUP {
				stop()
			}
		}
	}()
	cut := n.drain(drain)
	log.Info().Int("cut", cut).Msg("stopped")
	return nil
}

// listeners are the open ports of a node.
type listeners struct{ http, https, admin net.Listener }

func openListeners(s settings) (l listeners, err error) {
	for _, o := range []struct {
		flag, addr string
		to         *net.Listener
	}{{"http", s.http, &l.http}, {"https", s.https, &l.https}, {"admin", s.admin, &l.admin}} {
		if o.addr == "" {
			continue
		}
		if *o.to, err = server.Listen(o.addr); err != nil {
			l.close()
			return listeners{}, listenError(o.flag, o.addr, err)
		}
	}
	return l, nil
}

func (l listeners) close() {
	for _, ln := range []net.Listener{l.http, l.https, l.admin} {
		if ln != nil {
			ln.Close()
		}
	}
}

// listenError says which setting and what to do.
func listenError(flag, addr string, err error) error {
	hint := ""
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		_, port, _ := net.SplitHostPort(addr)
		hint = fmt.Sprintf("; another program listens there (ss -ltnp 'sport = :%s' names it): stop it, or choose another with --%s", port, flag)
	case errors.Is(err, syscall.EACCES):
		hint = fmt.Sprintf("; ports below 1024 need root, CAP_NET_BIND_SERVICE or net.ipv4.ip_unprivileged_port_start: or choose another with --%s", flag)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		hint = "; this machine has no such address"
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return fmt.Errorf("--%s %s: cannot listen: %w%s", flag, addr, err, hint)
}

// appsPath is where applications come from when --apps does not say.
func appsPath(s settings) string {
	if s.apps != "" {
		return s.apps
	}
	if _, err := os.Stat("applications.json"); err == nil {
		return "applications.json"
	}
	return ""
}

// greeting lists the URLs to try.
func greeting(s settings, l listeners) string {
	var b strings.Builder
	_, port, _ := net.SplitHostPort(l.admin.Addr().String())
	fmt.Fprintf(&b, "\nedgerouter is running. Try:\n\n")
	if s.quickstart != nil {
		s.quickstart.urls(&b, portOf(l.http), portOf(l.https))
	} else {
		fmt.Fprintf(&b, "  applications from %s\n", s.apps)
	}
	if s.docker.on {
		fmt.Fprintf(&b, "  containers     with labels, of %s\n", s.docker)
	}
	fmt.Fprintf(&b, "  admin page     http://127.0.0.1:%s/\n", port)
	if s.https != "" {
		fmt.Fprintf(&b, "\nTLS certificates are from a local CA: curl --cacert %s, or edgerouter cert trust --data %s\n", filepath.Join(devCAFolder(s.data), "ca.crt"), s.data)
	}
	b.WriteString("\n")
	return b.String()
}

func portOf(l net.Listener) string {
	if l == nil {
		return ""
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// waitFor waits for a channel, at most d.
func waitFor(ctx context.Context, c <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c:
	case <-t.C:
	case <-ctx.Done():
	}
}
