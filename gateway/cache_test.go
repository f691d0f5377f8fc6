package gateway

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/app"
	"edgerouter/httpcache"
	"edgerouter/metrics"
	"edgerouter/server"
	"edgerouter/turbo"
	"edgerouter/turbo/cache"
	"edgerouter/turbo/store"
	"edgerouter/upstream"
)

// cacheBed is a peer behind the option caching.
type cacheBed struct {
	g     *Gateway
	t     *testing.T
	addr  string
	peer  *httptest.Server
	asked atomic.Int64
	serve atomic.Pointer[http.HandlerFunc]
	stats httpcache.Stats
}

func newCacheBed(t *testing.T, caching map[string]any) *cacheBed {
	t.Helper()
	b := &cacheBed{t: t}
	b.peer = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.asked.Add(1)
		(*b.serve.Load())(w, r)
	}))
	t.Cleanup(b.peer.Close)
	b.start(b.peer.URL, caching)
	return b
}

// newCacheBedAt has a peer of somebody else's.
func newCacheBedAt(t *testing.T, peer string, caching map[string]any) *cacheBed {
	t.Helper()
	b := &cacheBed{t: t}
	b.start(peer, caching)
	return b
}

func (b *cacheBed) start(peer string, caching map[string]any) {
	t := b.t
	t.Helper()
	st, err := store.OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c, err := cache.Open(cache.Options{Dir: t.TempDir(), Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	engine := turbo.New(st, c, zerolog.Nop())
	kinds := Standard{
		Turbo: engine, CacheStats: &b.stats,
		Upstream: upstream.Deps{Log: zerolog.Nop(), Stats: &upstream.Stats{}},
	}
	g := New(Options{Builders: kinds.Builders(), Metrics: metrics.NewSet(), Log: zerolog.Nop(), Grace: time.Millisecond})
	caching["enabled"] = true
	definition, _ := json.Marshal(map[string]any{"apps": []any{map[string]any{
		"id":        "cached",
		"frontends": []any{map[string]any{"kind": "path_prefix", "path_prefix": "/", "allow_insecure_http": true}},
		"backend": map[string]any{"kind": "peer_set", "peer_set_opts": map[string]any{
			"addrs": []string{peer}, "caching": caching, "pass_host_header": true, "passive_health": map[string]any{"failures": 1000},
		}},
	}}})
	apps, problems := app.Decode("test", definition)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	g.Apply([]SourceSet{{Source: "test", Apps: apps}})
	b.g = g
	s := server.New(server.Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Lookup: g.Lookup, Unmatched: metrics.NewSet().App("none"), Log: zerolog.Nop()})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l, false) }()
	b.addr = l.Addr().String()
	t.Cleanup(func() {
		s.Shutdown(t.Context(), 0)
		<-done
		g.Close()
		engine.Close()
		c.Close()
	})
}

// purge drops what is stored.
func (b *cacheBed) purge(host, prefix string) int {
	b.t.Helper()
	n, ok := b.g.Snapshot().App("cached").Purge(host, prefix)
	if !ok {
		b.t.Fatal("there is no cache")
	}
	return n
}

// waiting returns when so many requests wait for another one.
func (b *cacheBed) waiting(n int64) {
	b.t.Helper()
	for end := time.Now().Add(time.Minute); b.stats.Waiting.Load() < n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("%d requests wait, not %d", b.stats.Waiting.Load(), n)
		}
	}
}

func (b *cacheBed) answer(h http.HandlerFunc) { b.serve.Store(&h) }

// ask returns the answer and whether the peer was asked for it.
func (b *cacheBed) ask(method, target string, fields ...string) (resp *http.Response, body string, asked bool) {
	b.t.Helper()
	before := b.asked.Load()
	c, err := net.Dial("tcp", b.addr)
	if err != nil {
		b.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	host := "Host: one.example"
	if len(fields) > 0 && strings.HasPrefix(fields[0], "Host: ") {
		host, fields = fields[0], fields[1:]
	}
	fmt.Fprintf(c, "%s %s HTTP/1.1\r\n%s\r\nConnection: close\r\n%s\r\n", method, target, host, strings.Join(append(fields, ""), "\r\n"))
	resp, err = http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, target, err)
	}
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, target, err)
	}
	return resp, string(data), b.asked.Load() != before
}

