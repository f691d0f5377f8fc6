package upstream_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
)

// TestHandlersChangeTheRequest: what they set, take away and add reaches the
// peer; the rest stays as the client sent it.
func TestHandlersChangeTheRequest(t *testing.T) {
	const request = "GET /old?q HTTP/1.1\r\nHost: a.example\r\nx-ONE: 1\r\nX-Two: 2\r\nCookie: a=b; bad cookie;c=\"d\"\r\nx-one: again\r\nX-Three: 3\r\n\r\n"
	const forward = "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a.example\r\nX-Real-Ip: 127.0.0.1\r\n"
	for name, test := range map[string]struct {
		change func(h *fasthttp.RequestHeader)
		pass   bool
		want   string
	}{
		"nothing": {func(*fasthttp.RequestHeader) {}, true,
			"GET /old?q HTTP/1.1\r\nHost: a.example\r\nx-ONE: 1\r\nX-Two: 2\r\nCookie: a=b; bad cookie;c=\"d\"\r\nx-one: again\r\nX-Three: 3\r\n" + forward},
		"target": {func(h *fasthttp.RequestHeader) { h.SetRequestURI("/new%2F?x=y") }, true,
			"GET /new%2F?x=y HTTP/1.1\r\nHost: a.example\r\nx-ONE: 1\r\nX-Two: 2\r\nCookie: a=b; bad cookie;c=\"d\"\r\nx-one: again\r\nX-Three: 3\r\n" + forward},
		"a target that would end the line": {func(h *fasthttp.RequestHeader) { h.SetRequestURI("/a b\r\nX-Evil: 1\r\n\r\n#") }, true,
			"GET /a%20b%20%20X-Evil:%201%20%20%20%20%23 HTTP/1.1\r\nHost: a.example\r\nx-ONE: 1\r\nX-Two: 2\r\nCookie: a=b; bad cookie;c=\"d\"\r\nx-one: again\r\nX-Three: 3\r\n" + forward},
		"host": {func(h *fasthttp.RequestHeader) { h.SetHost("inner") }, false,
			"GET /old?q HTTP/1.1\r\nHost: inner\r\nx-ONE: 1\r\nX-Two: 2\r\nCookie: a=b; bad cookie;c=\"d\"\r\nx-one: again\r\nX-Three: 3\r\n" + forward},
		"fields": {func(h *fasthttp.RequestHeader) {
			h.Del("X-Two")
			h.Set("X-Three", "changed")
			h.Add("X-Four", "4")
			h.Set("X-Forwarded-User", "joe")
			h.Set("Connection", "close")
			h.Set("X-Line", "a\r\nX-Evil: 1")
		}, true,
			"GET /old?q HTTP/1.1\r\nHost: a.example\r\nx-ONE: 1\r\nCookie: a=b; bad cookie;c=\"d\"\r\nx-one: again\r\n" +
				"X-Three: changed\r\n" + forward + "X-Four: 4\r\nX-Forwarded-User: joe\r\nX-Line: a  X-Evil: 1\r\n"},
		"cookies": {func(h *fasthttp.RequestHeader) { h.DelCookie("c") }, true,
			"GET /old?q HTTP/1.1\r\nHost: a.example\r\nx-ONE: 1\r\nX-Two: 2\r\nx-one: again\r\nX-Three: 3\r\nCookie: a=b; bad cookie\r\n" + forward},
		"a new cookie": {func(h *fasthttp.RequestHeader) { h.DelAllCookies(); h.SetCookie("n", "1") }, true,
			"GET /old?q HTTP/1.1\r\nHost: a.example\r\nx-ONE: 1\r\nX-Two: 2\r\nx-one: again\r\nX-Three: 3\r\nCookie: n=1\r\n" + forward},
	} {
		t.Run(name, func(t *testing.T) {
			noLeaks(t)
			got := make(chan string, 1)
			o := startOrigin(t, func(c *peerConn) {
				got <- c.readHead()
				c.write(ok("x"))
			})
			p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}, PassHostHeader: test.pass}, setup{wrap: func(h fasthttp.RequestHandler) fasthttp.RequestHandler {
				return func(ctx *fasthttp.RequestCtx) {
					test.change(&ctx.Request.Header)
					h(ctx)
				}
			}})
			c := p.dial(t)
			c.send(request)
			c.answer("GET")
			head := <-got
			i := strings.Index(head, "X-Request-Id: ")
			head = head[:i] + head[i+14+32+2:]
			if head != test.want+"\r\n" {
				t.Errorf("the peer got\n%q\nwant\n%q", head, test.want)
			}
		})
	}
}

