package server_test

import (
	"fmt"
	"testing"
	"time"

	"edgerouter/router"
	"edgerouter/server"
)

func TestAccessLog(t *testing.T) {
	t.Parallel()
	lines := make(chan string, 10)
	r := start(t, func(c *server.Config, e *router.Entry) {
		c.Lookup = func(host, _ []byte, _ router.Attributes) *router.Entry {
			if string(host) == "a.test" {
				return e
			}
			return nil
		}
		c.AccessLog = func(a *server.Access) {
			if off := time.Since(a.Time); off < 0 || off > patience || a.Duration < 0 || a.Duration > patience || len(a.RequestID) != 32 {
				t.Errorf("time %v, duration %v, id %q", a.Time, a.Duration, a.RequestID)
			}
			lines <- fmt.Sprintf("%s %v %q %q %q %q %v %d %d %v %q %q", a.App, a.Client, a.Method, a.Host, a.Target,
				a.Protocol, a.Secure, a.Status, a.Received, a.Sent > 100, a.UserAgent, a.Referer)
		}
	})
	c := r.dial()
	for in, want := range map[string]string{
		"POST /x?y HTTP/1.1\r\nHost: a.test\r\nUser-Agent: me\r\nReferer: there\r\nContent-Length: 3\r\n\r\nabc": `app 127.0.0.1 "POST" "a.test" "/x?y" "HTTP/1.1" false 200 3 true "me" "there"`,
		"GET / HTTP/1.0\r\nHost: b.test\r\nConnection: keep-alive\r\n\r\n":                                       ` 127.0.0.1 "GET" "b.test" "/" "HTTP/1.0" false 404 0 true "" ""`,
	} {
		c.send(in)
		c.response("GET")
		if got := <-lines; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	c.send("GET / HTTP/3.0\r\n\r\n")
	c.response("GET")
	if got, want := <-lines, ` 127.0.0.1 "" "" "" "" false 505 0 false "" ""`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
