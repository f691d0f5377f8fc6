package content

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"edgerouter/internal/pace"
)

func TestID(t *testing.T) {
	id := IDOf([]byte("hello"))
	if got := id.String(); got != "LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ" {
		t.Errorf("id of hello: %s", got)
	}
	back, err := ParseID(id.String())
	if err != nil || back != id || string(id.Append(nil)) != id.String() {
		t.Errorf("read back %s, %v", back, err)
	}
	for _, bad := range []string{
		"", "x", strings.Repeat("A", 42), strings.Repeat("A", 44), strings.Repeat("A", 42) + "B", // bits beyond the hash
		strings.Repeat("A", 42) + "\n", strings.Repeat("A", 42) + "=", strings.Repeat("A", 41) + "/+", strings.Repeat("A", 42) + "ö",
	} {
		if _, err := ParseID(bad); err == nil {
			t.Errorf("%q was taken for an id", bad)
		}
	}
}

// TestGivenManifest reads the manifest of a real deployment.
func TestGivenManifest(t *testing.T) {
	const id = "EaTUYaox0knEQXt5pYiUvKLdcCi1gCXpt51L5aSXCz8"
	data, err := os.ReadFile(filepath.Join("..", "testdata", "store", "manifests", id))
	if err != nil {
		t.Fatal(err)
	}
	m, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if m.ID().String() != id || m.Len() != 5 || m.Metadata().Project != "demo" {
		t.Errorf("manifest %s of %d files, %+v", m.ID(), m.Len(), m.Metadata())
	}
	var files []File
	for i := range m.Len() {
		files = append(files, File{m.Path(i), m.FileID(i)})
		if j, ok := m.Find([]byte(m.Path(i))); !ok || j != i {
			t.Errorf("%s is found at %d, %v, want %d", m.Path(i), j, ok, i)
		}
	}
	again, againID, err := Encode(m.Metadata(), files)
	if err != nil || againID.String() != id {
		t.Errorf("written again it is %s (%v):\n%s\nwant\n%s", againID, err, again, data)
	}
	for _, path := range []string{"", "/", "/index", "/index.html/", "/INDEX.HTML", "/css", "/css/site.css2"} {
		if _, ok := m.Find([]byte(path)); ok {
			t.Errorf("%q is found", path)
		}
	}
}

