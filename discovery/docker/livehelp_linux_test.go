package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/build"
	containertypes "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	networktypes "github.com/docker/docker/api/types/network"
	swarmtypes "github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/client"
	"github.com/rs/zerolog"
)

// liveHost is the engine to test with; the test is skipped when there is none,
// unless EDGEROUTER_TEST_REQUIRE says that there has to be one.
func liveHost(t *testing.T) string {
	t.Helper()
	host := os.Getenv("EDGEROUTER_TEST_DOCKER")
	if host == "" {
		host = DefaultHost
		if _, err := os.Stat(strings.TrimPrefix(host, "unix://")); err != nil {
			host = ""
		}
	}
	if host != "" {
		return host
	}
	text := "no Docker engine: install docker.io, start dockerd, and name its socket in EDGEROUTER_TEST_DOCKER (unix://...)"
	if slices.Contains(strings.Split(os.Getenv("EDGEROUTER_TEST_REQUIRE"), ","), "docker") {
		t.Fatal(text)
	}
	t.Skip(text)
	return ""
}

// live is a real engine with an image to run.
type live struct {
	t    *testing.T
	host string
	api  *client.Client
	id   string // tells what this test makes from all else
}

const (
	liveImage   = "edgerouter-test-peer"
	checkedPeer = "edgerouter-test-checked"
)

var buildImages = sync.OnceValue(func() error {
	dir, err := os.MkdirTemp("", "edgerouter-peer")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, "peer")
	cmd := exec.Command("go", "build", "-o", binary, "./testdata/peer")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	host := os.Getenv("EDGEROUTER_TEST_DOCKER")
	if host == "" {
		host = DefaultHost
	}
	api, err := client.NewClientWithOpts(client.WithHost(host), client.WithAPIVersionNegotiation())
	if err != nil {
		return err
	}
	defer api.Close()
	for name, file := range map[string]string{
		liveImage:   "FROM scratch\nCOPY peer /peer\nEXPOSE 8080\nENTRYPOINT [\"/peer\"]\n",
		checkedPeer: "FROM scratch\nCOPY peer /peer\nEXPOSE 8080\nSTOPSIGNAL SIGQUIT\nHEALTHCHECK --interval=500ms --timeout=1s --retries=1 CMD [\"/peer\",\"check\"]\nENTRYPOINT [\"/peer\"]\n",
	} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		w.WriteHeader(&tar.Header{Name: "Dockerfile", Mode: 0o644, Size: int64(len(file))})
		w.Write([]byte(file))
		w.WriteHeader(&tar.Header{Name: "peer", Mode: 0o755, Size: int64(len(content))})
		w.Write(content)
		w.Close()
		resp, err := api.ImageBuild(context.Background(), &b, build.ImageBuildOptions{Tags: []string{name}, Version: build.BuilderV1, Remove: true, ForceRemove: true})
		if err != nil {
			return err
		}
		said, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if !strings.Contains(string(said), "Successfully") {
			return fmt.Errorf("building %s: %s", name, said)
		}
	}
	return nil
})

func newLive(t *testing.T) *live {
	host := liveHost(t)
	if err := buildImages(); err != nil {
		t.Fatal(err)
	}
	api, err := client.NewClientWithOpts(client.WithHost(host), client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	l := &live{t: t, host: host, api: api, id: fmt.Sprintf("ertest%d", time.Now().UnixNano()%1e9)}
	t.Cleanup(func() { api.Close() })
	return l
}

func (l *live) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// labels are what makes a container an application that says "name.test".
func (l *live) labels(name string) map[string]string {
	return map[string]string{"traefik.frontend.rule": "Host:" + name + ".test", "edgerouter.auth": "public"}
}

// run starts a container.
func (l *live) run(name, image, network string, labels map[string]string) string {
	l.t.Helper()
	ctx := context.Background()
	made, err := l.api.ContainerCreate(ctx, &containertypes.Config{Image: image, Labels: labels},
		&containertypes.HostConfig{NetworkMode: containertypes.NetworkMode(network)}, nil, nil, name)
	l.must(err)
	l.t.Cleanup(func() {
		l.api.ContainerRemove(ctx, made.ID, containertypes.RemoveOptions{Force: true})
	})
	l.must(l.api.ContainerStart(ctx, made.ID, containertypes.StartOptions{}))
	return made.ID
}

func (l *live) network(driver string) string {
	l.t.Helper()
	name := l.id + "-" + driver
	_, err := l.api.NetworkCreate(context.Background(), name, networktypes.CreateOptions{Driver: driver, Attachable: driver == "overlay"})
	l.must(err)
	l.t.Cleanup(func() {
		for range 50 { // tasks leave it some time after their service is gone
			if l.api.NetworkRemove(context.Background(), name) == nil {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		l.t.Errorf("the network %s could not be removed", name)
	})
	return name
}

// watch runs a source, and keeps what it emits.
func (l *live) watch(network string) *watcher {
	s, err := New(Options{Host: l.host, Network: network, Log: zerolog.Nop(), Linger: -1})
	l.must(err)
	return watchSource(l.t, s)
}

// say asks a peer, whose process may not listen yet: its event comes before.
func (l *live) say(addr string) (said string, err error) {
	for range 100 {
		if said, err = say(addr); err == nil {
			return said, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return said, err
}

func say(addr string) (string, error) {
	resp, err := http.Get(addr + "/")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

func (l *live) waitStopped(id string) string {
	l.t.Helper()
	ended, errs := l.api.ContainerWait(context.Background(), id, containertypes.WaitConditionNotRunning)
	select {
	case <-ended:
	case err := <-errs:
		l.must(err)
	}
	return id
}

// noTasks waits until the containers of a service are gone, so that its network
// can be removed. An engine that leaves its Swarm may leave dead ones behind.
func (l *live) noTasks(service string) {
	for range 100 {
		found, err := l.api.ContainerList(context.Background(), containertypes.ListOptions{
			All: true, Filters: filters.NewArgs(filters.Arg("label", swarmServiceID+"="+service)),
		})
		if err != nil || len(found) == 0 {
			return
		}
		for _, c := range found {
			if c.State != containertypes.StateRunning {
				_ = l.api.ContainerRemove(context.Background(), c.ID, containertypes.RemoveOptions{Force: true})
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// swarm makes the engine a manager of a Swarm of its own for the time of the
// test, unless it is one. internal/engine wants the same of the same engine: one
// at a time.
func (l *live) swarm() {
	l.t.Helper()
	lock, err := os.OpenFile(filepath.Join(os.TempDir(), "edgerouter-test-swarm.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	l.must(err)
	l.must(syscall.Flock(int(lock.Fd()), syscall.LOCK_EX))
	l.t.Cleanup(func() { lock.Close() })
	ctx := context.Background()
	info, err := l.api.Info(ctx)
	l.must(err)
	if info.Swarm.LocalNodeState == swarmtypes.LocalNodeStateActive {
		return
	}
	_, err = l.api.SwarmInit(ctx, swarmtypes.InitRequest{ListenAddr: "127.0.0.1:2377", AdvertiseAddr: "127.0.0.1"})
	l.must(err)
	l.t.Cleanup(func() { l.must(l.api.SwarmLeave(ctx, true)) })
}
