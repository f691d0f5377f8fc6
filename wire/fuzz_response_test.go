package wire

import (
	"bufio"
	"bytes"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzResponseHead holds the parser of response heads against net/http's.
func FuzzResponseHead(f *testing.F) {
	f.Fuzz(func(t *testing.T, raw []byte) {
		var h ResponseHead
		n, err := h.Parse(raw)
		if err != nil {
			return
		}
		if n <= 512 {
			for i := range n {
				var cut ResponseHead
				if _, e := cut.Parse(raw[:i]); e != ErrMore {
					t.Fatalf("the first %d of %d bytes gave %v", i, n, e)
				}
			}
		}
		for _, f := range h.Fields {
			if f.Kind == Trailer || f.Kind == ContentLength && bytes.IndexByte(f.Value, ',') >= 0 {
				return // as in differences
			}
		}
		resp, rerr := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw[:n])), &http.Request{Method: "GET"})
		if rerr != nil {
			t.Fatalf("net/http refuses what was accepted: %v\n%q", rerr, raw[:n])
		}
		defer resp.Body.Close()
		if resp.StatusCode != h.Status || resp.ProtoMinor != h.Minor {
			t.Fatalf("%d in 1.%d, net/http read %d in %s", h.Status, h.Minor, resp.StatusCode, resp.Proto)
		}
		if !h.NoBody(false) {
			chunked := len(resp.TransferEncoding) == 1 && resp.TransferEncoding[0] == "chunked"
			if chunked != h.Chunked || (!chunked && resp.ContentLength != h.Length) {
				t.Fatalf("chunked %v length %d, net/http read chunked %v length %d", h.Chunked, h.Length, chunked, resp.ContentLength)
			}
		}
		want := headerOf(h.Fields)
		for _, m := range []http.Header{want, resp.Header} {
			delete(m, "Content-Length") // net/http drops or merges it
			delete(m, "Transfer-Encoding")
			delete(m, "Host")
			delete(m, "Cache-Control") // net/http adds it for Pragma
		}
		if diff := cmp.Diff(want, resp.Header); diff != "" {
			t.Fatalf("fields (-wire +net/http):\n%s", diff)
		}
	})
}
