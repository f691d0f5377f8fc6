package wire

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzRequestHead holds this parser against net/http's: what is accepted here is
// accepted there as well and means the same, or is on the list of differences.
func FuzzRequestHead(f *testing.F) {
	f.Fuzz(func(t *testing.T, raw []byte) {
		var h RequestHead
		lim := Limits{Head: 4096, Target: 1024, Fields: 32}
		n, err := h.Parse(raw, &lim)
		checkPrefixes(t, raw, n, err, &lim)
		if err != nil {
			return
		}
		checkLimits(t, &h, n, &lim)
		for _, d := range differences {
			if d.meet(raw, &h) {
				return
			}
		}
		req, rerr := readByNetHTTP(raw[:n])
		if rerr != nil {
			t.Fatalf("net/http refuses what was accepted: %v\n%q", rerr, raw[:n])
		}
		if req.Method != string(h.Method) || req.Host != string(h.Host) {
			t.Fatalf("net/http read %q %q\nwire read %q %q", req.Method, req.Host, h.Method, h.Host)
		}
		if !strings.HasSuffix(req.RequestURI, string(h.Target)) && !bareAuthority(req) {
			t.Fatalf("target %q, net/http read %q", h.Target, req.RequestURI)
		}
		if req.ProtoMajor != 1 || req.ProtoMinor != h.Minor {
			t.Fatalf("version 1.%d, net/http read %s", h.Minor, req.Proto)
		}
		if req.URL.RawQuery != string(h.Query) {
			t.Fatalf("query %q, net/http read %q", h.Query, req.URL.RawQuery)
		}
		if bareAuthority(req) {
			req.URL.Path = "/"
			if req.Method == "OPTIONS" && !h.HasQuery {
				req.URL.Path = "*"
			}
		}
		if path, err := url.PathUnescape(string(h.Path)); err != nil || path != req.URL.Path {
			t.Fatalf("path %q, net/http read %q", h.Path, req.URL.Path)
		}
		chunked := len(req.TransferEncoding) == 1 && req.TransferEncoding[0] == "chunked"
		length := int64(-1)
		if !chunked && h.Length >= 0 {
			length = req.ContentLength
		}
		if chunked != h.Chunked || length != h.Length {
			t.Fatalf("chunked %v length %d, net/http read chunked %v length %d", h.Chunked, h.Length, chunked, req.ContentLength)
		}
		if req.Close && !h.Close {
			t.Fatalf("net/http closes the connection after %q", raw[:n])
		}
		want := headerOf(h.Fields)
		if slices.Equal(want["Pragma"], []string{"no-cache"}) && want["Cache-Control"] == nil {
			delete(req.Header, "Cache-Control") // net/http adds it
		}
		if len(want["Content-Length"]) > 1 {
			want["Content-Length"] = want["Content-Length"][:1] // net/http keeps one
		}
		if diff := cmp.Diff(want, req.Header); diff != "" {
			t.Fatalf("fields (-wire +net/http):\n%s", diff)
		}
	})
}

// bareAuthority tells an absolute-form target without a path.
func bareAuthority(req *http.Request) bool { return req.URL.Host != "" && req.URL.Path == "" }

// checkPrefixes: bytes that come later never change a verdict, and what is cut
// off inside the head is incomplete or refused, never a request.
func checkPrefixes(t *testing.T, raw []byte, n int, err *Error, lim *Limits) {
	if err != nil || n > 512 {
		return
	}
	for i := range n {
		var h RequestHead
		if _, e := h.Parse(raw[:i], lim); e != ErrMore {
			t.Fatalf("the first %d of %d bytes gave %v\n%q", i, n, e, raw[:n])
		}
	}
}

func checkLimits(t *testing.T, h *RequestHead, n int, lim *Limits) {
	if n > lim.Head || len(h.Fields) > lim.Fields {
		t.Fatalf("a head of %d bytes and %d fields passed the limits", n, len(h.Fields))
	}
	if len(h.Target) == 0 || len(h.Path) == 0 {
		t.Fatalf("target %q, path %q", h.Target, h.Path)
	}
}
