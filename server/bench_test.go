package server

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"edgerouter/router"
	"edgerouter/wire"
)

// loopConn is a client that asks the same n times and drops the answers: what is
// measured is ours alone, without the kernel.
type loopConn struct {
	net.Conn
	request []byte
	n       int
}

func (l *loopConn) Read(p []byte) (int, error) {
	if l.n == 0 {
		return 0, io.EOF
	}
	l.n--
	return copy(p, l.request), nil
}

func (l *loopConn) Write(p []byte) (int, error)      { return len(p), nil }
func (l *loopConn) Close() error                     { return nil }
func (l *loopConn) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }
func (l *loopConn) SetDeadline(time.Time) error      { return nil }
func (l *loopConn) SetReadDeadline(time.Time) error  { return nil }
func (l *loopConn) SetWriteDeadline(time.Time) error { return nil }

type silent struct{}

func (silent) Observe([]byte, int, time.Duration) {}

// BenchmarkRequest is the pipeline around a direct handler and around an ordinary
// one.
func BenchmarkRequest(b *testing.B) {
	response := []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	for name, entry := range map[string]*router.Entry{
		"direct": {Direct: true, Handler: func(ctx *fasthttp.RequestCtx) {
			x := wire.From(ctx)
			x.Scratch = append(x.Scratch[:0], response...)
			x.Ended = wire.Now()
			x.Respond(200, x.Scratch)
		}},
		"ordinary": {Handler: func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("ok") }},
	} {
		b.Run(name, func(b *testing.B) {
			entry.Kind, entry.Host, entry.AllowPlain, entry.Observer = router.Exact, "bench.test", true, silent{}
			table, _ := router.Build([]*router.Entry{entry}, nil)
			s := New(Config{Lookup: table.Match, Unmatched: silent{}, Log: zerolog.Nop()})
			defer s.Shutdown(b.Context(), 0)
			nc := &loopConn{request: []byte("GET /index.html?a=b HTTP/1.1\r\nHost: bench.test\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"), n: b.N}
			c := newConn(s, nc)
			s.conns.add(c)
			b.ReportAllocs()
			b.ResetTimer()
			c.serve(false)
		})
	}
}
