package cli

import (
	"bufio"
	"bytes"
	"context"
	"edgerouter/internal/testkit"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// process is a running serve of this very test binary.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	http   string
	admin  string
	stderr bytes.Buffer
	stdout bytes.Buffer // the access log
}

// edgerouter makes the command; TestMain runs it when the program's name says so.
func edgerouter(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "edgerouter")
	if err := os.Symlink(self, link); err != nil {
		t.Fatal(err)
	}
	// A node has to outlive the longest test on a machine that is busy.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	return exec.CommandContext(ctx, link, args...)
}

func freePort(t *testing.T) string {
	t.Helper()
	return testkit.FreeAddr(t)
}

func startServe(t *testing.T, apps string, more ...string) *process {
	t.Helper()
	return startServeOn(t, freePort(t), apps, more...)
}

// startServeOn is startServe with an address for plain HTTP.
func startServeOn(t *testing.T, addr, apps string, more ...string) *process {
	t.Helper()
	p := &process{t: t, http: addr, admin: freePort(t)}
	args := append([]string{"serve", "--docker", "off", "--http", p.http, "--https", "", "--admin", p.admin, "--data", t.TempDir(), "--apps", apps}, more...)
	p.cmd = edgerouter(t, args...)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		p.cmd.Wait()
		if t.Failed() {
			t.Logf("standard error:\n%s", p.stderr.String())
		}
	})
	p.eventually("ready", func() bool {
		resp, err := http.Get("http://" + p.admin + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		c, err := net.Dial("tcp", p.http)
		if err != nil {
			return false
		}
		c.Close()
		return resp.StatusCode == 200
	})
	return p
}

func (p *process) eventually(what string, ok func() bool) {
	p.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			p.t.Fatalf("not %s in time", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// get asks for a path and returns the body.
func (p *process) get(host, path string) string {
	req, _ := http.NewRequest("GET", "http://"+p.http+path, nil)
	req.Host = host
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return string(b)
}

// load sends requests over kept connections until stop is closed, each as soon
// as the one before is answered. A connection that the server said it would
// close is opened anew; one that cannot be opened once the server is stopping
// ends its client. Everything else is a failed request.
type load struct {
	done     sync.WaitGroup
	requests atomic.Int64
	failed   atomic.Int64
	first    atomic.Pointer[string]
	stopping atomic.Bool
	stop     chan struct{}
}

func startLoad(addr, host string, clients int) *load {
	l := &load{stop: make(chan struct{})}
	for i := range clients {
		l.done.Go(func() { l.client(addr, host, i%2 == 1) })
	}
	return l
}

func (l *load) fail(format string, args ...any) {
	l.failed.Add(1)
	text := fmt.Sprintf(format, args...)
	l.first.CompareAndSwap(nil, &text)
}

func (l *load) client(addr, host string, post bool) {
	request := "GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n"
	if post {
		request = "POST / HTTP/1.1\r\nHost: " + host + "\r\nContent-Length: 5\r\n\r\nhello"
	}
	for {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			if !l.stopping.Load() {
				l.fail("connecting: %v", err)
			}
			return
		}
		again := l.connection(c, request)
		c.Close()
		if !again {
			return
		}
	}
}

func (l *load) connection(c net.Conn, request string) (again bool) {
	br := bufio.NewReader(c)
	dialed, count := time.Now(), 0
	c.SetDeadline(time.Now().Add(30 * time.Second))
	for {
		select {
		case <-l.stop:
			return false
		default:
		}
		if _, err := io.WriteString(c, request); err != nil {
			l.fail("writing: %v", err)
			return false
		}
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			l.fail("reading: %v (request %d of the connection %s -> %s, %s after it was opened, at %s)", err, count+1, c.LocalAddr(), c.RemoteAddr(), time.Since(dialed), time.Now().Format(time.StampMicro))
			return false
		}
		_, err = io.Copy(io.Discard, resp.Body)
		l.requests.Add(1)
		count++
		if err != nil || resp.StatusCode != 200 {
			l.fail("status %d, body %v", resp.StatusCode, err)
			return false
		}
		if resp.Close {
			return true
		}
	}
}

