package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/app"
	"edgerouter/metrics"
	"edgerouter/server"
	"edgerouter/turbo"
	"edgerouter/turbo/cache"
	"edgerouter/turbo/content"
	"edgerouter/turbo/deploy"
	"edgerouter/turbo/origin"
	"edgerouter/turbo/store"
	"edgerouter/upstream"
)

// hybrid is an application that serves its own files and advertises them.
type hybrid struct {
	mu       sync.Mutex
	files    fstest.MapFS
	manifest string
	header   string // instead of the one of manifest
	status   int    // of HEAD on the prefix, when not 0
	asked    atomic.Int64
	static   atomic.Int64 // requests below the prefix that came through
}

func (h *hybrid) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

func (h *hybrid) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	files, manifest, header, status := h.files, h.manifest, h.header, h.status
	h.mu.Unlock()
	below := r.URL.Path == "/static" || strings.HasPrefix(r.URL.Path, "/static/")
	switch {
	case r.Method == "HEAD" && r.URL.Path == "/static":
		h.asked.Add(1)
		if status != 0 {
			w.WriteHeader(status)
			return
		}
	case below:
		h.static.Add(1)
	}
	next := http.StripPrefix("/static", http.FileServerFS(files))
	var app http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if below {
			next.ServeHTTP(w, r)
			return
		}
		fmt.Fprint(w, "the application")
	})
	if header != "" && below {
		w.Header().Set(origin.Header, header)
		app.ServeHTTP(w, r)
		return
	}
	origin.Advertise("/static", manifest, app).ServeHTTP(w, r)
}

type turboBed struct {
	t      *testing.T
	url    string
	engine *turbo.Engine
	store  *store.Folder
	app    *hybrid
	peer   *httptest.Server
}

func newTurboBed(t *testing.T, option string) *turboBed {
	t.Helper()
	b := &turboBed{t: t, app: &hybrid{}}
	b.peer = httptest.NewServer(b.app)
	t.Cleanup(b.peer.Close)
	var err error
	if b.store, err = store.OpenFolder(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	c, err := cache.Open(cache.Options{Dir: t.TempDir(), Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	b.engine = turbo.New(b.store, c, zerolog.Nop())
	b.engine.CheckEvery = 20 * time.Millisecond
	kinds := Standard{Turbo: b.engine, Upstream: upstream.Deps{Log: zerolog.Nop(), Stats: &upstream.Stats{}}}
	g := New(Options{Builders: kinds.Builders(), Middlewares: kinds.Middlewares(), Metrics: metrics.NewSet(), Log: zerolog.Nop(), Grace: time.Millisecond})
	definition, _ := json.Marshal(map[string]any{"apps": []any{map[string]any{
		"id":        "hybrid",
		"frontends": []any{map[string]any{"kind": "hostname", "hostname": "127.0.0.1", "allow_insecure_http": true}},
		"backend":   map[string]any{"kind": "peer_set", "peer_set_opts": map[string]any{"addrs": []string{b.peer.URL}, "turbocharger": option}},
	}}})
	url, stop := serve(t, g, definition)
	b.url = url
	t.Cleanup(func() {
		stop()
		g.Close()
		b.engine.Close()
		c.Close()
	})
	return b
}

// deploy puts version v into store and application.
func (b *turboBed) deploy(v int) (manifest string) {
	b.t.Helper()
	files := fstest.MapFS{}
	for _, name := range []string{"app.css", "sub/page.html", "404.html"} {
		files[name] = &fstest.MapFile{Data: bytes.Repeat(fmt.Appendf(nil, "%s v%02d\n", name, v), 300), Mode: 0o644}
	}
	files[fmt.Sprintf("only-%02d.txt", v)] = &fstest.MapFile{Data: fmt.Append(nil, v), Mode: 0o644}
	var tar bytes.Buffer
	if err := origin.Tar(&tar, files); err != nil {
		b.t.Fatal(err)
	}
	r, err := deploy.Tar(b.t.Context(), b.store, "hybrid", &tar, deploy.Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	b.app.set(func() { b.app.files, b.app.manifest = files, r.Manifest.String() })
	return r.Manifest.String()
}

func (b *turboBed) get(path string) (status int, body, tag string) {
	b.t.Helper()
	resp, err := http.Get(b.url + path)
	if err != nil {
		b.t.Error(err)
		return 0, "", ""
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Error(err)
	}
	return resp.StatusCode, string(data), resp.Header.Get("ETag")
}

func (b *turboBed) eventually(what string, ok func() bool) {
	b.t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatal("in 20 s: not " + what)
		}
	}
}

// ours says whether the edge answers by itself.
func (b *turboBed) ours(path string) bool {
	before := b.app.static.Load()
	status, body, _ := b.get(path)
	return status != 0 && body != "" && b.app.static.Load() == before
}

func TestTakeover(t *testing.T) {
	b := newTurboBed(t, "on")
	b.deploy(1)
	if _, body, _ := b.get("/"); body != "the application" {
		t.Fatalf("the application: %q", body)
	}
	b.eventually("taken over", func() bool { return b.ours("/static/app.css") })
	status, body, tag := b.get("/static/app.css")
	if status != 200 || !strings.HasPrefix(body, "app.css v01") || len(tag) < content.IDLength+2 { // with the suffix of an encoding, if there is one already
		t.Errorf("%d %.20q %s", status, body, tag)
	}
	if status, body, _ := b.get("/static/sub/missing"); status != 404 || !strings.HasPrefix(body, "404.html v01") || !b.ours("/static/sub/missing") {
		t.Errorf("a file that is not there: %d %.20q", status, body)
	}
	if status, body, _ := b.get("/staticky"); status != 200 || body != "the application" {
		t.Errorf("a path that only begins like it: %d %q", status, body)
	}
	for _, method := range []string{"POST", "PUT"} {
		req, _ := http.NewRequest(method, b.url+"/static/app.css", strings.NewReader("x"))
		if resp, err := http.DefaultClient.Do(req); err != nil || resp.StatusCode != 405 {
			t.Errorf("%s: %v, %v", method, resp, err)
		} else {
			resp.Body.Close()
		}
	}

	// Versions change under load: every answer is a whole file of one version, and
	// what only an earlier version has is still there.
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				status, body, _ := b.get("/static/app.css")
				line, _, _ := strings.Cut(body, "\n")
				if status != 200 || body != strings.Repeat(line+"\n", 300) {
					t.Errorf("under load: %d with %d bytes", status, len(body))
					return
				}
			}
		})
	}
	for v := 2; v <= 6; v++ {
		b.deploy(v)
		b.eventually("the new version", func() bool {
			_, body, _ := b.get("/static/app.css")
			return strings.HasPrefix(body, fmt.Sprintf("app.css v%02d", v))
		})
		if status, _, _ := b.get(fmt.Sprintf("/static/only-%02d.txt", v-1)); status != 200 {
			t.Errorf("what only version %d has: %d", v-1, status)
		}
	}
	close(stop)
	wg.Wait()

	// Nobody answers: the last version stays. (httptest closes its listener.)
	b.peer.CloseClientConnections()
	if status, _, _ := b.get("/static/only-01.txt"); status != 404 && status != 200 {
		t.Errorf("%d", status)
	}

	// The header goes: the application serves itself again, and a new header
	// begins another takeover.
	b.app.set(func() { b.app.manifest = "" })
	b.eventually("given back", func() bool { return !b.ours("/static/app.css") })
	b.deploy(7)
	b.eventually("taken over again", func() bool { return b.ours("/static/app.css") })
	b.app.set(func() { b.app.status = 500 })
	b.eventually("ended by an error status", func() bool {
		b.get("/static/app.css") // the check comes with traffic
		return b.engine.Stats.Ended.Load() == 2
	})
	b.app.set(func() { b.app.status = 0 })
	b.eventually("taken over a third time", func() bool { return b.ours("/static/app.css") })
	b.peer.Close()
	for range 10 {
		if status, body, _ := b.get("/static/app.css"); status != 200 || !strings.HasPrefix(body, "app.css v07") {
			t.Errorf("with the origin down: %d %.20q", status, body)
		}
		time.Sleep(25 * time.Millisecond)
	}
	if status, _, _ := b.get("/"); status != 502 {
		t.Errorf("the application with the origin down: %d", status)
	}
}

