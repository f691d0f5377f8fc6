package server_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/router"
	"edgerouter/server"
	"edgerouter/wire"
)

// TestSendFile: head and file arrive whole, whatever the pieces in which the
// client takes them, one response after the other on a connection; and a file
// that is shorter than it was breaks the response instead of ending it.
func TestSendFile(t *testing.T) {
	data := make([]byte, 24<<20)
	rand.NewChaCha8([32]byte{1}).Read(data)
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() }) // after the server has ended
	const offset = 4321
	filling := strings.Repeat("x", 20_000) // a head that does not fit anywhere at once
	r := start(t, func(_ *server.Config, e *router.Entry) {
		e.Direct = true
		e.Handler = func(ctx *fasthttp.RequestCtx) {
			x := wire.From(ctx)
			var n int64
			fmt.Sscanf(string(x.Target), "/%d", &n)
			if !x.SendsPages() {
				t.Error("a plain connection does not send pages")
			}
			head := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Filling: %s\r\n\r\n", n, filling)
			err := x.RespondFile(200, head, f, offset, n)
			if n <= int64(len(data)-offset) && (err != nil || x.Sent != int64(len(head))+n) {
				t.Errorf("%d bytes: sent %d with the head of %d, %v", n, x.Sent, len(head), err)
			}
		}
	})
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Minute))
	c.(*net.TCPConn).SetReadBuffer(32 << 10)
	in := bufio.NewReaderSize(c, 4<<10)
	for _, n := range []int{1, 8 << 10, 0, 65_536, 20 << 20, 5} {
		fmt.Fprintf(c, "GET /%d HTTP/1.1\r\nHost: test\r\n\r\n", n)
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		hash := sha256.New()
		size, err := io.Copy(hash, resp.Body)
		if want := sha256.Sum256(data[offset : offset+n]); err != nil || size != int64(n) || !bytes.Equal(hash.Sum(nil), want[:]) || resp.Header.Get("X-Filling") != filling {
			t.Errorf("%d bytes: %d came, %v", n, size, err)
		}
	}
	fmt.Fprintf(c, "GET /%d HTTP/1.1\r\nHost: test\r\n\r\n", len(data))
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, resp.Body); err == nil || n > int64(len(data)-offset) {
		t.Errorf("a file that is too short: %d bytes, %v", n, err)
	}
}
