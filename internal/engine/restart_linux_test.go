package engine

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/client"
)

// outage is how long the engine is away.
const outage = 20 * time.Second

// daemon is an engine of the test's own, which it may stop. Its containers live
// on meanwhile (--live-restore). It touches neither the rules of iptables nor
// docker0, so that it can run beside another one.
type daemon struct {
	t      *testing.T
	dir    string
	cmd    *exec.Cmd
	ended  chan struct{}
	output bytes.Buffer
}

func newDaemon(t *testing.T) *daemon {
	t.Helper()
	if _, err := exec.LookPath("dockerd"); err != nil || os.Getuid() != 0 {
		need(t, "docker", "starting and stopping an engine needs dockerd (docker.io) and root")
	}
	// A socket's path has to be short.
	dir, err := os.MkdirTemp("", "er-engine")
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{t: t, dir: dir}
	t.Cleanup(func() {
		d.stop()
		if t.Failed() {
			lines := slices.Collect(strings.Lines(d.output.String()))
			t.Logf("the end of the engine's log:\n%s", strings.Join(lines[max(0, len(lines)-40):], ""))
		}
		unmount(t, dir)
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(d.socketDir(), 0o711); err != nil {
		t.Fatal(err)
	}
	d.start()
	return d
}

// unmount takes away what an engine leaves mounted in its folders.
func unmount(t *testing.T, dir string) {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(mounts), "\n")
	slices.Reverse(lines) // what is mounted within a mount comes first
	for _, line := range lines {
		if fields := strings.Fields(line); len(fields) > 1 && strings.HasPrefix(fields[1], dir+"/") {
			if err := syscall.Unmount(fields[1], syscall.MNT_DETACH); err != nil {
				t.Errorf("unmount %s: %v", fields[1], err)
			}
		}
	}
}

func (d *daemon) socketDir() string { return filepath.Join(d.dir, "run") }

func (d *daemon) host() string { return "unix://" + filepath.Join(d.socketDir(), "docker.sock") }

// start starts the engine, unless it runs, and waits until it answers.
func (d *daemon) start() {
	d.t.Helper()
	if d.cmd != nil {
		return
	}
	d.cmd = exec.Command("dockerd", "--data-root", filepath.Join(d.dir, "data"), "--exec-root", filepath.Join(d.dir, "exec"),
		"--pidfile", filepath.Join(d.dir, "pid"), "-H", d.host(), "--live-restore", "--bridge", "none", "--iptables=false",
		"--ip-forward=false", "--ip-masq=false", "--default-address-pool", "base=10.213.0.0/16,size=24")
	d.cmd.Stdout, d.cmd.Stderr = &d.output, &d.output
	// A process group of its own: a signal from the terminal is the test's.
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.ended = make(chan struct{})
	cmd, ended := d.cmd, d.ended
	go func() { _ = cmd.Wait(); close(ended) }()
	api, err := client.NewClientWithOpts(client.WithHost(d.host()), client.WithAPIVersionNegotiation())
	if err != nil {
		d.t.Fatal(err)
	}
	defer api.Close()
	eventually(d.t, func() string { return "the engine to answer" }, func() bool {
		_, err := api.Ping(context.Background())
		return err == nil
	})
}

// stop ends the engine and leaves its containers.
func (d *daemon) stop() {
	d.t.Helper()
	if d.cmd == nil {
		return
	}
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.ended:
	case <-time.After(patience):
		d.t.Errorf("the engine did not end within %s", patience)
		_ = d.cmd.Process.Kill()
		<-d.ended
	}
	d.cmd = nil
}

// TestEngineAway: the engine is stopped for 20 s under load, a peer ends in the
// meantime, and no request is lost. The set is right once the engine is back.
func TestEngineAway(t *testing.T) {
	d := newDaemon(t)
	e := connect(t, d.host())
	network := e.network("bridge")
	edge := e.newEdge(edgeOptions{network: "host", asked: network, socketDir: d.socketDir()})
	host, app := e.id+".away.test", e.id+"_web"
	three := e.three(network, host)
	// Containers cannot be removed while the engine is away.
	t.Cleanup(d.start)
	edge.until(app, e.addresses(three, network)...)
	info, err := e.api.ContainerInspect(context.Background(), three[0])
	e.must(err)

	load := startLoad(t, edge.http, host)
	began := time.Now()
	d.stop()
	if err := syscall.Kill(info.State.Pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string { return "the peer to end" }, func() bool { return syscall.Kill(info.State.Pid, 0) != nil })
	if got := edge.peers(app); len(got) != 3 {
		t.Errorf("without an engine the set is %v, want the last one", got)
	}
	time.Sleep(time.Until(began.Add(outage))) // what is tested is that nothing happens
	d.start()
	back := time.Now()
	edge.until(app, e.addresses(three[1:], network)...)
	t.Logf("the set was right %s after the engine answered again", time.Since(back))
	fourth := e.run(peer{name: e.id + "-web-4", network: network, labels: e.labels(three[1])})
	edge.until(app, e.addresses(append(slices.Clone(three[1:]), fourth), network)...)
	load.lossless("engine away for 20 s, one of three peers ended meanwhile")
	want := []string{three[1][:12], three[2][:12], fourth[:12]}
	slices.Sort(want)
	if got := edge.answered(host, 3); !slices.Equal(got, want) {
		t.Errorf("%s is answered by %v, want %v", host, got, want)
	}
}

// labels are those of a container.
func (e *engine) labels(id string) map[string]string {
	e.t.Helper()
	info, err := e.api.ContainerInspect(context.Background(), id)
	e.must(err)
	return info.Config.Labels
}
