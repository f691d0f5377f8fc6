package turbo

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/molecule-man/go-brrr"
	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/internal/bucket"
	"edgerouter/internal/s3test"
	"edgerouter/router"
	"edgerouter/server"
	"edgerouter/turbo/cache"
	"edgerouter/turbo/content"
	"edgerouter/turbo/deploy"
	"edgerouter/turbo/store"
)

const givenManifest = "EaTUYaox0knEQXt5pYiUvKLdcCi1gCXpt51L5aSXCz8"

type unobserved struct{}

func (unobserved) Observe([]byte, int, time.Duration) {}

// bed is a listener in front of a handler.
type bed struct {
	t    testing.TB
	addr string
}

func listen(t testing.TB, direct bool, h fasthttp.RequestHandler) *bed {
	t.Helper()
	entry := &router.Entry{App: "test", AllowPlain: true, Observer: unobserved{}, Handler: h, Direct: direct}
	s := server.New(server.Config{
		Lookup:    func(_, _ []byte, _ router.Attributes) *router.Entry { return entry },
		Unmatched: unobserved{}, Log: zerolog.Nop(),
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l, false) }()
	t.Cleanup(func() {
		s.Shutdown(t.Context(), 0)
		<-done
	})
	return &bed{t, l.Addr().String()}
}

// ask sends one request as it stands and reads the answer.
func (b *bed) ask(method, target string, fields ...string) (*http.Response, []byte) {
	b.t.Helper()
	c, err := net.Dial("tcp", b.addr)
	if err != nil {
		b.t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n%s\r\n", method, target, strings.Join(append(fields, ""), "\r\n"))
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, target, err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, target, err)
	}
	return resp, body
}