// reply answers with fields and a body that counts.
func (b *cacheBed) reply(status int, fields ...string) {
	var n atomic.Int64
	b.answer(func(w http.ResponseWriter, r *http.Request) {
		for _, f := range fields {
			name, value, _ := strings.Cut(f, ": ")
			w.Header().Add(name, value)
		}
		w.WriteHeader(status)
		fmt.Fprintf(w, "answer %d to %s", n.Add(1), r.Host)
	})
}

func ago(d time.Duration) string { return time.Now().Add(-d).UTC().Format(http.TimeFormat) }

// TestWhatIsStored asks twice: is the second answer from the cache?
func TestWhatIsStored(t *testing.T) {
	b := newCacheBed(t, map[string]any{})
	for i, c := range []struct {
		name    string
		status  int
		fields  []string // of the response
		first   []string // of the first request
		second  []string // of the second
		stored  bool
		methods [2]string
	}{
		{name: "max-age", status: 200, fields: []string{"Cache-Control: max-age=60"}, stored: true},
		{name: "s-maxage before max-age", status: 200, fields: []string{"Cache-Control: max-age=0, s-maxage=60"}, stored: true},
		{name: "s-maxage 0", status: 200, fields: []string{"Cache-Control: max-age=60, s-maxage=0"}},
		{name: "two max-age", status: 200, fields: []string{"Cache-Control: max-age=60", "Cache-Control: max-age=0"}},
		{name: "malformed max-age", status: 200, fields: []string{"Cache-Control: max-age=a60"}},
		{name: "quoted max-age", status: 200, fields: []string{`Cache-Control: max-age="60"`}, stored: true},
		{name: "an extension", status: 200, fields: []string{`Cache-Control: x="no-store, y", max-age=60`}, stored: true},
		{name: "in capitals", status: 200, fields: []string{"Cache-Control: MAX-AGE=60"}, stored: true},
		{name: "expires", status: 200, fields: []string{"Expires: " + ago(-time.Minute), "Date: " + ago(0)}, stored: true},
		{name: "expired", status: 200, fields: []string{"Expires: " + ago(time.Minute)}},
		{name: "expires 0", status: 200, fields: []string{"Expires: 0", "Last-Modified: " + ago(1000*time.Hour)}},
		{name: "max-age before expires", status: 200, fields: []string{"Expires: " + ago(time.Minute), "Cache-Control: max-age=60"}, stored: true},
		{name: "old already", status: 200, fields: []string{"Cache-Control: max-age=60", "Age: 61"}},
		{name: "nothing said", status: 200},
		{name: "heuristic", status: 200, fields: []string{"Last-Modified: " + ago(1000*time.Hour)}, stored: true},
		{name: "heuristic 404", status: 404, fields: []string{"Last-Modified: " + ago(1000*time.Hour)}, stored: true},
		{name: "heuristic 201", status: 201, fields: []string{"Last-Modified: " + ago(1000*time.Hour)}},
		{name: "201 with max-age", status: 201, fields: []string{"Cache-Control: max-age=60"}, stored: true},
		{name: "500 with max-age", status: 500, fields: []string{"Cache-Control: max-age=60"}, stored: true},
		{name: "no-store", status: 200, fields: []string{"Cache-Control: max-age=60, no-store"}},
		{name: "private", status: 200, fields: []string{"Cache-Control: max-age=60, private"}},
		{name: "no-cache", status: 200, fields: []string{"Cache-Control: max-age=60, no-cache"}},
		{name: "a cookie", status: 200, fields: []string{"Cache-Control: max-age=60, public", "Set-Cookie: a=b"}},
		{name: "vary all", status: 200, fields: []string{"Cache-Control: max-age=60", "Vary: *"}},
		{name: "vary, same", status: 200, fields: []string{"Cache-Control: max-age=60", "Vary: Accept, X-A"}, first: []string{"X-A: 1"}, second: []string{"X-A: 1"}, stored: true},
		{name: "vary, other", status: 200, fields: []string{"Cache-Control: max-age=60", "Vary: X-A"}, first: []string{"X-A: 1"}, second: []string{"X-A: 2"}},
		{name: "vary, absent", status: 200, fields: []string{"Cache-Control: max-age=60", "Vary: X-A"}, first: []string{"X-A: 1"}},
		{name: "authorized", status: 200, fields: []string{"Cache-Control: max-age=60"}, first: []string{"Authorization: x"}, second: []string{"Authorization: x"}},
		{name: "authorized, public", status: 200, fields: []string{"Cache-Control: max-age=60, public"}, first: []string{"Authorization: x"}, second: []string{"Authorization: y"}, stored: true},
		{name: "authorized, s-maxage", status: 200, fields: []string{"Cache-Control: s-maxage=60"}, first: []string{"Authorization: x"}, stored: true},
		{name: "stored for all, then authorized", status: 200, fields: []string{"Cache-Control: max-age=60"}, second: []string{"Authorization: x"}},
		{name: "another host", status: 200, fields: []string{"Cache-Control: max-age=60"}, second: []string{"Host: two.example"}},
		{name: "host in capitals", status: 200, fields: []string{"Cache-Control: max-age=60"}, second: []string{"Host: ONE.example"}, stored: true},
		{name: "request no-store", status: 200, fields: []string{"Cache-Control: max-age=60"}, first: []string{"Cache-Control: no-store"}},
		{name: "request no-cache", status: 200, fields: []string{"Cache-Control: max-age=60"}, second: []string{"Cache-Control: no-cache"}},
		{name: "request max-age", status: 200, fields: []string{"Cache-Control: max-age=600", "Age: 100"}, second: []string{"Cache-Control: max-age=50"}},
		{name: "request min-fresh", status: 200, fields: []string{"Cache-Control: max-age=60"}, second: []string{"Cache-Control: min-fresh=100"}},
		{name: "pragma", status: 200, fields: []string{"Cache-Control: max-age=60"}, second: []string{"Pragma: no-cache"}},
		{name: "request max-stale", status: 200, fields: []string{"Cache-Control: max-age=60", "Age: 70", `ETag: "x"`}, second: []string{"Cache-Control: max-stale=60"}, stored: true},
		{name: "must-revalidate against max-stale", status: 200, fields: []string{"Cache-Control: max-age=60, must-revalidate", "Age: 70", `ETag: "x"`}, second: []string{"Cache-Control: max-stale=60"}},
		{name: "HEAD after GET", status: 200, fields: []string{"Cache-Control: max-age=60"}, methods: [2]string{"GET", "HEAD"}, stored: true},
		{name: "GET after HEAD", status: 200, fields: []string{"Cache-Control: max-age=60"}, methods: [2]string{"HEAD", "GET"}},
		{name: "POST", status: 200, fields: []string{"Cache-Control: max-age=60"}, methods: [2]string{"POST", "POST"}},
	} {
		b.reply(c.status, c.fields...)
		for n, m := range c.methods {
			if m == "" {
				c.methods[n] = "GET"
			}
		}
		target := fmt.Sprintf("/case/%d?q=%d", i, i)
		content := func(m string, fields []string) []string {
			if m == "POST" {
				return append(fields, "Content-Length: 0")
			}
			return fields
		}
		resp, first, _ := b.ask(c.methods[0], target, content(c.methods[0], c.first)...)
		if resp.StatusCode != c.status {
			t.Errorf("%s: status %d", c.name, resp.StatusCode)
		}
		resp, second, asked := b.ask(c.methods[1], target, content(c.methods[1], c.second)...)
		if asked == c.stored || resp.StatusCode != c.status || resp.Header.Get("Cache-Status") == "" {
			t.Errorf("%s: the peer was asked: %v, status %d, Cache-Status %q", c.name, asked, resp.StatusCode, resp.Header.Get("Cache-Status"))
		}
		if c.stored && c.methods[1] == "GET" && first != second || c.stored && resp.Header.Get("Age") == "" {
			t.Errorf("%s: %q and then %q, Age %q", c.name, first, second, resp.Header.Get("Age"))
		}
	}
	if _, _, asked := b.ask("GET", "/never", "Cache-Control: only-if-cached"); asked {
		t.Error("only-if-cached asked the peer")
	}
}

