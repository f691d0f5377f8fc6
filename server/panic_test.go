package server_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"edgerouter/router"
	"edgerouter/server"
	"edgerouter/wire"
)

// TestPanickingHandler: one panic costs one connection.
func TestPanickingHandler(t *testing.T) {
	seen := &tally{}
	var r *rig
	r = start(t, func(c *server.Config, e *router.Entry) {
		e.Observer = seen
		e.Direct = true
		c.AccessLog = func(a *server.Access) {
			r.record(fmt.Sprint(a.App, " ", a.Status))
		}
		e.Handler = func(ctx *fasthttp.RequestCtx) {
			x := wire.From(ctx)
			switch string(x.Head.Path) {
			case "/late":
				x.Respond(200, []byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"))
				panic("too late")
			case "/early":
				panic("too early")
			}
			ctx.SetBodyString("ok")
		}
	})
	c := r.dial()
	c.send("POST /early HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000\r\n\r\n" + repeat("x", 90000))
	a := c.response("POST")
	if a.StatusCode != 500 || !a.Close || !strings.HasPrefix(a.body, "internal error\nrequest id: ") || strings.Contains(a.body, "too early") {
		t.Errorf("%d %q, close %v", a.StatusCode, a.body, a.Close)
	}
	c.ended()

	c = r.dial()
	c.send("GET /late HTTP/1.0\r\n\r\n")
	if all, err := io.ReadAll(c.in); err == nil {
		t.Errorf("it ended cleanly after %q", all)
	}
	r.dial().open()
	eventually(t, "the panics are counted", func() bool { return r.server.Stats.Panics.Load() == 2 })
	eventually(t, "both are observed", func() bool { return seen.all() == "POST Internal Server Error, GET OK" })
	eventually(t, "the access log has both", func() bool { return len(r.requests()) == 2 })
	if got := strings.Join(r.requests(), ", "); got != "app 500, app 200" {
		t.Errorf("the access log has %s", got)
	}
	for _, want := range []string{"too early", "too late", "panic_test.go", "request_id"} {
		if !strings.Contains(r.log.String(), want) {
			t.Errorf("the log does not have %q: %s", want, r.log)
		}
	}
}

type canceler chan struct{}

func (c canceler) Cancel() { close(c) }

// TestPanicCancels: what the request has under way at a peer is given up.
func TestPanicCancels(t *testing.T) {
	done := make(canceler)
	var c wire.Canceler = done
	r := start(t, handler(func(ctx *fasthttp.RequestCtx) {
		wire.From(ctx).OnGone(&c)
		panic("boom")
	}))
	r.dial().get("/")
	<-done
}
