package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"edgerouter/bench/load"
	"edgerouter/bench/proc"
)

// TestMain lets the test binary stand in for the program: a comparison starts the
// proxies that are built in as `PROGRAM bench proxy-...`.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "bench" {
		root := &cobra.Command{Use: "edgerouter", SilenceErrors: true, SilenceUsage: true}
		root.AddCommand(Command())
		if err := root.Execute(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// bench runs the command as a user would.
func bench(t *testing.T, ctx context.Context, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	root := &cobra.Command{Use: "edgerouter", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(Command())
	var out, errs bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetArgs(append([]string{"bench"}, args...))
	err = root.ExecuteContext(ctx)
	return out.String(), errs.String(), err
}

// alone fails the test when it leaves processes behind.
func alone(t *testing.T) {
	t.Helper()
	if tree := proc.Tree(os.Getpid()); len(tree) > 1 {
		t.Errorf("processes %v are left", tree[1:])
	}
}

func TestCompareEndToEnd(t *testing.T) {
	out := t.TempDir()
	_, log, err := bench(t, t.Context(), "compare", "--scenario", "small,stream", "--proxies", "httputil", "--extra", extra(t),
		"--rounds", "1", "--slices", "2", "--duration", "400ms", "--warmup", "20ms", "--connections", "4", "--proxy-cpu", "-1",
		"--stream-size", "20000000", "--max-noise", "0", "--start-timeout", "30s", "--base", "again", "--out", out)
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	run, err := Read(filepath.Join(out, "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(run.Samples) != 4 || len(run.Scenarios) != 2 || len(run.Programs) != 2 || run.Base != "again" {
		t.Errorf("%d samples of %d scenarios and %d programs", len(run.Samples), len(run.Scenarios), len(run.Programs))
	}
	for _, s := range run.Samples {
		for _, key := range []string{"cpu_us", "rps", "p50_us", "rss_mb", "start_ms"} {
			if s.Values[key] <= 0 && s.Scenario != "stream" {
				t.Errorf("%s of %s: %s is %g", s.Proxy, s.Scenario, key, s.Values[key])
			}
		}
		if len(s.Errors) > 0 {
			t.Errorf("%s of %s: %v, %s", s.Proxy, s.Scenario, s.Errors, s.First)
		}
		if s.Scenario == "small" && (s.Values["peer1"] == 0 || s.Values["peer2"] == 0) {
			t.Errorf("%s: a peer was left out: %v", s.Proxy, s.Values)
		}
	}
	md, err := os.ReadFile(filepath.Join(out, "RESULTS.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"## Small keep-alive", "| again to |", "kernel", "chart-small.svg", "net/http/httputil"} {
		if !strings.Contains(string(md), want) {
			t.Errorf("RESULTS.md does not mention %q", want)
		}
	}
	echo, err := os.ReadFile(filepath.Join(out, "forwarded-httputil.txt"))
	if err != nil || !strings.Contains(string(echo), "X-Forwarded-For: 127.0.0.1") {
		t.Errorf("forwarded: %q, %v", echo, err)
	}
	alone(t)

	stdout, _, err := bench(t, t.Context(), "report", filepath.Join(out, "results.json"), filepath.Join(out, "results.json"), "--base", "httputil", "--out", out)
	if err != nil || !strings.Contains(stdout, "RESULTS.md") {
		t.Errorf("report: %q, %v", stdout, err)
	}
	if md, _ = os.ReadFile(filepath.Join(out, "RESULTS.md")); !strings.Contains(string(md), "| httputil to |") {
		t.Error("the report was not written again")
	}
}

// extra is the same proxy again, as a command that is given.
func extra(t *testing.T) string {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return "again=" + self + " bench proxy-fasthttp --http {http} --https {https} --cert {cert} --key {key} --origin {origin1},{origin2}"
}

func TestAProxyThatDoesNotStart(t *testing.T) {
	out := t.TempDir()
	_, log, err := bench(t, t.Context(), "compare", "--scenario", "small", "--proxies", "httputil", "--extra", `broken=/bin/sh -c "echo no such luck; exit 3"`,
		"--rounds", "2", "--slices", "1", "--duration", "100ms", "--warmup", "10ms", "--start-timeout", "30s", "--out", out)
	if !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), "broken in small") {
		t.Errorf("error %v", err)
	}
	for _, want := range []string{"no such luck", "exit status 3", "failed-small-broken-0"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not say %q:\n%s", want, log)
		}
	}
	if b, _ := os.ReadFile(filepath.Join(out, "failed-small-broken-0", "output.log")); string(b) != "no such luck\n" {
		t.Errorf("kept output %q", b)
	}
	run, err := Read(filepath.Join(out, "results.json"))
	if err != nil || len(run.Samples) != 2 {
		t.Errorf("the other proxy was not measured: %v", err)
	}
	alone(t)
}

func TestFailedRequestsFailTheComparison(t *testing.T) {
	// A proxy that answers the request that shows it is ready, and nothing else well.
	script := `import http.server, sys
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *a): pass
    def do_GET(self):
        ok = self.path == "/b/1"
        self.send_response(200 if ok else 503)
        self.send_header("Content-Length", "1")
        self.end_headers()
        self.wfile.write(b"x")
host, port = sys.argv[1].split(":")
http.server.ThreadingHTTPServer((host, int(port)), H).serve_forever()
`
	if _, err := os.Stat("/usr/bin/python3"); err != nil {
		t.Skip("needs /usr/bin/python3 for a proxy that fails")
	}
	file := filepath.Join(t.TempDir(), "bad.py")
	if err := os.WriteFile(file, []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	_, log, err := bench(t, t.Context(), "compare", "--scenario", "small", "--proxies", "none", "--extra", "bad=/usr/bin/python3 "+file+" {http}",
		"--rounds", "1", "--slices", "1", "--duration", "100ms", "--warmup", "10ms", "--connections", "2", "--start-timeout", "30s", "--out", t.TempDir())
	if !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), "status 503") {
		t.Errorf("error %v\n%s", err, log)
	}
	alone(t)
}

