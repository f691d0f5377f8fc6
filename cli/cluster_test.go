package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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
	if err := os.WriteFile(secret, []byte("the cluster's secret in a test\n"), 0o600); err != nil {
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
			if t.Failed() {
				text := m.out.String()
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

// writer appends at a steady rate through one member and remembers what became of it.
type writer struct {
	acked, unsure map[string]bool
	failed        int
}

func (w *writer) run(ctx context.Context, t *testing.T, m *member, rate time.Duration) {
	w.acked, w.unsure = map[string]bool{}, map[string]bool{}
	l := m.log()
	defer l.Close()
	tick := time.NewTicker(rate)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		to := fmt.Sprintf("/%s-%05d", m.name, n)
		asked, cancel := context.WithTimeout(context.WithoutCancel(ctx), 25*time.Second)
		_, err := l.Append(asked, stream.Path("1"), redirectApp(t, "w-"+m.name, m.name+".example.com", to))
		cancel()
		switch {
		case err == nil:
			w.acked[to] = true
		case errors.Is(err, bus.ErrUnacknowledged):
			w.unsure[to] = true
		case errors.Is(err, bus.ErrUnavailable):
			w.failed++
		default:
			t.Errorf("%s: an append failed with %v", m.name, err)
		}
	}
}

// The promise: whatever happens to single nodes, and to all of them at once, no
// acknowledged append is lost, none is applied twice, all nodes come to the same,
// and each serves all the while. EDGEROUTER_TEST_LONG=N runs the long form N times.
func TestClusterPromise(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	rounds, away := 1, 8*time.Second
	if n, err := strconv.Atoi(os.Getenv("EDGEROUTER_TEST_LONG")); err == nil && n > 0 {
		rounds, away = n, 30*time.Second
	}
	for round := range rounds {
		t.Run(strconv.Itoa(round), func(t *testing.T) { clusterPromise(t, round, away) })
	}
}

func clusterPromise(t *testing.T, round int, away time.Duration) {
	c := newCluster(t, "a", "b", "c")
	for _, m := range c.members {
		m.start()
	}
	for _, m := range c.members {
		eventually(t, m.name+" answers", time.Minute, func() bool { _, err := m.own(); return err == nil })
	}
	first := c.members[0].log()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	at, err := first.Append(ctx, stream.Path("1"), redirectApp(t, "steady", "steady.example.com", "/steady"))
	cancel()
	first.Close()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range c.members {
		eventually(t, m.name+" has the first application", 30*time.Second, func() bool {
			s, err := m.own()
			return err == nil && s.Generation >= at.Version
		})
		m.ready()
	}

	running, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	writers := make([]*writer, len(c.members))
	var requests, failures atomic.Int64
	for i, m := range c.members {
		writers[i] = &writer{}
		all.Go(func() { writers[i].run(running, t, m, 60*time.Millisecond) })
		all.Go(func() {
			client := &http.Client{Timeout: 5 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
			defer client.CloseIdleConnections()
			tick := time.NewTicker(15 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-running.Done():
					return
				case <-tick.C:
				}
				asked, err := m.request(client)
				if asked {
					requests.Add(1)
				}
				if err != nil {
					failures.Add(1)
					t.Errorf("a client of %s: %v", m.name, err)
				}
			}
		})
	}
	between := func(d time.Duration) { // the faults take this long; nothing is waited for
		timer := time.NewTimer(d)
		defer timer.Stop()
		<-timer.C
	}
	between(2 * time.Second)

	killed := c.members[round%3]
	killed.kill(syscall.SIGKILL)
	between(away / 4)
	killed.start()
	killed.ready()
	between(2 * time.Second)

	frozen := c.members[(round+1)%3]
	frozen.setUp(false)
	frozen.cmd.Process.Signal(syscall.SIGSTOP)
	between(away)
	frozen.cmd.Process.Signal(syscall.SIGCONT)
	frozen.ready()
	between(2 * time.Second)

	c.isolate((round+2)%3, true)
	between(away)
	c.isolate((round+2)%3, false)
	between(4 * time.Second)

	for _, m := range c.members {
		m.setUp(false)
	}
	for _, m := range c.members {
		m.cmd.Process.Signal(syscall.SIGTERM)
	}
	for _, m := range c.members {
		<-m.ended
		m.start()
	}
	for _, m := range c.members {
		m.ready()
	}
	between(3 * time.Second)
	stop()
	all.Wait()

	// All nodes come to the same.
	took := eventually(t, "all nodes have the same", 20*time.Second, func() bool {
		var first admin.NodeStatus
		for i, m := range c.members {
			s, err := m.own()
			if err != nil || s.Streams[0].State != bus.Following || s.Streams[0].Lag() > 0 || s.Generation != s.Streams[0].Version {
				return false
			}
			if i == 0 {
				first = s
			}
			if s.Generation != first.Generation || s.Streams[0].Digest != first.Streams[0].Digest {
				return false
			}
		}
		return true
	})
	acked, unsure, failed := 0, 0, 0
	for i, m := range c.members {
		l := m.log()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		entries, err := entries(ctx, l, stream.Path("1"))
		cancel()
		l.Close()
		if err != nil {
			t.Fatal(err)
		}
		checkLog(t, m, entries, writers)
		acked, unsure, failed = acked+len(writers[i].acked), unsure+len(writers[i].unsure), failed+writers[i].failed
	}
	t.Logf("%d appends acknowledged, %d unsure, %d refused; %d requests, %d failed; the same everywhere %s after the end",
		acked, unsure, failed, requests.Load(), failures.Load(), took.Round(time.Millisecond))
	if acked == 0 || requests.Load() == 0 {
		t.Error("nothing happened")
	}
}

// checkLog: every acknowledged append is there once, in the order in which its
// writer made them, and every other at most once.
func checkLog(t *testing.T, m *member, entries []bus.Entry, writers []*writer) {
	t.Helper()
	seen := map[string]int{}
	last := map[string]string{}
	acked := map[string]bool{}
	for _, w := range writers {
		maps.Copy(acked, w.acked)
	}
	for i, e := range entries {
		if e.Version != int64(i) {
			t.Fatalf("%s: version %d is at place %d", m.name, e.Version, i)
		}
		for _, line := range e.Events {
			event, err := bus.ParseEvent(line)
			if err != nil {
				t.Fatal(err)
			}
			var p struct {
				Application struct {
					ID      string
					Backend struct {
						Redirect struct{ To string } `json:"redirect_opts"`
					}
				}
			}
			if err := json.Unmarshal(event.Data, &p); err != nil {
				t.Fatal(err)
			}
			to := p.Application.Backend.Redirect.To
			seen[to]++
			if !acked[to] {
				continue // one that was given up on may get there late
			}
			if id := p.Application.ID; to <= last[id] {
				t.Errorf("%s: %s comes after %s", m.name, to, last[id])
			}
			last[p.Application.ID] = to
		}
	}
	known := map[string]bool{"/steady": true}
	for _, w := range writers {
		for to := range w.acked {
			known[to] = true
			if seen[to] != 1 {
				t.Errorf("%s: the acknowledged append %s is there %d times", m.name, to, seen[to])
			}
		}
		for to := range w.unsure {
			known[to] = true
			if seen[to] > 1 {
				t.Errorf("%s: the append %s is there %d times", m.name, to, seen[to])
			}
		}
	}
	var strange []string
	for to := range seen {
		if !known[to] {
			strange = append(strange, to)
		}
	}
	slices.Sort(strange)
	if len(strange) > 0 {
		t.Errorf("%s: appends that were refused are there: %v", m.name, strange)
	}
}