// TestBadAdvertisements: whatever the header says, the application is served.
func TestBadAdvertisements(t *testing.T) {
	b := newTurboBed(t, "on")
	good := b.deploy(1)
	unknown := content.IDOf([]byte("unknown")).String()
	for i, header := range []string{
		"x", "/static", good, "/static " + good + " more", "/static x", "/other " + good, "/static/../other " + good,
		"/static " + unknown, "static " + good, "//static " + good, "/static\t\t", strings.Repeat("/x", 3000) + " " + good,
	} {
		b.app.set(func() { b.app.header = header })
		for range 3 {
			status, body, _ := b.get("/static/app.css")
			if status != 200 || !strings.HasPrefix(body, "app.css v01") {
				t.Errorf("%d. %.60q: %d %.20q", i, header, status, body)
			}
		}
	}
	if n := b.engine.Stats.Takeovers.Load(); n != 0 {
		t.Errorf("%d takeovers", n)
	}
	if b.engine.Stats.Refused.Load() == 0 {
		t.Error("nothing was counted as refused")
	}
	// The other order is as good.
	b.app.set(func() { b.app.header = good + " /static/" })
	b.eventually("taken over", func() bool { return b.ours("/static/app.css") })
}

// TestFlapping: two instances name two versions in turn. Each answer is whole, and
// the version does not change with each check.
func TestFlapping(t *testing.T) {
	b := newTurboBed(t, "on")
	one := b.deploy(1)
	two := b.deploy(2)
	b.eventually("taken over", func() bool { return b.ours("/static/app.css") })
	var turn atomic.Int64
	b.peer.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := one
		if turn.Add(1)%2 == 0 {
			id = two
		}
		w.Header().Set(origin.Header, "/static "+id)
	})
	for range 100 {
		status, body, _ := b.get("/static/app.css")
		line, _, _ := strings.Cut(body, "\n")
		if status != 200 || body != strings.Repeat(line+"\n", 300) {
			t.Errorf("%d %.20q", status, body)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if n := b.engine.Stats.Switches.Load(); n > 2 {
		t.Errorf("the version changed %d times", n)
	}
}

func TestTurbochargerOff(t *testing.T) {
	b := newTurboBed(t, "off")
	b.deploy(1)
	for range 20 {
		if b.ours("/static/app.css") {
			t.Fatal("taken over")
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// serve puts the applications of a document into service behind a real socket.
// stop ends that.
func serve(t *testing.T, g *Gateway, document []byte) (url string, stop func()) {
	t.Helper()
	apps, problems := app.Decode("test", document)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	g.Apply([]SourceSet{{Source: "test", Apps: apps}})
	s := server.New(server.Config{Lookup: g.Lookup, Unmatched: metrics.NewSet().App("none"), Log: zerolog.Nop()})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l, false) }()
	return "http://" + l.Addr().String(), func() {
		s.Shutdown(context.Background(), 0)
		<-done
	}
}
