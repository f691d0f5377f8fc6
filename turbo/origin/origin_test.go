package origin

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/fstest"
)

func TestAdvertise(t *testing.T) {
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) })
	for _, c := range []struct {
		prefix, method, path string
		header               string
		status               int
	}{
		{"/static", "GET", "/static/a.css", "/static ID", 418},
		{"/static/", "GET", "/static", "/static ID", 418},
		{"/static", "HEAD", "/static", "/static ID", 204},
		{"/static", "HEAD", "/static/", "/static ID", 204},
		{"/static", "HEAD", "/static/a.css", "/static ID", 418},
		{"/static", "GET", "/staticky", "", 418},
		{"/static", "GET", "/", "", 418},
		{"/", "GET", "/a", "/ ID", 418},
		{"/", "HEAD", "/", "/ ID", 204},
	} {
		w := httptest.NewRecorder()
		Advertise(c.prefix, "ID", app).ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
		if w.Code != c.status || w.Header().Get(Header) != c.header {
			t.Errorf("%s: %s %s: %d %q", c.prefix, c.method, c.path, w.Code, w.Header().Get(Header))
		}
	}
	t.Setenv(Variable, "FROM")
	w := httptest.NewRecorder()
	FromEnvironment("/s", app).ServeHTTP(w, httptest.NewRequest("GET", "/s/x", nil))
	if got := w.Header().Get(Header); got != "/s FROM" {
		t.Errorf("from the environment: %q", got)
	}
	t.Setenv(Variable, "")
	w = httptest.NewRecorder()
	FromEnvironment("/s", app).ServeHTTP(w, httptest.NewRequest("GET", "/s/x", nil))
	if got := w.Header().Get(Header); got != "" {
		t.Errorf("without a manifest: %q", got)
	}
}

func TestTar(t *testing.T) {
	var b bytes.Buffer
	if err := Tar(&b, fstest.MapFS{"a/b.css": {Data: []byte("css")}, "index.html": {Data: []byte("html")}}); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	r := tar.NewReader(&b)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(r)
		got[h.Name] = string(body)
	}
	if len(got) != 2 || got["a/b.css"] != "css" || got["index.html"] != "html" {
		t.Errorf("%q", got)
	}
}
