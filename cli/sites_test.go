package cli

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"edgerouter/admin"
	"edgerouter/bus"
	"edgerouter/internal/s3test"
	"edgerouter/turbo/deploy"
)

// bucketBed is an S3 server behind something that counts what is sent to it, and
// refuses it from a point on.
type bucketBed struct {
	t      *testing.T
	server *s3test.Server

	mu    sync.Mutex
	sent  []string // keys of PUT
	allow int      // PUTs that are let through; below 0: all
}

func newBucketBed(t *testing.T) *bucketBed {
	b := &bucketBed{t: t, server: s3test.Start(t, "sites", "definitions", "store"), allow: -1}
	to, err := url.Parse(b.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host // it is signed
	}, ErrorLog: log.New(io.Discard, "", 0)}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && !b.admit(r.URL.Path) {
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, "<Error><Code>AccessDenied</Code><Message>broken off</Message></Error>")
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_S3": front.URL, "AWS_ACCESS_KEY_ID": s3test.AccessKey, "AWS_SECRET_ACCESS_KEY": s3test.SecretKey, "AWS_REGION": s3test.Region,
		"AWS_CONFIG_FILE": filepath.Join(t.TempDir(), "none"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(t.TempDir(), "none"), "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	return b
}

func (b *bucketBed) admit(key string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.allow == 0 {
		return false
	}
	b.allow--
	b.sent = append(b.sent, key)
	return true
}

// puts is what was sent since the last call; from now on only allow are let
// through (below 0: all).
func (b *bucketBed) puts(allow int) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.sent
	b.sent, b.allow = nil, allow
	return all
}

// run runs a command, which has to end with that code.
func (b *bucketBed) run(code int, stdin []byte, args ...string) (stdout, stderr string) {
	b.t.Helper()
	var out, said bytes.Buffer
	ctx, cancel := context.WithTimeout(b.t.Context(), 2*time.Minute)
	defer cancel()
	if got := Execute(ctx, args, bytes.NewReader(stdin), &out, &said); got != code {
		b.t.Fatalf("edgerouter %s ended with %d:\n%s", strings.Join(args, " "), got, said.String())
	}
	return out.String(), said.String()
}

