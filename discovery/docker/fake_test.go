package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// fakeEngine answers like an engine. What it says is set by the test; nothing but
// what the source may ask for is answered.
type fakeEngine struct {
	t testing.TB

	mu         sync.Mutex
	running    []*fakeContainer
	services   []any
	tasks      []any
	nodes      []any
	networks   map[string]any
	noManager  string // the answer to /services when it is no manager
	refuse     map[string]int
	hang       map[string]chan struct{}
	version    map[string]string
	streams    []chan string
	asked      map[string]int
	asks       []string
	everything int
}

type fakeContainer struct {
	id, name   string
	labels     map[string]string
	created    int64
	state      string
	status     string
	ports      []int
	mode       string
	networks   map[string]string // name -> address
	stopSignal string
	exposed    []string // what inspecting tells
}

func newFake(t testing.TB) *fakeEngine {
	return &fakeEngine{
		t: t, noManager: "This node is not a swarm manager.", networks: map[string]any{}, refuse: map[string]int{},
		hang: map[string]chan struct{}{}, asked: map[string]int{},
		version: map[string]string{"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12"},
	}
}

var versioned = regexp.MustCompile(`^/v1\.(\d+)(/.*)$`)

func (f *fakeEngine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if m := versioned.FindStringSubmatch(path); m != nil {
		path = m[2]
		if older(f.version["ApiVersion"], "1."+m[1]) {
			f.fail(w, 400, "client version 1."+m[1]+" is too new")
			return
		}
	} else if path != "/version" {
		f.t.Errorf("asked for %s without a version", path)
	}
	f.mu.Lock()
	f.everything++
	f.asked[path]++
	f.asks = append(f.asks, path)
	code, blocked := f.refuse[path], f.hang[path]
	if c, ok := f.refuse["*"]; ok {
		code = c
	}
	f.mu.Unlock()
	if r.Method != http.MethodGet {
		f.t.Errorf("%s %s: the engine is only to be read", r.Method, path)
	}
	if blocked != nil {
		select {
		case <-blocked:
		case <-r.Context().Done():
			return
		}
	}
	if code != 0 {
		f.fail(w, code, "refused by the test")
		return
	}
	f.answer(w, r, path)
}

func (f *fakeEngine) fail(w http.ResponseWriter, code int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(map[string]string{"message": message})
}

