package turbo

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/internal/testkit"
	"edgerouter/turbo/cache"
	"edgerouter/turbo/content"
	"edgerouter/turbo/store"
)

func tarOf(t testing.TB, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, body := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(body)), Mode: 0o644, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		w.Write(body)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func backend(t testing.TB, e *Engine, opts app.TurbochargerOpts) *Backend {
	t.Helper()
	b, err := e.NewBackend("test", opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("in 20 s: not " + what)
		}
	}
}

func TestFallbackAndMissingPages(t *testing.T) {
	s := emptyFolder(t)
	manifest := deployed(t, s, map[string][]byte{"index.html": []byte("the application"), "a.js": []byte("code")})
	for _, c := range []struct {
		opts   app.TurbochargerOpts
		status int
		body   string
	}{
		{app.TurbochargerOpts{SPAFallback: "/index.html"}, 200, "the application"},
		{app.TurbochargerOpts{SPAFallback: "index.html"}, 200, "the application"},
		{app.TurbochargerOpts{NotFoundPage: "/a.js"}, 404, "code"},
		{app.TurbochargerOpts{}, 404, "there is no such file\nrequest id: "},
		{app.TurbochargerOpts{NotFoundPage: "/missing.html"}, 404, "there is no such file\nrequest id: "},
	} {
		c.opts.Manifest = manifest
		b := backend(t, testEngine(t, s, ""), c.opts)
		resp, body := listen(t, true, b.Handler(true)).ask("GET", "/some/route")
		if resp.StatusCode != c.status || !strings.HasPrefix(string(body), c.body) {
			t.Errorf("%+v: %d %q", c.opts, resp.StatusCode, body)
		}
	}
}

// TestDeploySkew: what the manifest lacks comes from an earlier one.
func TestDeploySkew(t *testing.T) {
	s := emptyFolder(t)
	v1 := deployed(t, s, map[string][]byte{"index.html": []byte("one"), "app.11111aaa.js": []byte("code one"), "old/index.html": []byte("old")})
	v2 := deployed(t, s, map[string][]byte{"index.html": []byte("two"), "app.22222bbb.js": []byte("code two")})
	v3 := deployed(t, s, map[string][]byte{"index.html": []byte("three"), "app.33333ccc.js": []byte("code three")})
	b := listen(t, true, backend(t, testEngine(t, s, ""), app.TurbochargerOpts{Manifest: v3, PreviousManifests: []string{v2, v1}}).Handler(true))
	for path, want := range map[string]string{
		"/": "three", "/index.html": "three", "/app.33333ccc.js": "code three", "/app.22222bbb.js": "code two", "/app.11111aaa.js": "code one", "/old/": "old",
	} {
		resp, body := b.ask("GET", path)
		if resp.StatusCode != 200 || string(body) != want {
			t.Errorf("%s: %d %q", path, resp.StatusCode, body)
		}
		if hashed := strings.HasPrefix(path, "/app."); hashed != strings.Contains(resp.Header.Get("Cache-Control"), "immutable") {
			t.Errorf("%s: Cache-Control %q", path, resp.Header.Get("Cache-Control"))
		}
	}
	if resp, _ := b.ask("GET", "/app.44444ddd.js"); resp.StatusCode != 404 {
		t.Errorf("what no version has: %d", resp.StatusCode)
	}
}

// broken is a store whose reads can be made to fail, to be slow and to lie.
type broken struct {
	store.Store
	mode  atomic.Value // string
	reads atomic.Int64
}

func (b *broken) Get(ctx context.Context, area store.Area, id content.ID) (io.ReadCloser, error) {
	b.reads.Add(1)
	switch b.mode.Load() {
	case "refuses":
		return nil, fmt.Errorf("the store refuses")
	case "lies":
		return io.NopCloser(strings.NewReader("something else")), nil
	case "breaks off":
		r, err := b.Store.Get(ctx, area, id)
		if err != nil {
			return nil, err
		}
		return struct {
			io.Reader
			io.Closer
		}{io.LimitReader(r, 5), r}, nil
	}
	return b.Store.Get(ctx, area, id)
}

