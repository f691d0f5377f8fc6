package turbo

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"edgerouter/app"
	"edgerouter/turbo/cache"
	"edgerouter/turbo/content"
)

// TestUnreadablePaths: what is no file's path is as unknown as any other.
func TestUnreadablePaths(t *testing.T) {
	s := emptyFolder(t)
	manifest := deployed(t, s, map[string][]byte{"index.html": []byte("home"), "404.html": []byte("not here"), "dir/index.html": []byte("dir")})
	pages := listen(t, true, backend(t, testEngine(t, s, ""), app.TurbochargerOpts{Manifest: manifest}).Handler(true))
	spa := listen(t, true, backend(t, testEngine(t, s, ""), app.TurbochargerOpts{Manifest: manifest, SPAFallback: "/index.html"}).Handler(true))
	for _, path := range []string{"/dir%2f", "/dir%2Findex.html", "/%5c", "/a%00b"} {
		if resp, body := pages.ask("GET", path); resp.StatusCode != 400 && (resp.StatusCode != 404 || string(body) != "not here") {
			t.Errorf("%s: %d %q", path, resp.StatusCode, body)
		}
		if resp, body := spa.ask("GET", path); resp.StatusCode != 400 && (resp.StatusCode != 200 || string(body) != "home") {
			t.Errorf("%s, with a fallback: %d %q", path, resp.StatusCode, body)
		}
	}
}

// TestCompressedImages: .svgz is an SVG with Content-Encoding: gzip, if it is gzip.
func TestCompressedImages(t *testing.T) {
	s := emptyFolder(t)
	svg := []byte("<svg xmlns='http://www.w3.org/2000/svg'>" + strings.Repeat("<g/>", 3000) + "</svg>")
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(svg)
	z.Close()
	l := listen(t, true, backend(t, testEngine(t, s, ""), app.TurbochargerOpts{Manifest: deployed(t, s, map[string][]byte{"a.svgz": b.Bytes(), "plain.svgz": svg})}).Handler(true))
	for _, accept := range []string{"gzip, br, zstd", "br"} {
		resp, body := l.ask("GET", "/a.svgz", "Accept-Encoding: "+accept)
		if resp.Header.Get("Content-Type") != "image/svg+xml" || resp.Header.Get("Content-Encoding") != "gzip" || !bytes.Equal(body, b.Bytes()) {
			t.Errorf("%q: %v with %d bytes", accept, resp.Header, len(body))
		}
	}
	if resp, body := l.ask("GET", "/plain.svgz"); resp.Header.Get("Content-Encoding") != "" || !bytes.Equal(body, svg) {
		t.Errorf("one that is not compressed: %v with %d bytes", resp.Header, len(body))
	}
}

// TestSmallestEncoding: of encodings with equal weight the smallest is sent, and
// what is not made yet is.
func TestSmallestEncoding(t *testing.T) {
	s := emptyFolder(t)
	e := testEngine(t, s, "")
	text := []byte(strings.Repeat("function name(argument) { return argument + 1 }\n", 50))
	for i := range text {
		if i%29 == 0 {
			text[i] = byte('a' + i%25)
		}
	}
	b := listen(t, true, backend(t, e, app.TurbochargerOpts{Manifest: deployed(t, s, map[string][]byte{"a.js": text})}).Handler(true))
	b.ask("GET", "/a.js")
	o := e.Cache().Object(content.IDOf(text))
	for _, enc := range []cache.Encoding{cache.Gzip, cache.Brotli, cache.Zstd} {
		o.Make(enc)
	}
	eventually(t, "all of them", func() bool { return e.Cache().Usage().Queued == 0 })
	sizes := func() map[string]int64 {
		return map[string]int64{"gzip": o.Copy(cache.Gzip).Size(), "br": o.Copy(cache.Brotli).Size(), "zstd": o.Copy(cache.Zstd).Size()}
	}
	for _, accept := range []string{"gzip, deflate, br, zstd", "zstd, br", "br, gzip", "gzip, zstd", "*"} {
		// The queue is empty before the last of its work is done.
		eventually(t, "the smallest for "+accept, func() bool {
			_, body := b.ask("GET", "/a.js", "Accept-Encoding: "+accept)
			for name, size := range sizes() {
				if (strings.Contains(accept, name) || accept == "*") && size < int64(len(body)) {
					return false
				}
			}
			return true
		})
	}
	for accept, want := range map[string]string{"zstd, br;q=0.9": "zstd", "gzip;q=0.9, br;q=0.8, zstd;q=0.1": "gzip"} {
		if resp, _ := b.ask("GET", "/a.js", "Accept-Encoding: "+accept); resp.Header.Get("Content-Encoding") != want {
			t.Errorf("%q: %q", accept, resp.Header.Get("Content-Encoding"))
		}
	}
	// Both that may be the smallest are made.
	fresh := listen(t, true, backend(t, testEngine(t, s, ""), app.TurbochargerOpts{Manifest: deployed(t, s, map[string][]byte{"a.js": text})}).Handler(true))
	eventually(t, "the smaller one of two", func() bool {
		resp, body := fresh.ask("GET", "/a.js", "Accept-Encoding: gzip, br, zstd")
		io.Discard.Write(body)
		return resp.Header.Get("Content-Encoding") != "" && int64(len(body)) <= min(sizes()["br"], sizes()["zstd"])
	})
}