func TestValidation(t *testing.T) {
	b := newCacheBed(t, map[string]any{})
	tag := atomic.Pointer[string]{}
	one := `"one"`
	tag.Store(&one)
	b.answer(func(w http.ResponseWriter, r *http.Request) {
		now := *tag.Load()
		w.Header().Set("ETag", now)
		w.Header().Set("Cache-Control", "no-cache")
		if r.Header.Get("If-None-Match") == now {
			w.Header().Set("X-Confirmed", "yes")
			w.WriteHeader(304)
			return
		}
		fmt.Fprint(w, "body of ", now)
	})
	b.ask("GET", "/")
	resp, body, asked := b.ask("GET", "/")
	if !asked || resp.StatusCode != 200 || body != `body of "one"` || resp.Header.Get("X-Confirmed") != "yes" {
		t.Errorf("validated: %v, %d %q %v", asked, resp.StatusCode, body, resp.Header)
	}
	if resp, body, _ := b.ask("GET", "/", `If-None-Match: "zero", "one"`); resp.StatusCode != 304 || body != "" || resp.Header.Get("ETag") != one {
		t.Errorf("for a client that has it: %d %q", resp.StatusCode, body)
	}
	if resp, body, _ := b.ask("GET", "/", "Range: bytes=0-3"); resp.StatusCode != 206 || body != "body" || resp.Header.Get("Content-Range") != "bytes 0-3/13" {
		t.Errorf("a range from the whole: %d %q %s", resp.StatusCode, body, resp.Header.Get("Content-Range"))
	}
	if resp, body, _ := b.ask("HEAD", "/"); resp.StatusCode != 200 || body != "" || resp.Header.Get("Content-Length") != "13" {
		t.Errorf("HEAD: %d %q %v", resp.StatusCode, body, resp.Header)
	}
	two := `"two"`
	tag.Store(&two)
	if resp, body, _ := b.ask("GET", "/"); resp.StatusCode != 200 || body != `body of "two"` {
		t.Errorf("another version: %d %q", resp.StatusCode, body)
	}
	if resp, body, _ := b.ask("GET", "/", `If-None-Match: "one"`); resp.StatusCode != 200 || body != `body of "two"` {
		t.Errorf("for a client that has the old one: %d %q", resp.StatusCode, body)
	}
}