func testEngine(t testing.TB, s store.Store, dir string) *Engine {
	t.Helper()
	if dir == "" {
		dir = t.TempDir()
	}
	c, err := cache.Open(cache.Options{Dir: dir, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	e := New(s, c, zerolog.Nop())
	t.Cleanup(func() { e.Close(); c.Close() })
	return e
}

func emptyFolder(t testing.TB) *store.Folder {
	t.Helper()
	s, err := store.OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// givenStores are copies of the given store: a folder and a bucket.
func givenStores(t *testing.T, test func(t *testing.T, s store.Store)) {
	t.Run("folder", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS("testdata/store")); err != nil {
			t.Fatal(err)
		}
		s, err := store.OpenFolder(dir)
		if err != nil {
			t.Fatal(err)
		}
		test(t, s)
	})
	t.Run("s3", func(t *testing.T) {
		server := s3test.Start(t, "given")
		b := bucket.Open(server.Config, "given")
		for _, area := range []string{"files", "manifests"} {
			paths, _ := filepath.Glob("testdata/store/" + area + "/*")
			for _, path := range paths {
				data, err := os.ReadFile(path)
				if err == nil {
					err = b.Put(t.Context(), "turbocharger/"+area+"/"+filepath.Base(path), bucket.Object{Body: bytes.NewReader(data), Size: int64(len(data))})
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		test(t, store.InBucket(b))
	})
}

func siteFile(t testing.TB, path string) []byte {
	t.Helper()
	s, err := store.OpenFolder("testdata/store")
	if err != nil {
		t.Fatal(err)
	}
	id, _ := content.ParseID(givenManifest)
	m, _, err := store.Manifest(t.Context(), s, id)
	if err != nil {
		t.Fatal(err)
	}
	i, ok := m.Find([]byte(path))
	if !ok {
		t.Fatalf("%s is not in the given site", path)
	}
	b, err := os.ReadFile("testdata/store/files/" + m.FileID(i).String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestGivenManifest serves the given manifest byte for byte, on the wire and for
// handlers that stand before it.
func TestGivenManifest(t *testing.T) {
	givenStores(t, func(t *testing.T, s store.Store) {
		for _, direct := range []bool{true, false} {
			t.Run(fmt.Sprint("direct=", direct), func(t *testing.T) {
				e := testEngine(t, s, "")
				b, err := e.NewBackend("demo", app.TurbochargerOpts{Manifest: givenManifest})
				if err != nil {
					t.Fatal(err)
				}
				defer b.Close()
				checkGiven(t, listen(t, direct, b.Handler(direct)), e)
			})
		}
	})
}

func checkGiven(t *testing.T, b *bed, e *Engine) {
	css, index, dot := siteFile(t, "/css/site.css"), siteFile(t, "/index.html"), siteFile(t, "/img/dot.jpg")
	cssTag := `"` + content.IDOf(css).String() + `"`
	for _, c := range []struct {
		method, target string
		fields         []string
		status         int
		body           []byte
		header         map[string]string
	}{
		{"GET", "/", nil, 200, index, map[string]string{"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-cache", "Vary": "Accept-Encoding", "Content-Encoding": ""}},
		{"GET", "/index.html?x=1", nil, 200, index, nil},
		{"GET", "/docs/", nil, 200, siteFile(t, "/docs/index.html"), nil},
		{"GET", "/docs", nil, 301, nil, map[string]string{"Location": "./docs/"}},
		{"GET", "/docs?a=b", nil, 301, nil, map[string]string{"Location": "./docs/?a=b"}},
		{"GET", "/css", nil, 404, siteFile(t, "/404.html"), nil},
		{"GET", "/css/site.css", nil, 200, css, map[string]string{"ETag": cssTag, "Content-Type": "text/css; charset=utf-8", "Accept-Ranges": "bytes"}},
		{"GET", "/%63ss/./site.css", nil, 200, css, nil},
		{"GET", "/docs/../css//site.css", nil, 200, css, nil},
		{"GET", "/css%2fsite.css", nil, 404, nil, nil},
		{"GET", "/img/dot.jpg", []string{"Accept-Encoding: gzip, br"}, 200, dot, map[string]string{"Content-Type": "image/jpeg", "Vary": "", "Content-Encoding": ""}},
		{"HEAD", "/css/site.css", nil, 200, []byte{}, map[string]string{"ETag": cssTag, "Content-Length": fmt.Sprint(len(css))}},
		{"GET", "/nowhere", nil, 404, siteFile(t, "/404.html"), map[string]string{"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-cache"}},
		{"HEAD", "/nowhere", nil, 404, []byte{}, nil},
		{"GET", "/nowhere", []string{"If-None-Match: *"}, 404, siteFile(t, "/404.html"), nil},
		{"POST", "/css/site.css", []string{"Content-Length: 0"}, 405, nil, map[string]string{"Allow": "GET, HEAD"}},
		{"DELETE", "/", nil, 405, nil, nil},
		{"GET", "/css/site.css", []string{"If-None-Match: " + cssTag}, 304, []byte{}, map[string]string{"ETag": cssTag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}},
		{"HEAD", "/css/site.css", []string{"If-None-Match: " + cssTag}, 304, []byte{}, nil},
		{"GET", "/css/site.css", []string{`If-None-Match: "x", W/` + cssTag + `, "y"`}, 304, []byte{}, nil},
		{"GET", "/css/site.css", []string{`If-None-Match: "x"`, "If-None-Match: " + cssTag}, 304, []byte{}, nil},
		{"GET", "/css/site.css", []string{"If-None-Match: *"}, 304, []byte{}, nil},
		{"GET", "/css/site.css", []string{`If-None-Match: "` + content.IDOf(css).String() + `-br"`}, 304, []byte{}, map[string]string{"ETag": `"` + content.IDOf(css).String() + `-br"`}},
		{"GET", "/css/site.css", []string{`If-None-Match: "` + content.IDOf(css).String() + `-xz"`}, 200, css, nil},
		{"GET", "/css/site.css", []string{`If-None-Match: "` + content.IDOf(dot).String() + `"`}, 200, css, nil},
		{"GET", "/css/site.css", []string{"If-None-Match: " + strings.Trim(cssTag, `"`)}, 200, css, nil},
		{"GET", "/css/site.css", []string{"Range: bytes=10-19"}, 206, css[10:20], map[string]string{"Content-Range": "bytes 10-19/1900", "ETag": cssTag}},
		{"GET", "/css/site.css", []string{"Range: bytes=1890-"}, 206, css[1890:], nil},
		{"GET", "/css/site.css", []string{"Range: bytes=-5"}, 206, css[1895:], nil},
		{"GET", "/css/site.css", []string{"Range: bytes=-5000"}, 206, css, map[string]string{"Content-Range": "bytes 0-1899/1900"}},
		{"GET", "/css/site.css", []string{"Range: bytes=1899-9999999999999999999999"}, 206, css[1899:], nil},
		{"GET", "/css/site.css", []string{"Range: bytes=1900-"}, 416, []byte{}, map[string]string{"Content-Range": "bytes */1900"}},
		{"GET", "/css/site.css", []string{"Range: bytes=-0"}, 416, []byte{}, nil},
		{"GET", "/css/site.css", []string{"Range: bytes=5-2"}, 200, css, nil},
		{"GET", "/css/site.css", []string{"Range: bytes=0-1,5-6"}, 200, css, nil},
		{"GET", "/css/site.css", []string{"Range: lines=1-2"}, 200, css, nil},
		{"GET", "/css/site.css", []string{"Range: bytes=a-"}, 200, css, nil},
		{"HEAD", "/css/site.css", []string{"Range: bytes=0-1"}, 200, []byte{}, nil},
		{"GET", "/css/site.css", []string{"Range: bytes=0-1", "If-Range: " + cssTag}, 206, css[:2], nil},
		{"GET", "/css/site.css", []string{"Range: bytes=0-1", `If-Range: "other"`}, 200, css, nil},
		{"GET", "/css/site.css", []string{"Range: bytes=0-1", "If-Range: W/" + cssTag}, 200, css, nil},
		{"GET", "/css/site.css", []string{"Range: bytes=0-1", "If-Range: Sun, 22 Nov 2026 07:33:53 GMT"}, 200, css, nil},
	} {
		resp, body := b.ask(c.method, c.target, c.fields...)
		if resp.StatusCode != c.status || c.body != nil && !bytes.Equal(body, c.body) {
			t.Errorf("%s %s %q: %d with %d bytes %.60q, want %d with %d", c.method, c.target, c.fields, resp.StatusCode, len(body), body, c.status, len(c.body))
		}
		for name, want := range c.header {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("%s %s %q: %s: %q, want %q", c.method, c.target, c.fields, name, got, want)
			}
		}
		if resp.Header.Get("Date") == "" {
			t.Errorf("%s %s: no Date", c.method, c.target)
		}
	}

	// Encodings by q-values, once they are made.
	o := e.Cache().Object(content.IDOf(css))
	for _, enc := range []cache.Encoding{cache.Gzip, cache.Brotli, cache.Zstd} {
		o.Make(enc)
	}
	for accept, want := range map[string]string{
		"gzip, deflate, br, zstd": "br", "gzip, deflate, br": "br", "gzip": "gzip", "deflate": "", "": "", "*": "br", "br;q=0.9, zstd": "zstd",
		"gzip;q=1, br;q=0.5": "gzip", "zstd;q=0, br;q=0.1, *;q=0.2": "gzip", "identity;q=1, gzip;q=0.5": "", "br;q=0.9;x=y, gzip;q=0.901": "gzip",
		"GZIP": "gzip", "identity, br": "br", "identity;q=0, gzip": "gzip", "br;q=2": "", "br;q=": "", "x-gzip": "gzip",
	} {
		resp, body := b.ask("GET", "/css/site.css", "Accept-Encoding: "+accept)
		if got := resp.Header.Get("Content-Encoding"); got != want || resp.StatusCode != 200 {
			t.Errorf("Accept-Encoding %q: %d %q, want %q", accept, resp.StatusCode, got, want)
			continue
		}
		var r io.Reader = bytes.NewReader(body)
		suffix := ""
		switch want {
		case "gzip":
			r, _ = gzip.NewReader(r)
			suffix = "-gz"
		case "br":
			r, suffix = brrr.NewReader(r), "-br"
		case "zstd":
			r, _ = zstd.NewReader(r)
			suffix = "-zstd"
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, css) {
			t.Errorf("Accept-Encoding %q: %d bytes, %v", accept, len(got), err)
		}
		tag := `"` + content.IDOf(css).String() + suffix + `"`
		if got := resp.Header.Get("ETag"); got != tag {
			t.Errorf("Accept-Encoding %q: ETag %s, want %s", accept, got, tag)
		}
		if resp, _ := b.ask("GET", "/css/site.css", "Accept-Encoding: "+accept, "If-None-Match: "+tag); resp.StatusCode != 304 || resp.Header.Get("ETag") != tag {
			t.Errorf("Accept-Encoding %q: %d %s", accept, resp.StatusCode, resp.Header.Get("ETag"))
		}
	}
}

// deployed puts files into a store.
func deployed(t testing.TB, s store.Store, files map[string][]byte) string {
	t.Helper()
	r, err := deploy.Tar(t.Context(), s, "test", bytes.NewReader(tarOf(t, files)), deploy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r.Manifest.String()
}
