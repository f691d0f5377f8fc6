package s3site

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/internal/bucket"
	"edgerouter/internal/s3test"
	"edgerouter/router"
	"edgerouter/server"
	"edgerouter/turbo"
	"edgerouter/turbo/cache"
	"edgerouter/turbo/deploy"
	"edgerouter/turbo/store"
)

type unobserved struct{}

func (unobserved) Observe([]byte, int, time.Duration) {}

func tarOf(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, body := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(body)), Mode: 0o644, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, body)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type bed struct {
	t    *testing.T
	s3   *s3test.Server
	b    *bucket.Bucket
	deps Deps
	opts app.S3StaticWebsiteOpts
}

// restart makes an engine on folders that stay.
func (b *bed) engine(dir string) {
	c, err := cache.Open(cache.Options{Dir: dir, Log: zerolog.Nop()})
	if err != nil {
		b.t.Fatal(err)
	}
	none, err := store.OpenFolder(b.t.TempDir())
	if err != nil {
		b.t.Fatal(err)
	}
	e := turbo.New(none, c, zerolog.Nop())
	b.t.Cleanup(func() { e.Close(); c.Close() })
	b.deps.Engine = e
}

func newBed(t *testing.T) *bed {
	s := s3test.Start(t, "sites")
	b := &bed{t: t, s3: s, b: bucket.Open(s.Config, "sites")}
	b.deps = Deps{
		Bucket: func(context.Context, string, string) (*bucket.Bucket, error) { return b.b, nil },
		Dir:    t.TempDir(), Log: zerolog.Nop(),
	}
	b.opts = app.S3StaticWebsiteOpts{BucketName: "sites", RegionID: s3test.Region}
	return b
}

func (b *bed) listen(h fasthttp.RequestHandler) (ask func(method, target string, fields ...string) (*http.Response, string)) {
	b.t.Helper()
	entry := &router.Entry{App: "test", AllowPlain: true, Observer: unobserved{}, Handler: h, Direct: true}
	s := server.New(server.Config{
		Lookup:    func(_, _ []byte, _ router.Attributes) *router.Entry { return entry },
		Unmatched: unobserved{}, Log: zerolog.Nop(),
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l, false) }()
	b.t.Cleanup(func() { s.Shutdown(context.Background(), 0); <-done })
	return func(method, target string, fields ...string) (*http.Response, string) {
		b.t.Helper()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(40 * time.Second))
		fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n", method, target, strings.Join(append(fields, ""), "\r\n"))
		resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
		if err != nil {
			b.t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			b.t.Fatal(err)
		}
		return resp, string(body)
	}
}

func (b *bed) serve(version string) (ask func(method, target string, fields ...string) (*http.Response, string), end func()) {
	b.t.Helper()
	opts := b.opts
	opts.DeployedVersion = version
	backend, err := New("site", opts, b.deps)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(backend.Close)
	return b.listen(backend.Handler(true)), backend.Close
}

