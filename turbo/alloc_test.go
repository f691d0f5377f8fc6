package turbo

import (
	"bytes"
	"io"
	"net"
	"os"
	"testing"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/wire"
)

// sink is a client that takes everything and counts it.
type sink struct {
	net.Conn
	x     wire.Exchange
	n     int64
	pages bool
}

func (s *sink) Exchange() *wire.Exchange    { return &s.x }
func (s *sink) Write(p []byte) (int, error) { s.n += int64(len(p)); return len(p), nil }
func (s *sink) StopReading()                {}
func (s *sink) Tunnel() io.ReadWriteCloser  { return nil }
func (s *sink) RemoteAddr() net.Addr        { return &net.TCPAddr{} }
func (s *sink) WriteBoth(head, body []byte) (int64, error) {
	s.n += int64(len(head) + len(body))
	return int64(len(head) + len(body)), nil
}
func (s *sink) SendsPages() bool { return s.pages }
func (s *sink) SendFile(head []byte, _ *os.File, _, n int64) (int64, error) {
	s.n += int64(len(head)) + n
	return int64(len(head)) + n, nil
}

type silent struct{}

func (silent) Printf(string, ...any) {}

// TestHitsAllocateNothing: from memory, from disk, as 304 and as 404.
func TestHitsAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s := emptyFolder(t)
	css := bytes.Repeat([]byte("body { margin: 0; padding: 0 }\n"), 2000)
	manifest := deployed(t, s, map[string][]byte{"site.css": css, "large.bin": bytes.Repeat([]byte("large"), 100_000), "404.html": []byte("not here")})
	e := testEngine(t, s, "")
	b := backend(t, e, app.TurbochargerOpts{Manifest: manifest})
	eventually(t, "ready", func() bool { return b.site.Load() != nil })
	handler := b.Handler(true)
	for _, c := range []struct {
		name, target, field string
		status              int
		least               int64
	}{
		{"memory", "/site.css", "Accept-Encoding: gzip, deflate, br, zstd", 200, 300},
		{"identity", "/site.css", "Accept: */*", 200, int64(len(css))},
		{"disk", "/large.bin", "Accept-Encoding: gzip", 200, 500_000},
		{"a part", "/large.bin", "Range: bytes=5-99999", 206, 99_995},
		{"not modified", "/site.css", "If-None-Match: *", 304, 100},
		{"not found", "/nowhere", "Accept-Encoding: gzip", 404, 100},
	} {
		for _, pages := range []bool{false, true} {
			client := &sink{pages: pages}
			client.x.Client = client
			raw := []byte("GET " + c.target + " HTTP/1.1\r\nHost: example.com\r\n" + c.field + "\r\nUser-Agent: test\r\n\r\n")
			if _, err := client.x.Head.Parse(raw, &wire.DefaultLimits); err != nil {
				t.Fatal(err)
			}
			ctx := &fasthttp.RequestCtx{}
			ctx.Init2(client, silent{}, false)
			run := func() {
				client.n = 0
				client.x.Begin(wire.Now())
				handler(ctx)
			}
			run()
			eventually(t, "encoded", func() bool { return e.Cache().Usage().Queued == 0 })
			run()
			if client.x.Status != c.status || client.n < c.least {
				t.Errorf("%s: status %d, %d bytes", c.name, client.x.Status, client.n)
			}
			if n := testing.AllocsPerRun(200, run); n > 0 {
				t.Errorf("%s (pages: %v) allocates %.1f times", c.name, pages, n)
			}
		}
	}
}
