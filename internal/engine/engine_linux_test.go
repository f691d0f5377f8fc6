package engine

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	containertypes "github.com/docker/docker/api/types/container"
	networktypes "github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

const defaultHost = "unix:///var/run/docker.sock"

// engine is a real engine with our images in it.
type engine struct {
	t    *testing.T
	api  *client.Client
	host string
	id   string // tells what this test makes from all else
}

// need skips the test, or fails it when EDGEROUTER_TEST_REQUIRE names what is
// missing.
func need(t *testing.T, what, text string) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("EDGEROUTER_TEST_REQUIRE"), ","), what) {
		t.Fatal(text)
	}
	t.Skip(text)
}

// newEngine finds the engine of the environment, or the one of this machine.
func newEngine(t *testing.T) *engine {
	t.Helper()
	host := os.Getenv("EDGEROUTER_TEST_DOCKER")
	if host == "" {
		host = defaultHost
		if _, err := os.Stat(strings.TrimPrefix(host, "unix://")); err != nil {
			need(t, "docker", "no Docker engine: install docker.io, start dockerd, and name its socket in EDGEROUTER_TEST_DOCKER (unix://...)")
		}
	}
	return connect(t, host)
}

var made atomic.Int64

// connect uses an engine, which has to be there.
func connect(t *testing.T, host string) *engine {
	t.Helper()
	if !strings.HasPrefix(host, "unix://") {
		t.Skipf("EDGEROUTER_TEST_DOCKER=%s: these tests give the engine's socket to a container and need unix://", host)
	}
	api, err := client.NewClientWithOpts(client.WithHost(host), client.WithAPIVersionNegotiation())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { api.Close() })
	e := &engine{t: t, api: api, host: host, id: fmt.Sprintf("er%d-%d", os.Getpid(), made.Add(1))}
	if err := buildImages(api); err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *engine) must(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}

// socket is the engine's, and the group that may speak to it.
func (e *engine) socket() (path string, group string) {
	e.t.Helper()
	path = strings.TrimPrefix(e.host, "unix://")
	info, err := os.Stat(path)
	e.must(err)
	return path, fmt.Sprint(info.Sys().(*syscall.Stat_t).Gid)
}

// served are the labels that make a container the application of a host.
func served(host string) map[string]string {
	return map[string]string{
		"traefik.enable":                       "true",
		"traefik.http.routers.web.rule":        "Host(`" + host + "`)",
		"traefik.http.routers.web.entrypoints": "web",
		"edgerouter.auth":                      "public",
	}
}

// peer is a container to start.
type peer struct {
	name    string
	image   string // peerImage unless said
	network string
	labels  map[string]string
	env     []string
}

// run starts a container and returns its id. It is gone when the test is.
func (e *engine) run(p peer) string {
	e.t.Helper()
	if p.image == "" {
		p.image = peerImage
	}
	return e.start(p.name, &containertypes.Config{Image: p.image, Labels: p.labels, Env: p.env},
		&containertypes.HostConfig{NetworkMode: containertypes.NetworkMode(p.network)})
}

func (e *engine) start(name string, config *containertypes.Config, host *containertypes.HostConfig) string {
	e.t.Helper()
	ctx := context.Background()
	made, err := e.api.ContainerCreate(ctx, config, host, nil, nil, name)
	e.must(err)
	e.t.Cleanup(func() {
		_ = e.api.ContainerRemove(ctx, made.ID, containertypes.RemoveOptions{Force: true, RemoveVolumes: true})
	})
	e.must(e.api.ContainerStart(ctx, made.ID, containertypes.StartOptions{}))
	return made.ID
}

// stop is docker stop: SIGTERM, and an end after its time.
func (e *engine) stop(id string) {
	e.t.Helper()
	e.must(e.api.ContainerStop(context.Background(), id, containertypes.StopOptions{}))
}

// address is where a container is on a network.
func (e *engine) address(id, network string) string {
	e.t.Helper()
	info, err := e.api.ContainerInspect(context.Background(), id)
	e.must(err)
	at := info.NetworkSettings.Networks[network]
	if at == nil {
		e.t.Fatalf("container %s is not on %s", id, network)
	}
	return "http://" + at.IPAddress + ":8080"
}

// network makes a user network. Tasks leave it some time after their service is
// gone, so its removal is tried for a while.
func (e *engine) network(driver string) string {
	e.t.Helper()
	name := e.id + "-" + driver
	_, err := e.api.NetworkCreate(context.Background(), name, networktypes.CreateOptions{Driver: driver, Attachable: driver == "overlay"})
	e.must(err)
	e.t.Cleanup(func() {
		for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
			err := e.api.NetworkRemove(context.Background(), name)
			if err == nil {
				return
			}
			if time.Since(began) > patience {
				e.t.Errorf("the network %s could not be removed: %v", name, err)
				return
			}
		}
	})
	return name
}

// eventually waits for what must become so. what is asked for when it does not.
func eventually(t *testing.T, what func() string, ok func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !ok() {
		if time.Since(began) > patience {
			t.Fatalf("not so after %s: %s", patience, what())
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(began)
}

// ask makes one request and returns the answer.
func ask(method, url, host string) (status int, body string, err error) {
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		return 0, "", err
	}
	req.Host = host
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}