func TestSite(t *testing.T) {
	b := newBed(t)
	dir := t.TempDir()
	b.engine(dir)
	if resp, body := func() (*http.Response, string) { ask, _ := b.serve(""); return ask("GET", "/") }(); resp.StatusCode != 404 || !strings.HasPrefix(body, "no deployed version for site\n") {
		t.Errorf("without a version: %d %q", resp.StatusCode, body)
	}
	css := strings.Repeat("body { margin: 0 }\n", 200)
	v1 := tarOf(t, map[string]string{"index.html": "one", "docs/index.html": "docs", "site.css": css, "gone.txt": "gone", "oops.html": "not here", "a b.txt": "space"})
	p, err := Deploy(t.Context(), b.b, "site", "v1", bytes.NewReader(v1), DeployOptions{})
	if err != nil || p.Files != 6 || p.Sent != 6 {
		t.Fatalf("%+v, %v", p, err)
	}
	if _, err := Deploy(t.Context(), b.b, "site", "v1", bytes.NewReader(v1), DeployOptions{}); !errors.Is(err, ErrDeployed) {
		t.Errorf("the same version twice: %v", err)
	}
	if p, err := Deploy(t.Context(), b.b, "site", "v1", bytes.NewReader(v1), DeployOptions{Force: true}); err != nil || p.Sent != 0 {
		t.Errorf("by force, unchanged: %+v, %v", p, err)
	}
	for _, bad := range []string{"", "..", "a/b", "a?b"} {
		if _, err := Deploy(t.Context(), b.b, "site", bad, bytes.NewReader(v1), DeployOptions{}); err == nil {
			t.Errorf("the version %q was deployed", bad)
		}
	}
	if info, err := b.b.Head(t.Context(), "sites/site/v1/site.css"); err != nil || info.ContentType != "text/css; charset=utf-8" {
		t.Errorf("%+v, %v", info, err)
	}

	b.opts.NotFoundPage = "oops.html"
	ask, end := b.serve("v1")
	for _, c := range []struct {
		method, target string
		fields         []string
		status         int
		body           string
	}{
		{"GET", "/", nil, 200, "one"},
		{"GET", "/index.html?v=1", nil, 200, "one"},
		{"GET", "/docs/", nil, 200, "docs"},
		{"GET", "/docs", nil, 301, ""},
		{"GET", "/site.css", nil, 200, css},
		{"GET", "/a%20b.txt", nil, 200, "space"},
		{"HEAD", "/site.css", nil, 200, ""},
		{"GET", "/site.css", []string{"Range: bytes=0-3"}, 206, "body"},
		{"GET", "/nowhere", nil, 404, "not here"},
		{"POST", "/", []string{"Content-Length: 0"}, 405, "only GET"},
	} {
		resp, body := ask(c.method, c.target, c.fields...)
		if resp.StatusCode != c.status || !strings.HasPrefix(body, c.body) {
			t.Errorf("%s %s: %d %.40q, want %d %.40q", c.method, c.target, resp.StatusCode, body, c.status, c.body)
		}
	}
	resp, _ := ask("GET", "/site.css")
	if again, _ := ask("GET", "/site.css", "If-None-Match: "+resp.Header.Get("ETag")); again.StatusCode != 304 {
		t.Errorf("conditional: %d", again.StatusCode)
	}

	// A second version, warmed with what was hot; what only the first has stays.
	v2 := tarOf(t, map[string]string{"index.html": "two", "site.css": css, "oops.html": "not here"})
	if _, err := Deploy(t.Context(), b.b, "site", "v2", bytes.NewReader(v2), DeployOptions{}); err != nil {
		t.Fatal(err)
	}
	ask("GET", "/gone.txt")
	ask2, end2 := b.serve("v2")
	for limit := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		resp, body := ask2("GET", "/")
		if resp.StatusCode != 200 || body != "one" && body != "two" {
			t.Fatalf("while the version changes: %d %q", resp.StatusCode, body)
		}
		if body == "two" {
			break
		}
		if time.Now().After(limit) {
			t.Fatal("the version does not change")
		}
	}
	end()
	if resp, body := ask2("GET", "/gone.txt"); resp.StatusCode != 200 || body != "gone" {
		t.Errorf("what only the first version has: %d %q", resp.StatusCode, body)
	}

	// S3 goes: what is here is served, the rest is 503; also after a start.
	b.s3.Stop()
	if resp, body := ask2("GET", "/site.css"); resp.StatusCode != 200 || body != css {
		t.Errorf("with S3 down: %d with %d bytes", resp.StatusCode, len(body))
	}
	end2()
	b.engine(dir)
	ask3, _ := b.serve("v2")
	if resp, body := ask3("GET", "/"); resp.StatusCode != 200 || body != "two" {
		t.Errorf("a start with S3 down: %d %q", resp.StatusCode, body)
	}
	if resp, _ := ask3("GET", "/unknown.txt"); resp.StatusCode != 503 {
		t.Errorf("what is not here: %d", resp.StatusCode)
	}
	b.s3.Restart(t)
	time.Sleep(failedFor + 100*time.Millisecond)
	if resp, body := ask3("GET", "/unknown.txt"); resp.StatusCode != 404 || body != "not here" {
		t.Errorf("with S3 back: %d %q", resp.StatusCode, body)
	}
}

// TestBrokenDeploy breaks off in the middle: there is no record, and the second
// run sends only the rest.
func TestBrokenDeploy(t *testing.T) {
	b := newBed(t)
	files := map[string]string{}
	for i := range 60 {
		files[fmt.Sprintf("f%02d.txt", i)] = fmt.Sprint("content ", i)
	}
	data := tarOf(t, files)
	ctx, stop := context.WithCancel(t.Context())
	half := DeployOptions{Progress: func(p deploy.Progress) {
		if p.Files == 20 {
			stop()
		}
	}}
	if _, err := Deploy(ctx, b.b, "site", "v1", bytes.NewReader(data), half); err == nil {
		t.Fatal("a deploy that was broken off came to its end")
	}
	if _, err := b.b.Head(t.Context(), recordKey("site", "v1")); !errors.Is(err, bucket.ErrNotFound) {
		t.Errorf("the record of a broken deploy: %v", err)
	}
	p, err := Deploy(t.Context(), b.b, "site", "v1", bytes.NewReader(data), DeployOptions{})
	if err != nil || p.Files != 60 || p.Sent == 0 || p.Sent > 45 {
		t.Errorf("the second run: %+v, %v", p, err)
	}
}
