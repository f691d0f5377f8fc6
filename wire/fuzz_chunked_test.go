package wire

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

// FuzzChunkedBody holds the decoder against net/http's: a body that is taken here
// is taken there, has the same data, the same trailers but for those that are
// dropped, and ends at the same byte. It also must not matter how the bytes come
// in.
func FuzzChunkedBody(f *testing.F) {
	f.Fuzz(func(t *testing.T, raw []byte) {
		data, trailers, left, err := decode(bytes.NewReader(raw), 1000)
		for _, step := range []int{1, 3, 4096} {
			d, tr, l, e := decode(iotest.OneByteReader(bytes.NewReader(raw)), step)
			if string(d) != string(data) || tr != trailers || l != left || (e == nil) != (err == nil) {
				t.Fatalf("by the byte: %q %q %d %v\nat once: %q %q %d %v", d, tr, l, e, data, trailers, left, err)
			}
		}
		if err != nil {
			return
		}
		end := len(raw) - left
		if at := bytes.LastIndex(raw[:end], []byte("\r\n0")); end-max(at, 0) > 4000 {
			return // net/http takes no trailer section beyond 4 KiB
		}
		rest := bufio.NewReader(io.MultiReader(
			strings.NewReader("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"), bytes.NewReader(raw[:end]), strings.NewReader("after")))
		req, rerr := http.ReadRequest(rest)
		if rerr != nil {
			t.Fatal(rerr)
		}
		want, rerr := io.ReadAll(req.Body)
		if rerr != nil {
			t.Fatalf("net/http refuses what was accepted: %v\n%q", rerr, raw[:end])
		}
		if string(want) != string(data) {
			t.Fatalf("data %q, net/http read %q", data, want)
		}
		EachLine([]byte(trailers), func(name, value []byte) {
			found := false
			for _, v := range req.Trailer.Values(string(name)) {
				found = found || v == string(value)
			}
			if !found {
				t.Fatalf("trailer %q: %q is not in net/http's %v", name, value, req.Trailer)
			}
		})
		if behind, _ := io.ReadAll(rest); string(behind) != "after" {
			t.Fatalf("net/http leaves %q behind the body", behind)
		}
	})
}

// decode reads a chunked body and tells how many bytes are left behind it.
func decode(src io.Reader, step int) (data []byte, trailers string, left int, err error) {
	rd := readerOf(src)
	defer rd.Release()
	var b Body
	b.SetChunked(rd)
	p := make([]byte, step)
	for {
		n, rerr := b.Read(p)
		data = append(data, p[:n]...)
		if rerr == io.EOF {
			break
		}
		if rerr != nil {
			return data, "", 0, rerr
		}
	}
	rest, _ := io.ReadAll(rd)
	return data, string(b.Trailers()), len(rest), nil
}