func TestCancelStopsEverything(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, _, err := bench(t, ctx, "compare", "--scenario", "small", "--proxies", "httputil", "--rounds", "1", "--duration", "1m", "--start-timeout", "30s", "--out", t.TempDir())
		done <- err
	}()
	started := func() bool {
		for _, pid := range proc.Tree(os.Getpid())[1:] {
			if b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); bytes.Contains(b, []byte("proxy-httputil")) {
				return true
			}
		}
		return false
	}
	for end := time.Now().Add(20 * time.Second); !started(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no proxy was started")
		}
	}
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it goes on")
	}
	alone(t)
}

func TestWrongUsage(t *testing.T) {
	for _, args := range [][]string{
		{"compare", "--scenario", "tiny"},
		{"compare", "--rounds", "0"},
		{"compare", "--duration", "-1s"},
		{"compare", "--slices", "0"},
		{"compare", "--proxies", "none"},
		{"compare", "--proxies", "httputil", "--base", "nginx"},
		{"load", "ftp://127.0.0.1/"},
		{"load", "http://example.com/"},
		{"load", "https://127.0.0.1/", "--churn"},
		{"origin", "--listen", "8001"},
	} {
		out := t.TempDir()
		if args[0] == "compare" {
			args = append(args, "--out", out)
		}
		if _, _, err := bench(t, t.Context(), args...); !errors.Is(err, ErrUsage) {
			t.Errorf("%v: %v", args, err)
		}
	}
	for _, args := range [][]string{
		{"load", "http://192.0.2.1/"},
		{"origin", "--listen", "0.0.0.0:0"},
	} {
		if _, _, err := bench(t, t.Context(), args...); !errors.Is(err, load.ErrNotLoopback) {
			t.Errorf("%v: %v", args, err)
		}
	}
}

func TestLoadCommand(t *testing.T) {
	l, err := load.NewLoop()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ports, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	o, err := load.NewOrigin(l, ports...)
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + o.Addrs()[0].String()
	out, _, err := bench(t, t.Context(), "load", url+"/b/100", "-n", "50", "-c", "2", "--length", "100")
	if err != nil || !strings.Contains(out, "errors       none") || !strings.Contains(out, "p99.9") {
		t.Errorf("%v\n%s", err, out)
	}
	out, _, err = bench(t, t.Context(), "load", url+"/b/100", "-n", "10", "--churn", "--status", "404", "-d", "1s")
	if err == nil || !strings.Contains(out, "10 status") && !strings.Contains(out, "status 200 instead of 404") {
		t.Errorf("failed requests: %v\n%s", err, out)
	}
}

func TestWriteSaysWhereItCannot(t *testing.T) {
	out := t.TempDir()
	_, _, err := bench(t, t.Context(), "report", filepath.Join(out, "none.json"))
	if err == nil || !strings.Contains(err.Error(), "none.json") {
		t.Errorf("error %v", err)
	}
	file := filepath.Join(out, "x.json")
	if err := os.WriteFile(file, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := bench(t, t.Context(), "report", file); err == nil || !strings.Contains(err.Error(), "x.json") {
		t.Errorf("error %v", err)
	}
}

func TestScenariosAreDescribed(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range scenarios() {
		if s.name == "" || s.title == "" || s.about == "" || len(s.columns) == 0 || (s.load == nil) == (s.run == nil) {
			t.Errorf("scenario %q is not whole", s.name)
		}
		if seen[s.name] {
			t.Errorf("two scenarios are called %q", s.name)
		}
		seen[s.name] = true
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range seen {
		if !bytes.Contains(readme, []byte("`"+name+"`")) {
			t.Errorf("README.md does not tell of scenario `%s`", name)
		}
	}
}