// TestBrokenStore: never a wrong or half file; 503 instead, and what is here is
// served on.
func TestBrokenStore(t *testing.T) {
	testkit.Long(t)
	folder := emptyFolder(t)
	good := bytes.Repeat([]byte("good "), 30_000)
	manifest := deployed(t, folder, map[string][]byte{"here.txt": good, "there.txt": []byte("something longer than five"), "missing.txt": []byte("missing")})
	if err := folder.Delete(t.Context(), store.Files, content.IDOf([]byte("missing"))); err != nil {
		t.Fatal(err)
	}
	s := &broken{Store: folder}
	s.mode.Store("works")
	dir := t.TempDir()
	e := testEngine(t, s, dir)
	b := listen(t, true, backend(t, e, app.TurbochargerOpts{Manifest: manifest}).Handler(true))
	if resp, body := b.ask("GET", "/here.txt"); resp.StatusCode != 200 || !bytes.Equal(body, good) {
		t.Fatalf("%d with %d bytes", resp.StatusCode, len(body))
	}
	for _, mode := range []string{"refuses", "lies", "breaks off"} {
		s.mode.Store(mode)
		resp, body := b.ask("GET", "/there.txt")
		if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || strings.Contains(string(body), "something") {
			t.Errorf("a store that %s: %d %q", mode, resp.StatusCode, body)
		}
		if resp, body := b.ask("GET", "/here.txt"); resp.StatusCode != 200 || !bytes.Equal(body, good) {
			t.Errorf("a store that %s, what is here: %d with %d bytes", mode, resp.StatusCode, len(body))
		}
		time.Sleep(1100 * time.Millisecond) // a failure stands for a second
	}
	s.mode.Store("works")
	if resp, _ := b.ask("GET", "/missing.txt"); resp.StatusCode != 503 {
		t.Errorf("a manifest that names a missing file: %d", resp.StatusCode)
	}
	if resp, _ := b.ask("GET", "/there.txt"); resp.StatusCode != 200 {
		t.Errorf("the store works again: %d", resp.StatusCode)
	}

	// A start without the store.
	s.mode.Store("refuses")
	second := listen(t, true, backend(t, testEngine(t, s, dir), app.TurbochargerOpts{Manifest: manifest}).Handler(true))
	if resp, body := second.ask("GET", "/here.txt"); resp.StatusCode != 200 || !bytes.Equal(body, good) {
		t.Errorf("after a start without the store: %d with %d bytes", resp.StatusCode, len(body))
	}
	third := listen(t, true, backend(t, testEngine(t, s, ""), app.TurbochargerOpts{Manifest: manifest}).Handler(true))
	if resp, _ := third.ask("GET", "/here.txt"); resp.StatusCode != 503 {
		t.Errorf("a start without anything: %d", resp.StatusCode)
	}
}

// TestVersionChangeUnderLoad changes versions while clients read: every answer is
// a whole one of one version, and none is a 404 or 503.
func TestVersionChangeUnderLoad(t *testing.T) {
	s := emptyFolder(t)
	const versions = 12
	var manifests []string
	pages := map[string]bool{}
	for v := range versions {
		files := map[string][]byte{}
		for _, name := range []string{"index.html", "a.css", "large.bin"} {
			size := 3000
			if name == "large.bin" {
				size = 200_000
			}
			files[name] = bytes.Repeat(fmt.Appendf(nil, "%s of version %02d\n", name, v), size/20)
			pages[string(files[name])] = true
		}
		manifests = append(manifests, deployed(t, s, files))
	}
	e := testEngine(t, s, "")
	var current atomic.Pointer[Backend]
	current.Store(backend(t, e, app.TurbochargerOpts{Manifest: manifests[0]}))
	eventually(t, "ready", func() bool { return current.Load().site.Load() != nil })
	// The handler of the backend that is in service, as gateway has it.
	swap := listen(t, true, func(ctx *fasthttp.RequestCtx) { current.Load().Handler(true)(ctx) })
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var answers atomic.Int64
	for i := range 4 {
		wg.Go(func() {
			client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
			defer client.CloseIdleConnections()
			for n := i; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				path := []string{"/", "/a.css", "/large.bin"}[n%3]
				resp, err := client.Get("http://" + swap.addr + path)
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != 200 || !pages[string(body)] {
					t.Errorf("%s: %d with %d bytes, %v", path, resp.StatusCode, len(body), err)
					return
				}
				answers.Add(1)
			}
		})
	}
	for _, m := range manifests[1:] {
		next := backend(t, e, app.TurbochargerOpts{Manifest: m})
		old := current.Swap(next)
		misses := e.Stats.Misses.Load()
		eventually(t, "changed", func() bool { return next.site.Load().name == m })
		old.Close()
		if now := e.Stats.Misses.Load(); now != misses && answers.Load() > 100 {
			t.Errorf("%d requests for hot paths had to wait for the store", now-misses)
		}
		at := answers.Load()
		eventually(t, "answered", func() bool { return answers.Load() > at+20 })
	}
	close(stop)
	wg.Wait()
}