// TestHandlersChangeTheResponse, whether its body is there or comes later.
func TestHandlersChangeTheResponse(t *testing.T) {
	for name, size := range map[string]int{"small": 10, "stream": 200 << 10} {
		t.Run(name, func(t *testing.T) {
			noLeaks(t)
			o := startOrigin(t, answering(func(*http.Request, string) string {
				return strings.Replace(ok(strings.Repeat("x", size)), "Content-Type", "X-Peer: 1\r\nSet-Cookie: a=b; Path=/\r\nSet-Cookie: c=d\r\nContent-Type", 1)
			}))
			for _, change := range []struct {
				name   string
				f      func(*fasthttp.Response)
				status int
				length int
				conns  int64
			}{
				{"fields", func(r *fasthttp.Response) { r.Header.Set("X-Peer", "2"); r.SetStatusCode(299) }, 299, size, 1},
				{"body", func(r *fasthttp.Response) { r.SetBodyString("short") }, 200, 5, 1},
				{"everything", func(r *fasthttp.Response) { r.Reset(); r.SetStatusCode(418) }, 418, 0, 1},
			} {
				p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}}, setup{wrap: func(h fasthttp.RequestHandler) fasthttp.RequestHandler {
					return func(ctx *fasthttp.RequestCtx) {
						h(ctx)
						change.f(&ctx.Response)
					}
				}})
				c := p.dial(t)
				for range 2 {
					a := c.get("/")
					if a.StatusCode != change.status || len(a.text) != change.length {
						t.Errorf("%s: %d with %d bytes", change.name, a.StatusCode, len(a.text))
					}
					if change.name == "fields" && (a.Header.Get("X-Peer") != "2" || len(a.Header["Set-Cookie"]) != 2 || a.Header.Get("Content-Type") != "text/plain") {
						t.Errorf("%v", a.Header)
					}
				}
				p.statuses(t, 2)
				if s := p.set.Peers()[0]; s.InFlight != 0 || s.Failures != 0 {
					t.Errorf("%s: %+v", change.name, s)
				}
			}
		})
	}
}

// TestHandlersReadTheBody: one that has read the client's body may put another in
// its place.
func TestHandlersReadTheBody(t *testing.T) {
	for _, head := range []string{"Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"} {
		noLeaks(t)
		o := startOrigin(t, answering(func(req *http.Request, body string) string {
			return ok(fmt.Sprintf("%d %s", req.ContentLength, body))
		}))
		p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}}, setup{wrap: func(h fasthttp.RequestHandler) fasthttp.RequestHandler {
			return func(ctx *fasthttp.RequestCtx) {
				ctx.Request.SetBodyString(strings.ToUpper(string(ctx.Request.Body())) + "!")
				h(ctx)
			}
		}})
		c := p.dial(t)
		for range 2 {
			c.send("POST / HTTP/1.1\r\nHost: a\r\n" + head)
			if a := c.answer("POST"); a.text != "6 HELLO!" {
				t.Errorf("%.20q: %d %q", head, a.StatusCode, a.text)
			}
		}
	}
}

// TestHandlersReplaceAnUnreadBody: what the client sent would be lost.
func TestHandlersReplaceAnUnreadBody(t *testing.T) {
	noLeaks(t)
	o := startOrigin(t, answering(func(*http.Request, string) string { return ok("x") }))
	p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}}, setup{wrap: func(h fasthttp.RequestHandler) fasthttp.RequestHandler {
		return func(ctx *fasthttp.RequestCtx) {
			ctx.Request.SetBodyString("mine")
			h(ctx)
		}
	}})
	if a := p.dial(t).post("/", "hello"); a.StatusCode != 400 || !a.Close {
		t.Errorf("%d, close %v", a.StatusCode, a.Close)
	}
}

// TestNotHTTP1: a request without a wire.Exchange is refused, not followed.
func TestNotHTTP1(t *testing.T) {
	noLeaks(t)
	p := startProxy(t, app.PeerSetOpts{Addrs: []string{refusing(t)}})
	var ctx fasthttp.RequestCtx
	ctx.Init(&fasthttp.Request{}, nil, nil)
	p.set.Handler(false)(&ctx)
	if s := ctx.Response.StatusCode(); s != 500 {
		t.Errorf("status %d", s)
	}
}

// TestHandlersDropTheStream: a response that nobody reads costs its connection
// and nothing else.
func TestHandlersDropTheStream(t *testing.T) {
	noLeaks(t)
	over := make(chan struct{})
	o := startOrigin(t, func(c *peerConn) {
		defer close(over)
		c.readHead()
		c.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
		io.Copy(io.Discard, c.in)
	})
	p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}, MaxRequests: 1}, setup{wrap: func(h fasthttp.RequestHandler) fasthttp.RequestHandler {
		return func(ctx *fasthttp.RequestCtx) {
			h(ctx)
			ctx.Error("no", 403)
		}
	}})
	if a := p.dial(t).get("/"); a.StatusCode != 403 || a.text != "no" {
		t.Errorf("%d %q", a.StatusCode, a.text)
	}
	<-over
	if s := p.set.Peers()[0]; s.InFlight != 0 || s.Failures != 0 || p.set.Inside() != 0 {
		t.Errorf("%+v, %d inside", s, p.set.Inside())
	}
}
