package cli

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/valyala/fasthttp"

	"edgerouter/admin"
	"edgerouter/app"
	"edgerouter/auth"
	"edgerouter/bus"
	"edgerouter/certs"
	"edgerouter/discovery"
	"edgerouter/gateway"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"edgerouter": func() {
			os.Exit(Execute(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
		},
	})
}

// TestScripts runs the stories in testdata/script. They have two nodes to ask:
// $NODE, which is on loopback, and $GUARDED, which wants the token "letmein"; and
// $BUS_NODE, $BUS_NODE_2, $LAMBDA_NODE and $SITES_NODE have each an event log.
// "exits CODE COMMAND..." runs a command that has to end with that code.
func TestScripts(t *testing.T) {
	open, guarded := startNode(t, admin.AccessLoopback, nil), startNode(t, admin.AccessToken, nil)
	withLog, withLog2 := startNode(t, admin.AccessLoopback, &bus.Memory{}), startNode(t, admin.AccessLoopback, &bus.Memory{})
	forLambda, forSites := startNode(t, admin.AccessLoopback, &bus.Memory{}), startNode(t, admin.AccessLoopback, &bus.Memory{})
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("NODE", "http://"+open)
			env.Setenv("NODE_ADDR", open)
			env.Setenv("GUARDED", "http://"+guarded)
			env.Setenv("BUS_NODE", "http://"+withLog)
			env.Setenv("BUS_NODE_2", "http://"+withLog2)
			env.Setenv("LAMBDA_NODE", "http://"+forLambda)
			env.Setenv("SITES_NODE", "http://"+forSites)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if code != want {
		ts.Fatalf("ended with code %d, want %d", code, want)
	}
}

// startNode serves the admin API of a node with one application, and with an event
// log if there is one.
func startNode(t *testing.T, access admin.Access, log bus.Log) (addr string) {
	t.Helper()
	apps, problems := app.Decode("apps.json", []byte(`{"apps": [{"id": "blog", "frontends": [
		{"kind": "hostname", "hostname": "blog.example.com"}],
		"backend": {"kind": "redirect", "redirect_opts": {"to": "https://example.com{path}"}}}]}`))
	for _, p := range problems {
		t.Fatal(p)
	}
	snapshot := offlineSnapshot(apps)
	token, err := auth.NewToken([]byte("letmein"))
	if err != nil {
		t.Fatal(err)
	}
	handler := admin.New(admin.Deps{
		Log:      log,
		Version:  "1.2.3",
		Snapshot: func() *gateway.Snapshot { return snapshot },
		Certs: func() []certs.Status {
			return []certs.Status{{
				Names: []string{"example.com", "*.example.com"}, Source: "file", Origin: "/certs/example.pem", KeyType: "ECDSA P-256",
				NotAfter: time.Date(2031, 2, 3, 4, 5, 6, 0, time.UTC),
			}}
		},
		Sources:      func() []discovery.Status { return nil },
		Ready:        func() []string { return nil },
		WriteMetrics: func(io.Writer) {},
		Gate:         auth.NewGate(token, "edgerouter admin", auth.NewFailures()),
	}).Handler(admin.Exposure{Access: access})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &fasthttp.Server{Handler: handler, CloseOnShutdown: true}
	done := make(chan error, 1)
	go func() { done <- server.Serve(ln) }()
	t.Cleanup(func() {
		if err := errors.Join(server.Shutdown(), <-done); err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}
