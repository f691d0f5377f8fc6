package bench

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"edgerouter/bench/load"
	"edgerouter/bench/peer"
	"edgerouter/bench/proc"
)

// stage is what all measurements share.
type stage struct {
	opts    *Options
	loop    *load.Loop
	origin  *load.Origin
	starter *proc.Starter
	cert    *certificate
}

// bed is a started proxy on the stage.
type bed struct {
	*stage
	proxy   peer.Proxy
	job     peer.Job
	process *proc.Process
	startMS float64

	// Of a static site: the file's answer.
	length int64
	tag    string
}

// errProxy marks that a proxy could not be started: the others go on.
var errProxy = errors.New("the proxy did not start")

// start configures and starts a proxy in a folder of its own and waits until it
// answers.
func (st *stage) start(ctx context.Context, s *scenario, proxy peer.Proxy, round int) (*bed, error) {
	b := &bed{stage: st, proxy: proxy}
	dir, err := os.MkdirTemp(b.opts.temp, proxy.Name()+"-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for %s: %w", proxy.Name(), err)
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	b.job = peer.Job{
		Dir: dir, HTTP: ports[0], HTTPS: ports[1], Admin: ports[2], Origins: b.origin.Addrs(),
		Cert: b.cert.cert, Key: b.cert.key, Both: b.cert.both, CertDir: b.cert.dir,
		Bare: b.opts.Bare, Root: os.Geteuid() == 0, Probe: -1, Conns: b.opts.Connections,
	}
	if s.job != nil {
		s.job(b.opts, proxy.Name(), &b.job)
	}
	plan, err := proxy.Plan(b.job)
	if err != nil {
		return nil, err
	}
	for name, content := range plan.Files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, fmt.Errorf("configure %s: %w", proxy.Name(), err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return nil, fmt.Errorf("configure %s: %w", proxy.Name(), err)
		}
	}
	began := time.Now()
	b.process, err = b.starter.Start(proxy.Name(), plan.Argv, dir, filepath.Join(dir, "output.log"), b.opts.ProxyCPU)
	if err == nil {
		err = b.await(ctx, s.tls)
	}
	if err == nil {
		b.startMS = float64(time.Since(began).Microseconds()) / 1000
		if s.ready != nil {
			err = s.ready(ctx, b)
		}
	}
	if err == nil {
		return b, nil
	}
	b.stop()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	kept := b.keep(s, plan, round)
	return nil, fmt.Errorf("%w: %s in scenario %s: %w; command, configuration and output are in %s", errProxy, proxy.Name(), s.name, err, kept)
}

// keep copies what explains a failed start into the output folder.
func (b *bed) keep(s *scenario, plan peer.Plan, round int) string {
	dir := filepath.Join(b.opts.Out, fmt.Sprintf("failed-%s-%s-%d", s.name, b.proxy.Name(), round))
	_ = os.RemoveAll(dir)
	// The working folder is usually on another file system.
	_ = os.CopyFS(dir, os.DirFS(b.job.Dir))
	_ = os.RemoveAll(b.job.Dir)
	// The configuration names the certificate's files, and trying it by hand needs them.
	_ = os.CopyFS(filepath.Join(dir, "cert"), os.DirFS(b.cert.dir))
	_ = os.WriteFile(filepath.Join(dir, "command"), []byte(strings.Join(plan.Argv, " ")+"\n"), 0o644)
	return dir
}

// stop ends the proxy and removes its folder. Calling it again does nothing.
func (b *bed) stop() {
	if b.process != nil {
		b.process.Stop(3 * time.Second)
		b.process = nil
	}
}

func (b *bed) clean() {
	b.stop()
	_ = os.RemoveAll(b.job.Dir)
}

// await waits until the proxy answers a request through to the origin.
func (b *bed) await(ctx context.Context, secure bool) error {
	ctx, cancel := context.WithTimeout(ctx, b.opts.StartTimeout)
	defer cancel()
	for {
		err := b.try(ctx, false)
		if err == nil && secure {
			err = b.try(ctx, true)
		}
		if err == nil {
			return nil
		}
		select {
		case <-b.process.Exited():
			return fmt.Errorf("it ended (%v), its output begins with %q", b.process.Err(), head(b.process.LogFile))
		case <-ctx.Done():
			return fmt.Errorf("it did not answer within %s: %w; its output begins with %q", b.opts.StartTimeout, err, head(b.process.LogFile))
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func head(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, _ := io.ReadAll(io.LimitReader(f, 400))
	return string(b)
}

// try makes one request on a connection of its own.
func (b *bed) try(ctx context.Context, secure bool) error {
	body, err := b.get(ctx, secure, b.host(0), "/b/1")
	if err == nil && len(body) != 1 {
		err = fmt.Errorf("%d bytes instead of 1", len(body))
	}
	return err
}

// host is the host of application i of the job.
func (b *bed) host(i int) string {
	if b.job.Apps == 0 {
		return peer.Host
	}
	return peer.AppHost(i)
}

func (b *bed) get(ctx context.Context, secure bool, host, target string) ([]byte, error) {
	resp, body, err := b.fetch(ctx, secure, load.NewRequest("GET", host, target, 0, "Connection: close", authorization))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %.200s", resp.StatusCode, body)
	}
	return body, err
}

// fetch sends one request on a connection of its own.
func (b *bed) fetch(ctx context.Context, secure bool, r load.Request) (*http.Response, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	addr := b.job.HTTP
	if secure {
		addr = b.job.HTTPS
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	if secure {
		t := tls.Client(conn, b.tlsConfig())
		if err := t.HandshakeContext(ctx); err != nil {
			return nil, nil, fmt.Errorf("TLS handshake: %w", err)
		}
		conn = t
	}
	if _, err := conn.Write(r.Head); err != nil {
		return nil, nil, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	return resp, body, err
}

// tlsConfig is what the load offers, to every proxy the same: TLS 1.3, X25519,
// HTTP/1.1. The hybrid post-quantum exchange is left out because not all of the
// proxies have it.
func (b *bed) tlsConfig() *tls.Config {
	return &tls.Config{
		RootCAs: b.cert.pool, ServerName: peer.Host, MinVersion: tls.VersionTLS13,
		CurvePreferences: []tls.CurveID{tls.X25519}, NextProtos: []string{"http/1.1"},
	}
}

// freePorts finds free ports on 127.0.0.1, below the range from which the system
// takes the ports of outgoing connections: under churn those are all in use.
func freePorts(n int) ([]netip.AddrPort, error) {
	var found []netip.AddrPort
	var open []net.Listener
	defer func() {
		for _, l := range open {
			l.Close()
		}
	}()
	start := 18000 + os.Getpid()%6000
	for port := start; port < 32000 && len(found) < n; port++ {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port))
		l, err := net.Listen("tcp", addr.String())
		if err != nil {
			continue
		}
		open = append(open, l)
		found = append(found, addr)
	}
	if len(found) < n {
		return nil, fmt.Errorf("no %d free ports on 127.0.0.1 between %d and 32000", n, start)
	}
	return found, nil
}