func TestBadManifests(t *testing.T) {
	id := IDOf(nil).String()
	file := func(path string) string { return fmt.Sprintf(`{"path":%q,"id":%q}`, path, id) }
	for _, c := range []struct{ name, json, want string }{
		{"nothing", ``, "EOF"},
		{"not JSON", `<html>`, "invalid character"},
		{"a list", `[]`, "where {"},
		{"cut off", `{"files":[` + file("/a"), "EOF"},
		{"cut off in a file", `{"files":[{"path":"/a"`, "EOF"},
		{"without files", `{"metadata":{}}`, "has no files"},
		{"two lists", `{"files":[],"files":[]}`, "stands twice"},
		{"goes on", `{"files":[]}{}`, "goes on"},
		{"a number", `{"files":7}`, "where ["},
		{"a bad id", `{"files":[{"path":"/a","id":"x"}]}`, `"/a" has the id "x"`},
		{"no path", `{"files":[{"id":"` + id + `"}]}`, "begins with one /"},
		{"relative", `{"files":[` + file("a") + `]}`, "begins with one /"},
		{"a folder", `{"files":[` + file("/a/") + `]}`, "names a file"},
		{"dots", `{"files":[` + file("/a/../b") + `]}`, ".."},
		{"one dot", `{"files":[` + file("/./b") + `]}`, ".."},
		{"two slashes", `{"files":[` + file("//b") + `]}`, "two slashes"},
		{"a backslash", `{"files":[{"path":"/a\\b","id":"` + id + `"}]}`, "backslashes"},
		{"a line end", `{"files":[{"path":"/a\nb","id":"` + id + `"}]}`, "control"},
		{"too long", `{"files":[` + file("/"+strings.Repeat("x", MaxPath)) + `]}`, "4096"},
		{"twice", `{"files":[` + file("/a") + `,` + file("/a") + `]}`, `"/a" stands twice`},
		{"twice, not in order", `{"files":[` + file("/b") + `,` + file("/a") + `,` + file("/b") + `]}`, `"/b" stands twice`},
		{"a field that breaks the header", `{"metadata":{"cache_control":{"/a":"x\r\nSet-Cookie: y"}},"files":[]}`, "control"},
	} {
		if _, err := Parse([]byte(c.json)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	m, err := Parse([]byte(`{"more":{"a":[1]},"files":[` + file("/b") + `,` + file("/a") + `],"metadata":{"x":1}}`))
	if err != nil || m.Len() != 2 || m.Path(0) != "/a" {
		t.Errorf("unsorted, with fields that are not known: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	data, err := os.ReadFile(filepath.Join("..", "testdata", "store", "manifests", "EaTUYaox0knEQXt5pYiUvKLdcCi1gCXpt51L5aSXCz8"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"files":[]}`))
	f.Add([]byte(`{"metadata":{"cache_control":{"*.html":"no-store","/a*":"x"}},"files":[{"path":"/b","id":"47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"},{"path":"/a","id":"47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Parse(data)
		if err != nil {
			return
		}
		for i := range m.Len() {
			if j, ok := m.Find([]byte(m.Path(i))); !ok || i != j {
				t.Errorf("%q is not found", m.Path(i))
			}
			if err := CheckPath(m.Path(i)); err != nil {
				t.Errorf("%q: %v", m.Path(i), err)
			}
			if i > 0 && m.Path(i-1) >= m.Path(i) {
				t.Errorf("%q does not come before %q", m.Path(i-1), m.Path(i))
			}
			m.CacheControl([]byte(m.Path(i)))
		}
	})
}

func TestRequestPath(t *testing.T) {
	for in, want := range map[string]string{
		"/":                     "/",
		"/a/b.css":              "/a/b.css",
		"/a?b=/../c":            "/a",
		"/?":                    "/",
		"/a%20b%C3%A4":          "/a bä",
		"/%61/%2e%2e/b":         "/b",
		"/a/../../b":            "/b",
		"/a/./b/.":              "/a/b/",
		"/a/b/..":               "/a/",
		"/..":                   "/",
		"//a//b/":               "/a/b/",
		"/.well-known/x":        "/.well-known/x",
		"/a/...":                "/a/...",
		"/a%25":                 "/a%",
		"/a%2Fb":                "!",
		"/a%5cb":                "!",
		"/a\\b":                 "!",
		"/a%00":                 "!",
		"/a%":                   "!",
		"/a%4":                  "!",
		"/a%zz":                 "!",
		"*":                     "!",
		"":                      "!",
		"?x":                    "!",
		"/a/%2e%2e/%2e%2e/etc/": "/etc/",
	} {
		got, ok := RequestPath(nil, []byte(in))
		if !ok {
			got = []byte("!")
		}
		if string(got) != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzRequestPath(f *testing.F) {
	for _, s := range []string{"/", "/a/../b", "/%2e%2e/x", "//a/./b?c", "/a%20", "/%"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, target []byte) {
		p, ok := RequestPath(nil, target)
		if !ok {
			return
		}
		if len(p) == 0 || p[0] != '/' || strings.Contains(string(p), "//") ||
			strings.Contains(string(p)+"/", "/../") || strings.Contains(string(p)+"/", "/./") {
			t.Errorf("%q became %q", target, p)
		}
	})
}

func TestKind(t *testing.T) {
	for path, want := range map[string]string{
		"/index.html":                "text/html; charset=utf-8 z",
		"/a/app.3f2a9c1b.js":         "text/javascript; charset=utf-8 z #",
		"/assets/index-DfK3sd9A.css": "text/css; charset=utf-8 z #",
		"/x/0123456789abcdef.woff2":  "font/woff2 #",
		"/chunk-a1b2c3d4.js.map":     "application/json z #",
		"/photo.JPG":                 "image/jpeg",
		"/2026-11-22-news.html":      "text/html; charset=utf-8 z",
		"/20261122.html":             "text/html; charset=utf-8 z",
		"/documentation.html":        "text/html; charset=utf-8 z",
		"/facade.js":                 "text/javascript; charset=utf-8 z",
		"/deadbeef.js":               "text/javascript; charset=utf-8 z",
		"/release2026.zip":           "application/zip",
		"/LICENSE":                   "text/plain; charset=utf-8 z",
		"/a.wgsl":                    "text/wgsl; charset=utf-8 z", "/a.scss": "text/plain; charset=utf-8 z", "/a.tsx": "text/plain; charset=utf-8 z", "/a.jsx": "text/jsx; charset=utf-8 z",
		"/a.vue": "text/plain; charset=utf-8 z", "/a.json5": "application/json5 z", "/a.svgz": "image/svg+xml", "/lib.d.ts": "text/plain; charset=utf-8 z", "/part1.ts": "video/mp2t",
		"/.well-known/apple-app-site-association": "application/json z",
		"/.htaccess":   "application/octet-stream",
		"/a.unknown":   "application/octet-stream",
		"/mod.wasm":    "application/wasm z",
		"/favicon.ico": "image/x-icon z",
	} {
		k := KindOf(path)
		got := k.Type()
		if k.Compressible() {
			got += " z"
		}
		if k.Hashed {
			got += " #"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	for path, want := range map[string]string{
		"/a/app.3f2a9c1b.js": "/a/app.*.js", "/index-DfK3sd9A.css": "/index-*.css", "/site.css": "/site.css", "/0123456789abcdef.css": "/*.css",
	} {
		if got := string(AppendHashPattern(nil, []byte(path))); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	for typ, want := range map[string]bool{
		"text/html": true, "Text/X-Other; charset=x": true, "application/problem+json": true, "application/json": true,
		"image/png": false, "": false, "application/octet-stream": false, "application/x-unknown": false,
	} {
		if got := CompressibleType(typ); got != want {
			t.Errorf("%q: %v, want %v", typ, got, want)
		}
	}
}

func TestCacheControl(t *testing.T) {
	data, _, err := Encode(Metadata{CacheControl: map[string]string{
		"/a.html": "one", "*.html": "html", "/api/*": "api", "/api/v1/*": "v1",
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/a.html": "one", "/b.html": "html", "/api/x": "api", "/api/v1/x": "v1", "/x": ""} {
		if got := m.CacheControl([]byte(path)); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// big makes the JSON of a manifest with n files.
func big(tb testing.TB, n int) []byte {
	tb.Helper()
	files := make([]File, n)
	for i := range files {
		files[i] = File{fmt.Sprintf("/assets/section-%03d/article-%06d/page.html", i%997, i), IDOf(fmt.Append(nil, i))}
	}
	data, _, err := Encode(Metadata{Project: "big", Deployed: time.Unix(0, 0)}, files)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func TestLargeManifest(t *testing.T) {
	const files = 100_000
	data := big(t, files)
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	before, began := heap(), time.Now()
	m, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	perFile := float64(heap()-before) / files
	t.Logf("%d files read in %v, %.0f bytes a file", files, took, perFile)
	if perFile > 150 {
		t.Errorf("%.0f bytes a file, want at most 150: the object pointers of a site come on top", perFile)
	}
	path := []byte(m.Path(files / 2))
	if n := testing.AllocsPerRun(100, func() { m.Find(path); m.CacheControl(path) }); n != 0 {
		t.Errorf("looking up allocates %.0f times", n)
	}
	runtime.KeepAlive(data)
}

func BenchmarkParse(b *testing.B) {
	data := big(b, 100_000)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := Parse(data); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParsePaced is how a manifest is read while others are served: most of the
// time is room for them.
func BenchmarkParsePaced(b *testing.B) {
	data := big(b, 100_000)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		room := pace.Brisk()
		if _, err := ParsePaced(data, &room); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFind(b *testing.B) {
	m, err := Parse(big(b, 100_000))
	if err != nil {
		b.Fatal(err)
	}
	path := []byte(m.Path(77_777))
	for b.Loop() {
		m.Find(path)
	}
}