func (l *load) check(t *testing.T) {
	t.Helper()
	l.done.Wait()
	if n := l.failed.Load(); n > 0 {
		t.Errorf("%d of %d requests failed; the first: %s", n, l.requests.Load(), *l.first.Load())
	}
	if l.requests.Load() < 100 {
		t.Errorf("only %d requests were made", l.requests.Load())
	}
}

func peerSet(id, host string, addrs ...string) string {
	return fmt.Sprintf(`{"id":%q,"frontends":[{"kind":"hostname","hostname":%q,"allow_insecure_http":true}],
		"backend":{"kind":"peer_set","peer_set_opts":{"addrs":["%s"]}}}`, id, host, strings.Join(addrs, `","`))
}

func writeApps(t *testing.T, path string, apps ...string) {
	t.Helper()
	// As editors do: a new file takes the old one's place.
	tmp := path + "~"
	if err := os.WriteFile(tmp, []byte(`{"apps":[`+strings.Join(apps, ",")+`]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, path); err != nil {
		t.Fatal(err)
	}
}

func origin(t *testing.T, name string) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, name)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// SIGTERM while requests are under way: each is answered, new ones are taken
// until the listener closes, and the process ends with code 0.
func TestServeDrainsUnderLoad(t *testing.T) {
	apps := filepath.Join(t.TempDir(), "apps.json")
	writeApps(t, apps, peerSet("a", "a.test", origin(t, "one"), origin(t, "two")))
	p := startServe(t, apps)
	l := startLoad(p.http, "a.test", 16)
	p.eventually("under load", func() bool { return l.requests.Load() > 500 })
	l.stopping.Store(true)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	l.check(t)
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("serve ended with %v", err)
	}
}

// The file changes while requests are under way: the change is in service, and
// no request is lost.
func TestServeFollowsItsFileUnderLoad(t *testing.T) {
	apps := filepath.Join(t.TempDir(), "apps.json")
	one, two := origin(t, "one"), origin(t, "two")
	stays := peerSet("stays", "stays.test", origin(t, "stays"))
	writeApps(t, apps, peerSet("a", "a.test", one), stays)
	p := startServe(t, apps)
	l, other := startLoad(p.http, "a.test", 8), startLoad(p.http, "stays.test", 8)
	for i := range 10 {
		name, addr := "two", two
		if i%2 == 1 {
			name, addr = "one", one
		}
		writeApps(t, apps, peerSet("a", "a.test", addr), stays)
		changed := time.Now()
		p.eventually("changed to "+name, func() bool { return p.get("a.test", "/") == name })
		if took := time.Since(changed); testkit.IsLong() && took > 2*time.Second {
			t.Errorf("change %d was in service after %s", i, took)
		}
	}
	// What cannot be read changes nothing.
	if err := os.WriteFile(apps, []byte(`{"apps":[{"id":"a",`), 0o644); err != nil {
		t.Fatal(err)
	}
	p.eventually("told of the broken file", func() bool {
		resp, err := http.Get("http://" + p.admin + "/api/v1/sources")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return bytes.Contains(b, []byte("apps.json"))
	})
	if got := p.get("a.test", "/"); got != "one" {
		t.Errorf("after a broken file: %q", got)
	}
	close(l.stop)
	close(other.stop)
	l.check(t)
	other.check(t)
}

func TestServeReloadsOnHangup(t *testing.T) {
	apps := filepath.Join(t.TempDir(), "apps.json")
	writeApps(t, apps, peerSet("a", "a.test", origin(t, "one")))
	p := startServe(t, apps)
	writeApps(t, apps, peerSet("a", "a.test", origin(t, "two")))
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.eventually("changed", func() bool { return p.get("a.test", "/") == "two" })
}

// What a definition refers to is read again as well, though the definition is the
// same.
func TestServeReadsSecretsOnHangup(t *testing.T) {
	dir := t.TempDir()
	apps, token := filepath.Join(dir, "apps.json"), filepath.Join(dir, "token")
	write := func(secret string) {
		if err := os.WriteFile(token, []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("old")
	a := strings.TrimSuffix(peerSet("a", "a.test", origin(t, "one")), "}") +
		fmt.Sprintf(`, "middlewares": [{"kind": "auth_v0", "auth_v0_opts": {"bearer_token": "file:%s"}}]}`, token)
	writeApps(t, apps, a)
	p := startServe(t, apps)
	enters := func(secret string) bool {
		req, err := http.NewRequest(http.MethodGet, "http://"+p.http+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "a.test"
		req.Header.Set("Authorization", "Bearer "+secret)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}
	if !enters("old") || enters("new") {
		t.Fatal("the token is not the one of the file")
	}
	write("new")
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.eventually("the new token", func() bool { return enters("new") })
	if enters("old") {
		t.Error("the old token is good still")
	}
}

// METRICS_ENDPOINT is answered on every host, in plain HTTP.
func TestServeMetricsEndpoint(t *testing.T) {
	t.Setenv("METRICS_ENDPOINT", "/secret-metrics")
	apps := filepath.Join(t.TempDir(), "apps.json")
	writeApps(t, apps, peerSet("a", "a.test", origin(t, "one")))
	p := startServe(t, apps)
	p.get("a.test", "/")
	p.get("unknown.test", "/")
	got := p.get("whatever.test", "/secret-metrics")
	for _, want := range []string{
		`er_requests_ok{app="a",code="200",method="GET"} 1`, `er_requests_ok{app="_all",code="200",method="GET"} 1`,
		`er_requests_fail{app="appNotFound",code="404",method="GET"} 1`, `er_request_duration_seconds_bucket{app="a",le="0.00025"}`,
		`er_peer_up{app="a",peer="`, "er_connections ", "er_config_generation ", "er_source_apps{", "go_goroutines", "process_resident_memory_bytes",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
}

// A start that cannot work says which port, and what to do.
func TestServePortTaken(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	cmd := edgerouter(t, "serve", "--http", ln.Addr().String(), "--https", "", "--admin", freePort(t), "--data", t.TempDir())
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("ended with %v, want code 1", err)
	}
	last := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	line := string(last[len(last)-1])
	if !strings.HasPrefix(line, "edgerouter: --http "+ln.Addr().String()+": cannot listen: ") || !strings.Contains(line, "choose another with --http") {
		t.Errorf("said %q", line)
	}
}

func TestServeWrongUsage(t *testing.T) {
	for _, args := range [][]string{
		{"--http", "nonsense"}, {"--http", ":99999"}, {"--http", "", "--https", ""}, {"--access-log", "xml"}, {"--log-level", "loud"},
		{"--trusted-proxies", "10.0.0.1/8"}, {"--trusted-proxies", "proxy.example.com"}, {"--shutdown-grace", "-1s"}, {"--write-idle", "0s"}, {"--linger", "-1s"}, {"--bus", "carrier-pigeon"}, {"more"},
	} {
		cmd := edgerouter(t, append([]string{"serve", "--data", t.TempDir()}, args...)...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != 2 {
			t.Errorf("%q: ended with code %d, want 2", args, code)
		}
		if n := strings.Count(stderr.String(), "\n"); n != 1 {
			t.Errorf("%q: said %d lines:\n%s", args, n, stderr.String())
		}
	}
}

// --dev needs nothing else: it makes up its applications and prints URLs that work.
func TestServeDev(t *testing.T) {
	dir := t.TempDir()
	httpAddr, httpsAddr, adminAddr := freePort(t), freePort(t), freePort(t)
	cmd := edgerouter(t, "serve", "--dev", "--http", httpAddr, "--https", httpsAddr, "--admin", adminAddr)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("serve ended with %v\n%s", err, stderr.String())
		}
	}()
	lines := bufio.NewScanner(out)
	var told []string
	for lines.Scan() {
		told = append(told, lines.Text())
		if strings.Contains(lines.Text(), "edgerouter cert trust") {
			break
		}
	}
	text := strings.Join(told, "\n")
	_, port, _ := net.SplitHostPort(httpAddr)
	if want := "http://hello.localhost:" + port + "/"; !strings.Contains(text, want) {
		t.Fatalf("no %s in:\n%s", want, text)
	}
	p := &process{t: t, http: httpAddr}
	if got := p.get("hello.localhost", "/"); !strings.Contains(got, "Hello from peer-") {
		t.Errorf("hello answered %q", got)
	}
	if info, err := os.Stat(filepath.Join(dir, ".edgerouter", "admin-token")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the admin token: %v, %v", info, err)
	}
}
