//go:build !race

package wire

import (
	"io"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

func TestParsersDoNotAllocate(t *testing.T) {
	request := []byte("POST /a/b?c=d HTTP/1.1\r\nHost: example.com\r\nUser-Agent: test\r\nAccept: */*\r\nConnection: keep-alive, X-A\r\n" +
		"X-A: 1\r\nX-Forwarded-For: 10.0.0.1\r\nCookie: a=b\r\nTransfer-Encoding: chunked\r\n\r\n")
	response := []byte("HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n")
	chunks := strings.Repeat("5;x=y\r\nhello\r\n", 100) + "0\r\nX-Sum: 1\r\n\r\n"
	var (
		req  RequestHead
		resp ResponseHead
		body Body
		rd   Reader
		dst  = make([]byte, 0, 512)
		p    = make([]byte, 512)
	)
	src := strings.NewReader(chunks)
	rd.Reset(src)
	for name, f := range map[string]func(){
		"request head":  func() { req.Parse(request, &DefaultLimits) },
		"response head": func() { resp.Parse(response) },
		"append":        func() { dst = AppendDate(AppendLength(AppendStatusLine(dst[:0], 200, nil), 5), Now()) },
		"chunked body": func() {
			src.Reset(chunks)
			rd.Acquire()
			body.SetChunked(&rd)
			for {
				if _, err := body.Read(p); err == io.EOF {
					break
				} else if err != nil {
					t.Fatal(err)
				}
			}
			rd.Release()
		},
	} {
		if n := testing.AllocsPerRun(200, f); n >= 1 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkRequestHead(b *testing.B) {
	request := []byte("GET /index.html?a=b HTTP/1.1\r\nHost: bench.test\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n")
	var h RequestHead
	b.SetBytes(int64(len(request)))
	for b.Loop() {
		h.Parse(request, &DefaultLimits)
	}
}

func TestOwnDoesNotAllocate(t *testing.T) {
	var ctx fasthttp.RequestCtx
	h := &ctx.Request.Header
	for _, name := range []string{"A", "X_User", "B", "A"} {
		h.Add(name, "1")
	}
	if n := testing.AllocsPerRun(100, func() {
		SetOwned(&ctx, "X-User", "me")
		h.Add("x.user", "you")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