func (f *fakeEngine) answer(w http.ResponseWriter, r *http.Request, path string) {
	f.mu.Lock()
	var say any
	switch {
	case path == "/version":
		say = f.version
	case path == "/info":
		say = map[string]any{"Name": "fake", "SystemTime": time.Now().Format(time.RFC3339Nano), "Swarm": map[string]any{"NodeID": "here"}}
	case path == "/events":
		f.mu.Unlock()
		f.stream(w, r)
		return
	case path == "/containers/json":
		var filters struct {
			ID map[string]bool `json:"id"`
		}
		json.Unmarshal([]byte(r.URL.Query().Get("filters")), &filters)
		list := []any{}
		for _, c := range f.running {
			if len(filters.ID) == 0 || filters.ID[c.id] {
				list = append(list, c.summary())
			}
		}
		say = list
	case strings.HasPrefix(path, "/containers/"):
		id := strings.TrimSuffix(strings.TrimPrefix(path, "/containers/"), "/json")
		i := slices.IndexFunc(f.running, func(c *fakeContainer) bool { return c.id == id })
		if i < 0 {
			f.mu.Unlock()
			f.fail(w, 404, "No such container: "+id)
			return
		}
		exposed := map[string]any{}
		for _, p := range f.running[i].exposed {
			exposed[p] = struct{}{}
		}
		say = map[string]any{"Id": id, "Config": map[string]any{"StopSignal": f.running[i].stopSignal, "ExposedPorts": exposed}}
	case path == "/services" && f.noManager != "":
		text := f.noManager
		f.mu.Unlock()
		f.fail(w, 503, text)
		return
	case path == "/services":
		say = f.services
	case path == "/tasks":
		say = f.tasks
	case path == "/nodes":
		say = f.nodes
	case strings.HasPrefix(path, "/networks/"):
		say = f.networks[strings.TrimPrefix(path, "/networks/")]
		if say == nil {
			f.mu.Unlock()
			f.fail(w, 404, "network not found")
			return
		}
	default:
		f.t.Errorf("asked for %s", path)
	}
	body, err := json.Marshal(say)
	f.mu.Unlock()
	if err != nil {
		f.t.Error(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(body)
}

func (c *fakeContainer) summary() any {
	networks := map[string]any{}
	for name, addr := range c.networks {
		if strings.Contains(addr, ":") {
			networks[name] = map[string]any{"GlobalIPv6Address": addr}
			continue
		}
		networks[name] = map[string]any{"IPAddress": addr}
	}
	ports := []any{}
	for _, p := range c.ports {
		ports = append(ports, map[string]any{"PrivatePort": p, "Type": "tcp"}, map[string]any{"PrivatePort": p + 1, "Type": "udp"})
	}
	state, status := c.state, c.status
	if state == "" {
		state = "running"
	}
	if status == "" {
		status = "Up 3 seconds"
	}
	return map[string]any{
		"Id": c.id, "Names": []string{"/" + c.name}, "Labels": c.labels, "Created": c.created, "State": state, "Status": status,
		"Ports": ports, "HostConfig": map[string]any{"NetworkMode": c.mode}, "NetworkSettings": map[string]any{"Networks": networks},
	}
}

func (f *fakeEngine) stream(w http.ResponseWriter, r *http.Request) {
	ch := make(chan string, 4096)
	f.mu.Lock()
	f.streams = append(f.streams, ch)
	f.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(200)
	w.(http.Flusher).Flush()
	for {
		select {
		case text, ok := <-ch:
			if !ok {
				return
			}
			w.Write([]byte(text))
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

// raw writes to every stream of events.
func (f *fakeEngine) raw(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, ch := range f.streams {
		ch <- text
	}
}

// cut ends the streams.
func (f *fakeEngine) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, ch := range f.streams {
		close(ch)
	}
	f.streams = nil
}

func (f *fakeEngine) event(kind, action, id string, attributes ...string) {
	at := map[string]string{}
	for i := 0; i < len(attributes); i += 2 {
		at[attributes[i]] = attributes[i+1]
	}
	b, _ := json.Marshal(map[string]any{
		"Type": kind, "Action": action, "Actor": map[string]any{"ID": id, "Attributes": at}, "timeNano": time.Now().UnixNano(),
	})
	f.raw(string(b) + "\n")
}

// start adds a container and tells of it; stop the reverse.
func (f *fakeEngine) start(c *fakeContainer) {
	f.mu.Lock()
	f.running = append(f.running, c)
	f.mu.Unlock()
	f.event("container", "start", c.id)
}

func (f *fakeEngine) die(id string) {
	f.mu.Lock()
	f.running = slices.DeleteFunc(f.running, func(c *fakeContainer) bool { return c.id == id })
	f.mu.Unlock()
	f.event("container", "die", id)
}

func (f *fakeEngine) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fakeEngine) count(path string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[path]
}

// web is a container that makes the application of its name.
func web(n int, name string, more ...string) *fakeContainer {
	c := &fakeContainer{
		id: fmt.Sprintf("%064x", n), name: name, created: int64(n), ports: []int{8080},
		labels:   map[string]string{"traefik.frontend.rule": "Host:" + name + ".test", "edgerouter.auth": "public"},
		networks: map[string]string{"bridge": fmt.Sprintf("172.17.%d.%d", n/250, n%250+2)},
	}
	for i := 0; i < len(more); i += 2 {
		if more[i+1] == "" {
			delete(c.labels, more[i])
			continue
		}
		c.labels[more[i]] = more[i+1]
	}
	return c
}

// replica is a container of the Compose service p_s.
func replica(n int, more ...string) *fakeContainer {
	return web(n, fmt.Sprintf("p-s-%d", n), append([]string{
		composeProject, "p", composeService, "s", "traefik.frontend.rule", "Host:s.test",
	}, more...)...)
}

// onSocket serves the engine on a unix socket and returns its address.
func (f *fakeEngine) onSocket() string {
	path := filepath.Join(f.t.TempDir(), "docker.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		f.t.Fatal(err)
	}
	server := &http.Server{Handler: f}
	go server.Serve(ln)
	f.t.Cleanup(func() { server.Close() })
	return "unix://" + path
}

// pipes is a network in the process, for tests with a clock of their own.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-p.done:
		return nil, fmt.Errorf("connect: connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// inBubble runs a source against the engine in a synctest bubble. stop has to be
// called at the end of it.
func (f *fakeEngine) inBubble(change func(*Options)) (w *watcher, s *Source, stop func()) {
	o := Options{Host: "unix:///fake", Log: zerolog.Nop()}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		f.t.Fatal(err)
	}
	network := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	s.at.dial = network.dial
	server := &http.Server{Handler: f}
	served := make(chan struct{})
	go func() { server.Serve(network); close(served) }()
	w = &watcher{t: f.t.(*testing.T), change: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { s.Run(ctx, w.emit); close(done) }()
	return w, s, func() {
		cancel()
		<-done
		server.Close()
		<-served
	}
}

func recorded(t testing.TB, name string) []byte {
	data, err := os.ReadFile(filepath.Join("testdata/engine", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}