// TestDictionaries: the second version of a file comes as a delta of the first.
func TestDictionaries(t *testing.T) {
	s := emptyFolder(t)
	one := []byte(strings.Repeat("function a() { return 1 }\nfunction b(x) { return x + 2 }\n", 400))
	for i := range one { // not too regular
		if i%17 == 0 {
			one[i] = byte('a' + i%23)
		}
	}
	two := append(bytes.Clone(one), "function added() {}\n"...)
	v1 := deployed(t, s, map[string][]byte{"app.js": one})
	v2 := deployed(t, s, map[string][]byte{"app.js": two})
	e := testEngine(t, s, "")
	first := listen(t, true, backend(t, e, app.TurbochargerOpts{Manifest: v1}).Handler(true)) // the request waits for it
	resp, _ := first.ask("GET", "/app.js")
	if got := resp.Header.Get("Use-As-Dictionary"); got != `match="/app.js"` {
		t.Errorf("Use-As-Dictionary: %s", got)
	}
	next := backend(t, e, app.TurbochargerOpts{Manifest: v2, PreviousManifests: []string{v1}})
	eventually(t, "changed", func() bool { return next.site.Load().name == v2 })
	second := listen(t, true, next.Handler(true))
	id := content.IDOf(one)
	fields := []string{"Accept-Encoding: gzip, br, zstd, dcb, dcz", "Available-Dictionary: :" + base64.StdEncoding.EncodeToString(id[:]) + ":"}
	var body []byte
	eventually(t, "encoded with the dictionary", func() bool {
		resp, body = second.ask("GET", "/app.js", fields...)
		return resp.Header.Get("Content-Encoding") == "dcz"
	})
	r, err := zstd.NewReader(bytes.NewReader(body[40:]), zstd.WithDecoderDictRaw(0, one))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, two) {
		t.Errorf("%d bytes come out, %v", len(got), err)
	}
	if len(body) > 400 || resp.Header.Get("Vary") != "Accept-Encoding, Available-Dictionary" || !strings.HasSuffix(resp.Header.Get("ETag"), `-dcz"`) {
		t.Errorf("%d bytes, %v", len(body), resp.Header)
	}
	unknown := content.IDOf([]byte("unknown"))
	for _, dictionary := range []string{":" + base64.StdEncoding.EncodeToString(unknown[:]) + ":", "x", ":x:", ""} {
		resp, _ := second.ask("GET", "/app.js", fields[0], "Available-Dictionary: "+dictionary)
		if strings.HasPrefix(resp.Header.Get("Content-Encoding"), "dc") {
			t.Errorf("with the dictionary %q: %s", dictionary, resp.Header.Get("Content-Encoding"))
		}
	}
}

func FuzzFields(f *testing.F) {
	f.Add([]byte("gzip;q=0.5, br, *;q=0"), []byte("bytes=0-1"), []byte(`"x", W/"y"`), []byte(":AAAA:"))
	f.Fuzz(func(t *testing.T, accept, ranges, tags, dictionary []byte) {
		p := parseAccept(accept)
		if p.n < 1 || p.n > cache.Encodings || !p.takes(cache.Identity) {
			t.Errorf("%q: %+v", accept, p)
		}
		for _, size := range []int64{0, 1, 100} {
			if offset, n, v := content.ParseRange(ranges, size); v == content.RangePart && (offset < 0 || n < 1 || offset+n > size) {
				t.Errorf("%q of %d bytes: %d at %d", ranges, size, n, offset)
			}
		}
		matchETag(tags, content.IDOf(nil))
		parseDictionary(dictionary)
	})
}
