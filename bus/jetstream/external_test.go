package jetstream

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"edgerouter/bus"
	"edgerouter/bus/bustest"
	"edgerouter/internal/testkit"
)

// natsServer is a server of its own, as the program nats-server.
type natsServer struct {
	t       *testing.T
	program string
	args    []string
	cmd     *exec.Cmd
}

// startNATS runs nats-server, which is looked for in PATH.
func startNATS(t *testing.T, addr string, more ...string) *natsServer {
	t.Helper()
	program, err := exec.LookPath("nats-server")
	if err != nil {
		testkit.Missing(t, "nats", "nats-server is not in PATH; go install github.com/nats-io/nats-server/v2 puts it there")
	}
	host, port, _ := strings.Cut(addr, ":")
	n := &natsServer{t: t, program: program, args: append([]string{"-a", host, "-p", port, "-js", "-sd", t.TempDir()}, more...)}
	n.start()
	t.Cleanup(func() { n.kill() })
	return n
}

func (n *natsServer) start() {
	n.cmd = exec.Command(n.program, n.args...)
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
}

func (n *natsServer) kill() {
	n.cmd.Process.Signal(syscall.SIGKILL)
	n.cmd.Wait()
}

func TestExternalContract(t *testing.T) {
	addr := testkit.FreeAddr(t)
	server := startNATS(t, addr)
	bustest.Run(t, bustest.Bed{
		Open: func(t *testing.T) bus.Log {
			b, _ := start(t, Options{URLs: []string{"nats://" + addr}})
			return b
		},
		Interrupt: func(*testing.T) { server.kill(); server.start() },
		Large:     500,
	})
}

// Wrong credentials and servers that are not there are told, without the password.
func TestExternalRefused(t *testing.T) {
	addr := testkit.FreeAddr(t)
	startNATS(t, addr, "--user", "edge", "--pass", "correct-horse")
	for name, url := range map[string]string{
		"password": "nats://edge:battery-staple@" + addr, "nobody": "nats://edge:battery-staple@127.0.0.1:1",
	} {
		b, log := start(t, Options{URLs: []string{url}})
		until(t, name+" is told", func() bool { return strings.Contains(log.String(), "--bus") })
		if strings.Contains(log.String(), "battery") {
			t.Errorf("%s: the password is in the log: %s", name, log.String())
		}
		b.Close()
	}
	b, _ := start(t, Options{URLs: []string{"nats://edge:correct-horse@" + addr}})
	if _, err := b.Append(deadline(t), "/t-9/x", bustest.Event(1)); err != nil {
		t.Error(err)
	}
}

// The port for tools of an embedded bus wants the secret, and shows the same log.
func TestClientPort(t *testing.T) {
	addr := testkit.FreeAddr(t)
	own, _ := start(t, Options{Embedded: Embedded{Folder: t.TempDir(), Client: addr, Secret: testSecret}})
	if _, err := own.Append(deadline(t), "/t-9/x", bustest.Event(1)); err != nil {
		t.Fatal(err)
	}
	tool, _ := start(t, Options{Node: "tool", URLs: []string{"nats://" + secretUser + ":" + testSecret + "@" + addr}})
	if at, err := tool.Append(deadline(t), "/t-9/x", bustest.Event(2)); err != nil || at.Version != 2 {
		t.Errorf("%v, %v", at, err)
	}
	stranger, log := start(t, Options{Node: "stranger", URLs: []string{"nats://" + addr}})
	until(t, "a stranger is refused", func() bool { return strings.Contains(log.String(), "uthorization") })
	stranger.Close()
}

func TestOptions(t *testing.T) {
	good := func() Options {
		return Options{Node: "n", Embedded: Embedded{Folder: "x", Listen: ":6222", Peers: []string{"b:6222", "c:6222"}, Secret: testSecret}}
	}
	o := good()
	if err := o.check(); err != nil || o.Cluster != defaultCluster {
		t.Errorf("%v, %q", err, o.Cluster)
	}
	for _, c := range []struct {
		change func(*Options)
		says   string
	}{
		{func(o *Options) { o.Node = "" }, "--node"},
		{func(o *Options) { o.Node = "a.b" }, "--node"},
		{func(o *Options) { o.Secret = "" }, "--bus-secret-file"},
		{func(o *Options) { o.Secret = "short" }, "--bus-secret-file"},
		{func(o *Options) { o.Listen = "" }, "--bus-listen"},
		{func(o *Options) { o.Listen = "6222" }, "--bus-listen"},
		{func(o *Options) { o.Peers = nil }, "--bus-peers"},
		{func(o *Options) { o.Peers = o.Peers[:1] }, "three or five"},
		{func(o *Options) { o.Peers = append(o.Peers, "d:1") }, "three or five"},
		{func(o *Options) { o.Peers[1] = ":6222" }, "--bus-peers"},
		{func(o *Options) { o.Peers[1] = o.Peers[0] }, "twice"},
		{func(o *Options) { o.Cluster = "a b" }, "--bus-cluster"},
		{func(o *Options) { o.Client, o.Secret = ":4222", "" }, "--bus-client"},
		{func(o *Options) { o.Client = "4222" }, "--bus-client"},
		{func(o *Options) { o.URLs = []string{"http://user:hunter2@x"} }, "--bus"},
		{func(o *Options) { o.URLs = []string{"nats://"} }, "--bus"},
	} {
		o := good()
		c.change(&o)
		if err := o.check(); err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("want an error about %s, have %v", c.says, err)
		}
	}
}

// A folder is used by one process at a time.
func TestLock(t *testing.T) {
	folder := t.TempDir()
	b, _ := start(t, Options{Embedded: Embedded{Folder: folder}})
	if _, err := New(Options{Node: "other", Embedded: Embedded{Folder: folder}}); err == nil || !strings.Contains(err.Error(), folder) {
		t.Errorf("a second one: %v", err)
	}
	b.Close()
	start(t, Options{Embedded: Embedded{Folder: folder}})
	if _, err := New(Options{Node: "n", Embedded: Embedded{Folder: filepath.Join(os.DevNull, "x")}}); err == nil || !strings.Contains(err.Error(), "--data") {
		t.Errorf("a folder that cannot be made: %v", err)
	}
}
