package server_test

import (
	"strings"
	"testing"
	"time"

	"edgerouter/router"
	"edgerouter/server"
)

// smuggled stands behind each malformed request; it must never be taken for one.
const smuggled = "GET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n"

// TestRefusedRequests: one case for each rule, in bytes; the answer, that the
// connection ends with it, and that nothing behind is parsed.
func TestRefusedRequests(t *testing.T) {
	r := start(t, func(c *server.Config, _ *router.Entry) {
		c.Limits = server.Limits{Head: 2048, Target: 256, Fields: 20}
	})
	post := func(fields, body string) string {
		return "POST /u HTTP/1.1\r\nHost: a.test\r\n" + fields + "\r\n" + body
	}
	for _, c := range []struct {
		rule, in string
		status   int
	}{
		{"length and coding together", post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
		{"coding and length together", post("Transfer-Encoding: chunked\r\nContent-Length: 40\r\n", "0\r\n\r\n"), 400},
		{"differing lengths", post("Content-Length: 0\r\nContent-Length: 40\r\n", ""), 400},
		{"length with a plus", post("Content-Length: +0\r\n", ""), 400},
		{"length with a minus", post("Content-Length: -1\r\n", ""), 400},
		{"length with a space", post("Content-Length: 0 40\r\n", ""), 400},
		{"list of differing lengths", post("Content-Length: 0, 40\r\n", ""), 400},
		{"length that overflows", post("Content-Length: 18446744073709551616\r\n", ""), 400},
		{"coding other than chunked", post("Transfer-Encoding: identity\r\n", ""), 501},
		{"chunked not last", post("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"), 400},
		{"chunked not alone", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 501},
		{"chunked twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
		{"chunked in disguise", post("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n"), 400},
		{"chunked with a space before the colon", post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), 400},
		{"coding in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		{"white space before the colon", post("X-A : b\r\n", ""), 400},
		{"bare CR in a field", post("X-A: b\rX-B: c\r\n", ""), 400},
		{"bare LF in a field", post("X-A: b\nX-B: c\r\n", ""), 400},
		{"bare LF ends the request line", "GET / HTTP/1.1\nHost: a.test\r\n\r\n", 400},
		{"bare LF ends the head", "GET / HTTP/1.1\r\nHost: a.test\n\n", 400},
		{"NUL in a field", post("X-A: b\x00c\r\n", ""), 400},
		{"obs-fold", post("X-A: b\r\n c\r\n", ""), 400},
		{"field without a name", post(": b\r\n", ""), 400},
		{"field without a colon", post("X-A\r\n", ""), 400},
		{"control character in the target", "GET /\x01 HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
		{"bare CR in the target", "GET /a\rb HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
		{"space in the target", "GET /a b HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
		{"control character in the method", "G\x00T / HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
		{"no request line", "\r\n\r\n\r\n", 400},
		{"not HTTP at all", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", 400},
		{"missing Host", "GET / HTTP/1.1\r\n\r\n", 400},
		{"double Host", "GET / HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n", 400},
		{"malformed Host", "GET / HTTP/1.1\r\nHost: a.test/x\r\n\r\n", 400},
		{"Host with a user", "GET / HTTP/1.1\r\nHost: x@a.test\r\n\r\n", 400},
		{"authority with a user", "GET http://x@a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n", 400},
		{"chunk size that overflows", post("Transfer-Encoding: chunked\r\n", "10000000000000000\r\nx\r\n0\r\n\r\n"), 400},
		{"chunk size with a sign", post("Transfer-Encoding: chunked\r\n", "+1\r\nx\r\n0\r\n\r\n"), 400},
		{"chunk size with junk", post("Transfer-Encoding: chunked\r\n", "1x\r\nx\r\n0\r\n\r\n"), 400},
		{"chunk size with 0x", post("Transfer-Encoding: chunked\r\n", "0x1\r\nx\r\n0\r\n\r\n"), 400},
		{"empty chunk size", post("Transfer-Encoding: chunked\r\n", "\r\nx\r\n0\r\n\r\n"), 400},
		{"chunk line with a bare LF", post("Transfer-Encoding: chunked\r\n", "1\nx\r\n0\r\n\r\n"), 400},
		{"chunk longer than it says", post("Transfer-Encoding: chunked\r\n", "1\r\nxyz\r\n0\r\n\r\n"), 400},
		{"chunk extension beyond the bound", post("Transfer-Encoding: chunked\r\n", "1;"+repeat("e", 2000)+"\r\nx\r\n0\r\n\r\n"), 400},
		{"chunk extensions beyond the bound", post("Transfer-Encoding: chunked\r\n", repeat("1;"+repeat("e", 1000)+"\r\nx\r\n", 6)+"0\r\n\r\n"), 400},
		{"trailers beyond the bound", post("Transfer-Encoding: chunked\r\n", "0\r\n"+repeat("X: "+repeat("y", 1000)+"\r\n", 20)+"\r\n"), 400},
		{"malformed trailer", post("Transfer-Encoding: chunked\r\n", "0\r\nX y\r\n\r\n"), 400},
		{"unknown expectation", post("Expect: the-spanish-inquisition\r\nContent-Length: 1\r\n", "x"), 417},
		{"long target", "GET /" + repeat("a", 300) + " HTTP/1.1\r\nHost: a.test\r\n\r\n", 414},
		{"endless target", "GET /" + repeat("a", 3000), 414},
		{"large head", post("X-A: "+repeat("b", 3000)+"\r\n", ""), 431},
		{"endless head", "GET / HTTP/1.1\r\nHost: a.test\r\nX-A: " + repeat("b", 3000), 431},
		{"many fields", post(repeat("X-A: b\r\n", 30), ""), 431},
		{"CONNECT", "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n", 501},
		{"HTTP/2", "GET / HTTP/2.0\r\nHost: a.test\r\n\r\n", 505},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
		{"HTTP/2.0", "GET / HTTP/2.0\r\nHost: a.test\r\n\r\n", 505},
		{"HTTP/0.9", "GET / HTTP/0.9\r\nHost: a.test\r\n\r\n", 505},
	} {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			for _, behind := range []string{smuggled, ""} {
				c2 := dial(t, r.addr)
				c2.send(c.in + behind)
				a := c2.response("GET")
				if a.StatusCode != c.status {
					t.Errorf("%d, not %d: %q", a.StatusCode, c.status, a.body)
				}
				if !a.Close {
					t.Error("the response does not say that the connection closes")
				}
				if !strings.Contains(a.body, "request id: ") || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/plain") || a.Header.Get("Date") == "" {
					t.Errorf("the answer is %q with %v", a.body, a.Header)
				}
				c2.ended()
			}
		})
	}
	t.Cleanup(func() {
		for _, s := range r.requests() {
			if strings.Contains(s, "smuggled") {
				t.Errorf("a request was parsed out of what follows a malformed one: %s", s)
			}
		}
	})
}

// TestFaultInPieces: how the bytes come in makes no difference.
func TestFaultInPieces(t *testing.T) {
	r := start(t, nil)
	for _, in := range []string{
		"GET / HTTP/1.1\r\nHost: a.test\r\nX : y\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n1;x\r\nxy\r\n0\r\n\r\n",
	} {
		c := dial(t, r.addr)
		for i := range in {
			if _, err := c.Write([]byte(in[i : i+1])); err != nil {
				break // it was refused before its end
			}
		}
		if a := c.response("GET"); a.StatusCode != 400 {
			t.Errorf("%q gave %d", in, a.StatusCode)
		}
		c.ended()
	}
}

func TestSlowHead(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *server.Config, _ *router.Entry) { c.Limits.HeaderTimeout = 100 * time.Millisecond })
	for _, in := range []string{"G", "GET / HTTP/1.1\r\nHost: a.test\r\nX: "} {
		c := dial(t, r.addr)
		c.send(in)
		if a := c.response("GET"); a.StatusCode != 408 || !a.Close {
			t.Errorf("%q gave %d, close %v", in, a.StatusCode, a.Close)
		}
		c.ended()
	}
	// The time counts from the first byte of a head, not from the connection's.
	c := dial(t, r.addr)
	for range 3 {
		c.open()
	}
	if n := r.server.Stats.Refused.Load(); n != 2 {
		t.Errorf("%d requests were counted as refused", n)
	}
}

// TestDrippingHeadIsBounded: a byte at a time does not extend the time.
func TestDrippingHead(t *testing.T) {
	t.Parallel()
	r := start(t, func(c *server.Config, _ *router.Entry) { c.Limits.HeaderTimeout = 200 * time.Millisecond })
	c := dial(t, r.addr)
	began := time.Now()
	c.send("GET / HTTP/1.1\r\nHost: a.test\r\n")
	go func() {
		for {
			if _, err := c.Write([]byte("X: y\r\n")); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	a := c.response("GET")
	if took := time.Since(began); a.StatusCode != 408 || took > 5*time.Second {
		t.Errorf("%d after %v", a.StatusCode, took)
	}
}