func TestStale(t *testing.T) {
	b := newCacheBed(t, map[string]any{"stale_if_error": "1h"})
	b.reply(200, "Cache-Control: max-age=10, stale-while-revalidate=1000", "Age: 60", `ETag: "x"`)
	_, first, _ := b.ask("GET", "/swr")
	_, second, _ := b.ask("GET", "/swr")
	if first != second {
		t.Errorf("while it is validated: %q and %q", first, second)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, third, _ := b.ask("GET", "/swr"); third != first {
			break
		}
		if time.Now().After(end) {
			t.Fatal("it is never validated")
		}
	}
	b.reply(200, "Cache-Control: max-age=10", "Age: 60", `ETag: "x"`)
	_, first, _ = b.ask("GET", "/error")
	b.reply(200, "Cache-Control: max-age=10, must-revalidate", "Age: 60", `ETag: "x"`)
	b.ask("GET", "/strict")
	b.reply(503)
	if resp, body, _ := b.ask("GET", "/error"); resp.StatusCode != 200 || body != first {
		t.Errorf("for an error: %d %q", resp.StatusCode, body)
	}
	if resp, _, _ := b.ask("GET", "/strict"); resp.StatusCode != 503 {
		t.Errorf("with must-revalidate: %d", resp.StatusCode)
	}
	b.peer.Close()
	if resp, body, _ := b.ask("GET", "/error"); resp.StatusCode != 200 || body != first {
		t.Errorf("with the peer down: %d %q", resp.StatusCode, body)
	}
}

func TestInvalidation(t *testing.T) {
	b := newCacheBed(t, map[string]any{})
	fill := func() {
		b.reply(200, "Cache-Control: max-age=60")
		b.ask("GET", "/a")
		b.ask("GET", "/b")
	}
	fill()
	b.reply(204, "Location: http://one.example/b")
	b.ask("POST", "/a", "Content-Length: 0")
	b.reply(200)
	for _, path := range []string{"/a", "/b"} {
		if _, _, asked := b.ask("GET", path); !asked {
			t.Errorf("%s is stored still", path)
		}
	}
	fill()
	b.reply(400, "Location: /b")
	b.ask("DELETE", "/a")
	b.reply(204, "Location: http://two.example/b")
	b.ask("PUT", "/other", "Content-Length: 0")
	for _, path := range []string{"/a", "/b"} {
		if _, _, asked := b.ask("GET", path); asked {
			t.Errorf("%s was dropped by what failed, or by another host", path)
		}
	}
}

