package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	containertypes "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/docker/go-connections/nat"
)

// edge is edgerouter in a container, with the engine's socket in it and its
// ports published on 127.0.0.1.
type edge struct {
	t     *testing.T
	e     *engine
	id    string
	http  netip.AddrPort
	admin string // URL
}

// adminToken lets the tests read what the admin listener of the container tells.
const adminToken = "token-of-the-engine-tests-0123456789"

type edgeOptions struct {
	network string   // the container's; and whose addresses are used, unless "asked" says
	asked   string   // --docker-network
	env     []string // further settings
	// socketDir is mounted instead of the socket: an engine that is started again
	// makes another socket, which a mount of the first one does not lead to.
	socketDir string
}

// newEdge starts edgerouter and waits until it is ready.
func (e *engine) newEdge(o edgeOptions) *edge {
	e.t.Helper()
	if o.asked == "" {
		o.asked = o.network
	}
	token := filepath.Join(e.t.TempDir(), "token")
	e.must(os.WriteFile(token, []byte(adminToken), 0o644))
	e.must(os.Chmod(filepath.Dir(token), 0o755))
	e.must(os.Chmod(filepath.Dir(filepath.Dir(token)), 0o755))
	socket, group := e.socket()
	config := &containertypes.Config{
		Image: edgeImage,
		Env: append([]string{
			"EDGEROUTER_HTTPS=", "EDGEROUTER_ADMIN=:9090", "EDGEROUTER_ADMIN_TOKEN_FILE=/token", "EDGEROUTER_ACCESS_LOG=json",
			"EDGEROUTER_LOG_LEVEL=debug", "NETWORK_NAME=" + o.asked, "DOCKER_HOST=" + defaultHost,
		}, o.env...),
		ExposedPorts: nat.PortSet{"80/tcp": {}, "9090/tcp": {}},
	}
	host := &containertypes.HostConfig{
		NetworkMode: containertypes.NetworkMode(o.network),
		GroupAdd:    []string{group},
		Mounts: []mount.Mount{
			{Type: mount.TypeBind, Source: socket, Target: "/var/run/docker.sock", ReadOnly: true},
			{Type: mount.TypeBind, Source: token, Target: "/token", ReadOnly: true},
		},
	}
	if o.socketDir != "" {
		host.Mounts[0].Source, host.Mounts[0].Target = o.socketDir, "/engine"
		config.Env = append(config.Env, "DOCKER_HOST=unix:///engine/docker.sock")
	}
	httpPort, adminPort := "80", "9090"
	if o.network == "host" {
		httpPort, adminPort = freePort(e.t), freePort(e.t)
		config.Env = append(config.Env, "EDGEROUTER_HTTP=127.0.0.1:"+httpPort, "EDGEROUTER_ADMIN=127.0.0.1:"+adminPort)
	} else {
		host.PortBindings = nat.PortMap{"80/tcp": {{HostIP: "127.0.0.1"}}, "9090/tcp": {{HostIP: "127.0.0.1"}}}
	}
	ed := &edge{t: e.t, e: e}
	ed.id = e.start(e.id+"-edge", config, host)
	if o.network != "host" {
		httpPort, adminPort = ed.published("80/tcp"), ed.published("9090/tcp")
	}
	ed.http = netip.MustParseAddrPort("127.0.0.1:" + httpPort)
	ed.admin = "http://127.0.0.1:" + adminPort
	e.t.Cleanup(ed.explain)
	eventually(e.t, func() string { return "edgerouter to be ready" }, func() bool {
		resp, err := http.Get(ed.admin + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return ed
}

// published is the port of 127.0.0.1 that leads to one of the container's.
func (ed *edge) published(port nat.Port) string {
	ed.t.Helper()
	info, err := ed.e.api.ContainerInspect(context.Background(), ed.id)
	ed.e.must(err)
	for _, b := range info.NetworkSettings.Ports[port] {
		return b.HostPort
	}
	ed.t.Fatalf("%s of edgerouter is not published; its log:\n%s", port, ed.log())
	return ""
}

// log is what edgerouter wrote.
func (ed *edge) log() string {
	r, err := ed.e.api.ContainerLogs(context.Background(), ed.id, containertypes.LogsOptions{ShowStdout: true, ShowStderr: true, Timestamps: true})
	if err != nil {
		return err.Error()
	}
	defer r.Close()
	var b bytes.Buffer
	_, _ = stdcopy.StdCopy(&b, &b, r)
	return b.String()
}

// explain shows what edgerouter said when a test failed: everything but the
// requests that were answered.
func (ed *edge) explain() {
	if !ed.t.Failed() {
		return
	}
	var told []string
	for line := range strings.Lines(ed.log()) {
		if !strings.Contains(line, `"status":200`) {
			told = append(told, line)
		}
	}
	ed.t.Logf("edgerouter's log, without answers of 200:\n%s", strings.Join(told[max(0, len(told)-400):], ""))
}

// get asks the admin listener.
func (ed *edge) get(path string, into any) error {
	req, err := http.NewRequest(http.MethodGet, ed.admin+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+adminToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// peers are the addresses of an application that take new requests.
func (ed *edge) peers(app string) []string {
	var said struct {
		Definition struct {
			Backend struct {
				Opts struct {
					Addrs   []string       `json:"addrs"`
					Weights map[string]int `json:"weights"`
				} `json:"peer_set_opts"`
			} `json:"backend"`
		} `json:"definition"`
	}
	if err := ed.get("/api/v1/apps/"+app, &said); err != nil {
		return nil
	}
	opts := said.Definition.Backend.Opts
	peers := slices.DeleteFunc(slices.Clone(opts.Addrs), func(a string) bool {
		weight, ok := opts.Weights[a]
		return ok && weight == 0
	})
	slices.Sort(peers)
	return peers
}

// until waits until an application has exactly these peers.
func (ed *edge) until(app string, want ...string) time.Duration {
	ed.t.Helper()
	want = slices.Clone(want)
	slices.Sort(want)
	return eventually(ed.t, func() string { return fmt.Sprintf("%s has the peers %v, want %v", app, ed.peers(app), want) },
		func() bool { return slices.Equal(ed.peers(app), want) })
}

// untilCount waits until an application has so many peers.
func (ed *edge) untilCount(app string, n int) time.Duration {
	ed.t.Helper()
	return eventually(ed.t, func() string { return fmt.Sprintf("%s has the peers %v, want %d", app, ed.peers(app), n) },
		func() bool { return len(ed.peers(app)) == n })
}

// answered asks for a host until so many peers have answered, and returns their
// names. A new one gets requests once it has taken a connection, and those with
// less to do come first.
func (ed *edge) answered(host string, peers int) []string {
	ed.t.Helper()
	names := map[string]bool{}
	eventually(ed.t, func() string { return fmt.Sprintf("%d peers answer for %s: only %v", peers, host, names) }, func() bool {
		status, body, err := ask(http.MethodGet, "http://"+ed.http.String()+"/", host)
		if err == nil && (status == http.StatusBadGateway || status == http.StatusServiceUnavailable) {
			return false // a peer that nobody can stand in for does not listen yet
		}
		if err != nil || status != http.StatusOK {
			ed.t.Fatalf("GET http://%s/: %d %s %v", host, status, body, err)
		}
		names[body] = true
		return len(names) >= peers
	})
	return slices.Sorted(maps.Keys(names))
}

// only asks for a host a few times: nobody but this peer may answer.
func (ed *edge) only(host, name string) {
	ed.t.Helper()
	for range 8 {
		if got := ed.answered(host, 1); got[0] != name {
			ed.t.Errorf("%s is answered by %s, want %s", host, got[0], name)
		}
	}
}
