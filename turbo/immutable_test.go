package turbo

import (
	"testing"

	"edgerouter/app"
)

// TestImmutable: what browsers may keep without asking again is what has a hash in
// its name or is listed, and never a page.
func TestImmutable(t *testing.T) {
	s := emptyFolder(t)
	files := map[string][]byte{}
	for _, name := range []string{"index.html", "p/iPhone15ProMax.html", "p/app-DfK3sd9A.html", "snippetController2.js", "a/UniJIS2004-UTF16-H.bcmap", "a/index-DfK3sd9A.js", "lib/v1/plain.js", "lib/v1/page.html", "font.woff2"} {
		files[name] = []byte(name)
	}
	b := listen(t, true, backend(t, testEngine(t, s, ""), app.TurbochargerOpts{Manifest: deployed(t, s, files), Immutable: []string{"/lib/**", "*.woff2"}}).Handler(true))
	for path, want := range map[string]string{
		"/": revalidate, "/p/iPhone15ProMax.html": revalidate, "/p/app-DfK3sd9A.html": revalidate, "/snippetController2.js": revalidate, "/a/UniJIS2004-UTF16-H.bcmap": revalidate,
		"/a/index-DfK3sd9A.js": immutable, "/lib/v1/plain.js": immutable, "/font.woff2": immutable, "/lib/v1/page.html": revalidate, "/lib/nothing.js": "",
	} {
		if resp, _ := b.ask("GET", path); resp.Header.Get("Cache-Control") != want {
			t.Errorf("%s: %q, want %q", path, resp.Header.Get("Cache-Control"), want)
		}
	}
}