func TestPurge(t *testing.T) {
	b := newCacheBed(t, map[string]any{})
	b.reply(200, "Cache-Control: max-age=60")
	for _, path := range []string{"/a/1", "/a/2", "/b"} {
		b.ask("GET", path)
	}
	for _, c := range []struct {
		host, prefix string
		want         int
	}{{"two.example", "/", 0}, {"One.example", "/a/", 2}, {"", "", 1}} {
		if n, ok := b.g.Snapshot().App("cached").Purge(c.host, c.prefix); !ok || n != c.want {
			t.Errorf("%q %q: %d, %v, want %d", c.host, c.prefix, n, ok, c.want)
		}
	}
	if _, _, asked := b.ask("GET", "/b"); !asked {
		t.Error("/b is stored still")
	}
}

// TestCollapsing: many ask for one thing that is not here, and the peer is asked
// once; what may not be shared is asked for by each.
func TestCollapsing(t *testing.T) {
	b := newCacheBed(t, map[string]any{})
	for _, c := range []struct {
		control string
		most    int64
	}{{"max-age=60", 1}, {"no-store", 20}} {
		release := make(chan struct{})
		b.answer(func(w http.ResponseWriter, r *http.Request) {
			<-release
			w.Header().Set("Cache-Control", c.control)
			fmt.Fprint(w, "body")
		})
		before := b.asked.Load()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if resp, body, _ := b.ask("GET", "/"+c.control); resp.StatusCode != 200 || body != "body" {
					t.Errorf("%d %q", resp.StatusCode, body)
				}
			})
		}
		for b.asked.Load() == before {
			time.Sleep(time.Millisecond)
		}
		close(release)
		wg.Wait()
		if n := b.asked.Load() - before; n > c.most {
			t.Errorf("%s: the peer was asked %d times", c.control, n)
		}
	}
}

// TestBodies: of known and unknown length, small and large, and broken off.
func TestBodies(t *testing.T) {
	b := newCacheBed(t, map[string]any{"max_object": 3 << 20})
	for _, c := range []struct {
		name   string
		size   int
		length bool
		stored bool
	}{
		{"small", 100, true, true}, {"small chunked", 100, false, true}, {"64k", 70 << 10, true, true}, {"64k chunked", 70 << 10, false, true},
		{"2m", 2 << 20, true, true}, {"2m chunked", 2 << 20, false, false}, {"4m", 4 << 20, true, false}, {"nothing", 0, true, true},
	} {
		body := strings.Repeat("0123456789abcdef", c.size/16+1)[:c.size]
		b.answer(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			if c.length {
				w.Header().Set("Content-Length", fmt.Sprint(c.size))
			}
			for at := 0; at < c.size; at += 32 << 10 {
				io.WriteString(w, body[at:min(at+32<<10, c.size)])
				if !c.length {
					w.(http.Flusher).Flush()
				}
			}
		})
		for _, again := range []bool{false, true} {
			resp, got, asked := b.ask("GET", "/"+strings.ReplaceAll(c.name, " ", "-"))
			if resp.StatusCode != 200 || got != body || again && asked == c.stored {
				t.Errorf("%s (again: %v): %d with %d bytes, asked %v", c.name, again, resp.StatusCode, len(got), asked)
			}
		}
	}
	for _, length := range []bool{true, false} {
		b.answer(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			if length {
				w.Header().Set("Content-Length", "100000")
			}
			io.WriteString(w, strings.Repeat("x", 50_000))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		})
		for range 2 {
			before := b.asked.Load()
			resp, err := http.Get("http://" + b.addr + fmt.Sprint("/broken/", length))
			if err != nil {
				continue
			}
			_, err = io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode == 200 && err == nil || b.asked.Load() == before {
				t.Errorf("a body that breaks off (length %v): %d, %v", length, resp.StatusCode, err)
			}
		}
	}
}
