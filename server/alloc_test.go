//go:build !race

package server_test

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/router"
	"edgerouter/server"
	"edgerouter/wire"
)

// TestServingAllocatesNothing: a small keep-alive request to a direct handler, as
// the peer_set backend is one, leaves nothing for the collector: parse, match,
// forwarded fields, response, observe.
func TestServingAllocatesNothing(t *testing.T) {
	response := []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	var table *router.Table
	r := start(t, func(c *server.Config, e *router.Entry) {
		e.Kind, e.Host, e.PathPrefix, e.Direct = router.Exact, "a.test", "/", true
		e.Handler = func(ctx *fasthttp.RequestCtx) {
			x := wire.From(ctx)
			x.Scratch = append(x.Scratch[:0], response...)
			x.Ended = wire.Now()
			x.Respond(200, x.Scratch)
		}
		table, _ = router.Build([]*router.Entry{e}, nil)
		c.Lookup = table.Match
	})
	nc, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	request := []byte("GET /a/b?c=d HTTP/1.1\r\nHost: a.test\r\nUser-Agent: test\r\nAccept: */*\r\n\r\n")
	buf := make([]byte, len(response))
	once := func() {
		if _, err := nc.Write(request); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(nc, buf); err != nil {
			t.Fatal(err)
		}
	}
	once()
	if n := testing.AllocsPerRun(2000, once); n >= 1 {
		t.Errorf("%v allocations for a request", n)
	}
}
