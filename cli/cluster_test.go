package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"edgerouter/admin"
	"edgerouter/bus"
	"edgerouter/bus/remote"
	"edgerouter/discovery/stream"
)

// member is one node of a cluster of real processes.
type member struct {
	t                  *testing.T
	name, binary, data string
	http, admin        string
	args               []string
	cmd                *exec.Cmd
	ended              chan struct{}
	out                lockedOutput

	// up says that a client may expect an answer: the process is neither killed nor
	// stopped nor starting. Requests in flight hold traffic for reading.
	traffic sync.RWMutex
	up      bool
}

type lockedOutput struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *lockedOutput) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *lockedOutput) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// clusterSecret is what the members share.
const clusterSecret = "the cluster's secret in a test"

// cluster is three members that reach each other through relays.
type cluster struct {
	t       *testing.T
	members []*member
	relays  [][]*relay // from, to
}

func newCluster(t *testing.T, names ...string) *cluster {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(t.TempDir(), "edgerouter")
	if err := os.Symlink(self, binary); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(clusterSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t}
	routes := make([]string, len(names))
	for i, name := range names {
		routes[i] = freePort(t)
		c.members = append(c.members, &member{t: t, name: name, binary: binary, data: t.TempDir(), http: freePort(t), admin: freePort(t)})
	}
	for i, m := range c.members {
		c.relays = append(c.relays, make([]*relay, len(names)))
		var peers []string
		for j := range names {
			if j != i {
				c.relays[i][j] = newRelay(t, routes[j])
				peers = append(peers, c.relays[i][j].addr())
			}
		}
		m.args = []string{"serve", "--docker", "off", "--http", m.http, "--https", "", "--admin", m.admin, "--data", m.data, "--node", m.name,
			"--bus-listen", routes[i], "--bus-peers", strings.Join(peers, ","), "--bus-secret-file", secret, "--apps", filepath.Join(m.data, "none.json")}
		if err := os.WriteFile(filepath.Join(m.data, "none.json"), []byte(`{"apps": []}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, m := range c.members {
			m.kill(syscall.SIGKILL)
			text := m.out.String()
			if strings.Contains(text, clusterSecret) {
				t.Errorf("%s tells the secret of the cluster", m.name)
			}
			if t.Failed() {
				for line := range strings.Lines(text) {
					if !strings.Contains(line, "configuration applied") {
						t.Logf("%s: %s", m.name, line)
					}
				}
			}
		}
	})
	return c
}

// isolate cuts a member off from the others, or connects it again.
func (c *cluster) isolate(i int, cut bool) {
	for j := range c.members {
		if j != i {
			c.relays[i][j].set(cut)
			c.relays[j][i].set(cut)
		}
	}
}

func (m *member) start() {
	m.t.Helper()
	m.cmd = exec.Command(m.binary, m.args...)
	m.cmd.Stderr = &m.out
	if err := m.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	cmd, ended := m.cmd, make(chan struct{})
	m.ended = ended
	go func() { cmd.Wait(); close(ended) }()
}

// kill sends a signal and waits for the end.
func (m *member) kill(signal syscall.Signal) {
	m.setUp(false)
	if m.cmd == nil {
		return
	}
	m.cmd.Process.Signal(syscall.SIGCONT)
	m.cmd.Process.Signal(signal)
	<-m.ended
}

func (m *member) setUp(up bool) {
	m.traffic.Lock()
	defer m.traffic.Unlock()
	m.up = up
}

// ready waits until the member serves.
func (m *member) ready() {
	m.t.Helper()
	eventually(m.t, m.name+" is ready", time.Minute, func() bool {
		resp, err := http.Get("http://" + m.admin + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	m.setUp(true)
}

func eventually(t *testing.T, what string, limit time.Duration, f func() bool) time.Duration {
	t.Helper()
	started := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		if time.Since(started) > limit {
			t.Fatalf("after %s it is not so that %s", limit, what)
		}
		<-tick.C
	}
	return time.Since(started)
}

func (m *member) log() bus.Log {
	token, err := os.ReadFile(filepath.Join(m.data, "admin-token"))
	if err != nil {
		m.t.Error(err)
		return &bus.Memory{}
	}
	l, err := remote.New("http://"+m.admin, strings.TrimSpace(string(token)))
	if err != nil {
		m.t.Error(err)
		return &bus.Memory{}
	}
	return l
}

func (m *member) cluster() (admin.Cluster, error) {
	var c admin.Cluster
	resp, err := http.Get("http://" + m.admin + "/api/v1/cluster")
	if err != nil {
		return c, err
	}
	defer resp.Body.Close()
	return c, json.NewDecoder(resp.Body).Decode(&c)
}

// own is what a member says of itself.
func (m *member) own() (admin.NodeStatus, error) {
	c, err := m.cluster()
	if err != nil {
		return admin.NodeStatus{}, err
	}
	for _, n := range c.Nodes {
		if n.Node == m.name {
			return n.NodeStatus, nil
		}
	}
	return admin.NodeStatus{}, errors.New("it does not list itself")
}

// request asks the member for the application "steady", which is there all the
// while. A member that is not up is not asked.
func (m *member) request(client *http.Client) (asked bool, err error) {
	m.traffic.RLock()
	defer m.traffic.RUnlock()
	if !m.up {
		return false, nil
	}
	req, _ := http.NewRequest(http.MethodGet, "http://"+m.http+"/x", nil)
	req.Host = "steady.example.com"
	resp, err := client.Do(req)
	if err != nil {
		return true, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return true, err
	}
	if resp.StatusCode != http.StatusFound || resp.Header.Get("Location") != "/steady" {
		return true, fmt.Errorf("answered %d to %q", resp.StatusCode, resp.Header.Get("Location"))
	}
	return true, nil
}

func redirectApp(t *testing.T, id, host, to string) string {
	t.Helper()
	line, err := stream.Updated(time.Now(), json.RawMessage(fmt.Sprintf(
		`{"id": %q, "frontends": [{"kind": "hostname", "hostname": %q, "allow_insecure_http": true}], "backend": {"kind": "redirect", "redirect_opts": {"to": %q}}}`, id, host, to)))
	if err != nil {
		t.Fatal(err)
	}
	return line
}