// siteTar is a site of so many files, a few of which say which version it is.
func siteTar(t *testing.T, files, changed int, version string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for i := range files {
		body := fmt.Sprintf("file %d of %s", i, map[bool]string{true: version, false: "all"}[i < changed])
		if err := w.WriteHeader(&tar.Header{Name: fmt.Sprintf("f/%03d.txt", i), Mode: 0o644, Size: int64(len(body)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestSiteInABucket makes and deploys a site whose definition is in a bucket of
// definitions, in a file, and in the event log of a node.
func TestSiteInABucket(t *testing.T) {
	for _, place := range []string{"bucket", "file", "log"} {
		t.Run(place, func(t *testing.T) { siteInABucket(t, place) })
	}
}

func siteInABucket(t *testing.T, place string) {
	b := newBucketBed(t)
	file := filepath.Join(t.TempDir(), "apps.json")
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("letmein"), 0o600); err != nil {
		t.Fatal(err)
	}
	node := startNode(t, admin.AccessLoopback, &bus.Memory{})
	to := map[string][]string{
		"bucket": {"--to", "s3://" + s3test.Region + "/definitions"},
		"file":   {"--to", "file:" + file},
		"log":    {"--server", "http://" + node, "--token-file", token},
	}[place]
	run := func(code int, stdin []byte, args ...string) (stdout, stderr string) {
		t.Helper()
		return b.run(code, stdin, append(args, to...)...)
	}
	definition := func() string {
		t.Helper()
		var data []byte
		var err error
		switch place {
		case "bucket":
			data, err = os.ReadFile(filepath.Join(b.server.Folder, "definitions", "discovery", "blog.json"))
		case "file":
			data, err = os.ReadFile(file)
		default:
			out, _ := run(0, nil, "discovery", "cat", "blog")
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}

	run(0, nil, "s3", "mk", "blog", "blog.example.com", "/", "sites", s3test.Region)
	if d := definition(); !strings.Contains(d, `"bucket_name": "sites"`) || strings.Contains(d, "deployed_version") {
		t.Errorf("made: %s", d)
	}
	run(1, nil, "s3", "mk", "blog", "blog.example.com", "/", "sites", s3test.Region)

	// A deploy that breaks off changes nothing, and the next one sends the rest.
	const files, first = 60, 25
	one := siteTar(t, files, 3, "one")
	b.puts(first)
	run(1, one, "s3", "deploy", "blog", "one", "-")
	if n := len(b.puts(-1)); n != first || strings.Contains(definition(), "deployed_version") {
		t.Fatalf("%d files were sent by the deploy that broke off; %s", n, definition())
	}
	if _, err := os.Stat(filepath.Join(b.server.Folder, "sites", "sites", "blog", "one.deployment.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the record of the deploy that broke off: %v", err)
	}
	run(0, one, "s3", "deploy", "blog", "one", "-")
	sent := b.puts(-1)
	if n := containing(sent, "/sites/blog/one/"); !about(n, files-first) {
		t.Errorf("%d files were sent by the second run", n)
	}
	if n := containing(sent, "/sites/blog/one.deployment.json"); n != 1 || !strings.Contains(definition(), `"deployed_version": "one"`) {
		t.Errorf("%d records; %s", n, definition())
	}

	_, said := run(1, one, "s3", "deploy", "blog", "one", "-")
	if !strings.Contains(said, "--force") {
		t.Errorf("the same version again: %s", said)
	}
	run(0, one, "s3", "deploy", "blog", "one", "-", "--force")
	if n := containing(b.puts(-1), "/sites/blog/one/"); n != 0 {
		t.Errorf("%d files were sent again", n)
	}

	// The successor of this kind.
	out, _ := run(0, siteTar(t, files, 3, "two"), "s3", "deploy", "blog", "two", "-", "--turbocharger", "--turbocharger-store", "s3://"+s3test.Region+"/store")
	manifest := strings.TrimSpace(out)
	if d := definition(); len(manifest) != 43 || !strings.Contains(d, `"kind": "turbocharger"`) || !strings.Contains(d, manifest) {
		t.Errorf("manifest %q; %s", manifest, d)
	}
	if n := containing(b.puts(-1), "/store/turbocharger/"); n != files+1 {
		t.Errorf("%d objects for %d files", n, files)
	}

	// A function of the same place, and both go again.
	run(0, nil, "lambda", "mk", "api", "blog.example.com", "/api", "api", s3test.Region)
	run(0, nil, "discovery", "rm", "api")
	run(0, nil, "discovery", "rm", "blog")
	run(1, nil, "discovery", "rm", "blog")
	if place == "bucket" {
		if left, _ := filepath.Glob(filepath.Join(b.server.Folder, "definitions", "discovery", "*.json")); len(left) != 0 {
			t.Errorf("left: %q", left)
		}
	}
}

// containing is how many of the keys contain a text.
func containing(keys []string, text string) (n int) {
	for _, k := range keys {
		if strings.Contains(k, text) {
			n++
		}
	}
	return n
}

// about says whether so many were sent, as far as one can tell: of the files that
// were on their way when a deploy broke off, some came and some did not.
func about(n, want int) bool { return n >= want-deploy.Parallel && n <= want+deploy.Parallel }

// TestStoreInABucket goes through the commands of the store.
func TestStoreInABucket(t *testing.T) {
	b := newBucketBed(t)
	at := []string{"--turbocharger-store", "s3://" + s3test.Region + "/store"}
	run := func(code int, stdin []byte, args ...string) (stdout, stderr string) {
		t.Helper()
		return b.run(code, stdin, append(args, at...)...)
	}
	const files, first = 60, 25
	one := siteTar(t, files, 3, "one")
	b.puts(first)
	if out, _ := run(1, one, "turbocharger", "tar-deploy-to-store", "blog"); out != "" {
		t.Errorf("a deploy that broke off says %q", out)
	}
	if sent := b.puts(-1); len(sent) != first || containing(sent, "manifests") != 0 {
		t.Fatalf("%d objects were sent, %d manifests", len(sent), containing(sent, "manifests"))
	}
	out, _ := run(0, one, "turbocharger", "tar-deploy-to-store", "blog")
	old := strings.TrimSpace(out)
	if sent := b.puts(-1); !about(len(sent), files-first+1) || !strings.HasSuffix(sent[len(sent)-1], "/manifests/"+old) {
		t.Errorf("the second run sent %d objects, the last one %s; the manifest is %s", len(sent), sent[len(sent)-1], old)
	}
	out, _ = run(0, siteTar(t, files, 3, "two"), "turbocharger", "tar-deploy-to-store", "blog")
	manifest := strings.TrimSpace(out)
	if sent := b.puts(-1); len(sent) != 3+1 {
		t.Errorf("%d objects were sent for three changed files: %q", len(sent), sent)
	}

	dir := t.TempDir()
	run(0, nil, "turbocharger", "download-from-store", old, dir)
	for i, want := range []string{"file 0 of one", "file 1 of one", "file 2 of one", "file 3 of all"} {
		if data, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("f/%03d.txt", i))); err != nil || string(data) != want {
			t.Errorf("%q, %v, want %q", data, err, want)
		}
	}

	out, _ = run(0, nil, "turbocharger", "prune", "--keep", "1", "--dry-run", "--age", "1ns")
	if !strings.HasPrefix(out, "would delete 1 manifests and 3 files") {
		t.Errorf("dry run: %s", out)
	}
	if out, _ = run(0, nil, "turbocharger", "prune", "--keep", "1"); !strings.HasPrefix(out, "deleted 0 manifests and 0 files") {
		t.Errorf("what is younger than a day: %s", out)
	}
	if out, _ = run(0, nil, "turbocharger", "prune", "--keep", "1", "--age", "1ns", "--also", old); !strings.HasPrefix(out, "deleted 0 manifests and 0 files") {
		t.Errorf("with --also: %s", out)
	}
	if out, _ = run(0, nil, "turbocharger", "prune", "--keep", "1", "--age", "1ns"); !strings.HasPrefix(out, "deleted 1 manifests and 3 files") {
		t.Errorf("%s", out)
	}
	run(1, nil, "turbocharger", "download-from-store", old, t.TempDir())
	run(0, nil, "turbocharger", "download-from-store", manifest, t.TempDir())
}

// TestSampleSite deploys the sample site into a bucket: the ids are those of the
// sample store.
func TestSampleSite(t *testing.T) {
	b := newBucketBed(t)
	site, err := os.ReadFile("../turbo/testdata/site.tar")
	if err != nil {
		t.Fatal(err)
	}
	b.run(0, site, "turbocharger", "tar-deploy-to-store", "demo", "--turbocharger-store", "s3://"+s3test.Region+"/store")
	samples, err := filepath.Glob("../turbo/testdata/store/files/*")
	if err != nil || len(samples) != 5 {
		t.Fatalf("%d files in the sample store, %v", len(samples), err)
	}
	for _, s := range samples {
		want, err := os.ReadFile(s)
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(b.server.Folder, "store", "turbocharger", "files", filepath.Base(s)))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v, want %d", filepath.Base(s), len(got), err, len(want))
		}
	}
}
