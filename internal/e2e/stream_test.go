package e2e

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"edgerouter/internal/testkit"
	"edgerouter/server"
)

// shortTimeouts are such that a wait of a second is longer than any of them.
func shortTimeouts(c *server.Config) {
	c.Limits.HeaderTimeout = 300 * time.Millisecond
	c.Limits.BodyTimeout = 300 * time.Millisecond
	c.Limits.WriteTimeout = 300 * time.Millisecond
	c.Limits.IdleTimeout = 300 * time.Millisecond
}

// TestServerSentEvents: the head comes before the first event, and each event
// within 50 ms, also after a silence that is longer than every time-out.
func TestServerSentEvents(t *testing.T) {
	bothModes(t, func(t *testing.T, m mode) {
		for _, secure := range []bool{false, true} {
			events := make(chan string)
			e := newEdge(t, m, httpOrigin(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				w.WriteHeader(200)
				http.NewResponseController(w).Flush()
				for event := range events {
					io.WriteString(w, "data: "+event+"\n\n")
					http.NewResponseController(w).Flush()
				}
			}), options{tls: secure, server: shortTimeouts})
			resp, err := e.http().Get(e.url("/"))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			in := bufio.NewReader(resp.Body)
			for i, event := range []string{"one", "two", strings.Repeat("three", 5000), "after a silence"} {
				if i == 3 {
					<-time.After(time.Second)
				}
				events <- event
				began := time.Now()
				line, err := in.ReadString('\n')
				if took := time.Since(began); line != "data: "+event+"\n" || testkit.IsLong() && took > 50*time.Millisecond {
					t.Errorf("event %d: %.40q after %v, %v", i, line, took, err)
				}
				in.ReadString('\n')
			}
			close(events)
			if _, err := in.ReadByte(); err != io.EOF {
				t.Errorf("the stream ends with %v", err)
			}
		}
	})
}

// TestContinue: the client is asked for its body when the peer's turn has come,
// and not when the request is refused.
func TestContinue(t *testing.T) {
	bothModes(t, func(t *testing.T, m mode) {
		e := newEdge(t, m, httpOrigin(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Expect") != "" {
				t.Error("the expectation was passed on")
			}
			echo(w, r)
		}), options{})
		for _, framing := range []string{"Content-Length: 5", "Content-Length: 100000", "Transfer-Encoding: chunked"} {
			c := e.dial()
			c.send("POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\n" + framing + "\r\n\r\n")
			if resp := c.head("POST"); resp.StatusCode != 100 {
				t.Fatalf("%s: %d", framing, resp.StatusCode)
			}
			body := "hello"
			switch framing {
			case "Content-Length: 100000":
				body = strings.Repeat("x", 100000)
				c.send(body)
			case "Transfer-Encoding: chunked":
				c.send("5\r\nhello\r\n0\r\n\r\n")
			default:
				c.send(body)
			}
			if resp, got := c.response("POST"); resp.StatusCode != 200 || got != body {
				t.Errorf("%s: %d, %d bytes", framing, resp.StatusCode, len(got))
			}
		}
		// Nobody is there to want it.
		down := newEdge(t, m, "http://127.0.0.1:1", options{})
		c := down.dial()
		c.send("POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 1000000\r\n\r\n")
		if resp, _ := c.response("POST"); resp.StatusCode != 502 || !resp.Close {
			t.Errorf("%d, close %v", resp.StatusCode, resp.Close)
		}
	})
}

// TestEarlyHints: interim responses come as they are made, before the final one,
// and 100 of a peer is not for the client.
func TestEarlyHints(t *testing.T) {
	bothModes(t, func(t *testing.T, m mode) {
		release := make(chan struct{})
		e := newEdge(t, m, rawOrigin(t, func(c net.Conn) {
			in := bufio.NewReader(c)
			for {
				if _, err := http.ReadRequest(in); err != nil {
					return
				}
				io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: X-B\r\nX-B: 1\r\n\r\n")
				<-release
				io.WriteString(c, "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
		}), options{})
		c := e.dial()
		for range 2 {
			c.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
			if resp := c.head("GET"); resp.StatusCode != 103 || resp.Header.Get("Link") == "" || resp.Header.Get("X-B") != "" {
				t.Errorf("%d %v", resp.StatusCode, resp.Header)
			}
			release <- struct{}{}
			if resp := c.head("GET"); resp.StatusCode != 102 {
				t.Errorf("%d", resp.StatusCode)
			}
			if resp, body := c.response("GET"); resp.StatusCode != 200 || body != "ok" {
				t.Errorf("%d %q", resp.StatusCode, body)
			}
		}
	})
}

// TestTrailersBothWays with a streamed body in each direction.
func TestTrailersBothWays(t *testing.T) {
	bothModes(t, func(t *testing.T, m mode) {
		e := newEdge(t, m, httpOrigin(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			echo(w, r)
			w.Header().Set("X-Sum", "sum of "+r.Trailer.Get("X-Sum"))
		}), options{})
		req, err := http.NewRequest("POST", e.url("/"), io.MultiReader(strings.NewReader(strings.Repeat("x", 200000))))
		if err != nil {
			t.Fatal(err)
		}
		req.Trailer = http.Header{"X-Sum": {"42"}}
		resp, err := e.http().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		n, err := io.Copy(io.Discard, resp.Body)
		if n != 200000 || err != nil || resp.Trailer.Get("X-Sum") != "sum of 42" {
			t.Errorf("%d bytes, %v, trailers %v", n, err, resp.Trailer)
		}
	})
}

// TestBothWaysAtOnce: a response may begin before the request has ended.
func TestBothWaysAtOnce(t *testing.T) {
	bothModes(t, func(t *testing.T, m mode) {
		e := newEdge(t, m, httpOrigin(t, func(w http.ResponseWriter, r *http.Request) {
			rc := http.NewResponseController(w)
			rc.EnableFullDuplex()
			in := bufio.NewReader(r.Body)
			for {
				line, err := in.ReadString('\n')
				if err != nil {
					return
				}
				io.WriteString(w, "re: "+line)
				rc.Flush()
			}
		}), options{})
		body, write := io.Pipe()
		lines := make(chan string)
		go func() {
			defer write.Close()
			for l := range lines {
				io.WriteString(write, l)
			}
		}()
		req, _ := http.NewRequest("POST", e.url("/"), body)
		sent := make(chan *http.Response, 1)
		go func() {
			resp, err := e.http().Do(req)
			if err != nil {
				t.Error(err)
			}
			sent <- resp
		}()
		lines <- "first\n"
		resp := <-sent
		if resp == nil {
			t.FailNow()
		}
		defer resp.Body.Close()
		in := bufio.NewReader(resp.Body)
		for _, next := range []string{"second\n", "third\n", ""} {
			if got, err := in.ReadString('\n'); !strings.HasPrefix(got, "re: ") {
				t.Errorf("%q, %v", got, err)
			}
			if next == "" {
				break
			}
			lines <- next
		}
		close(lines)
		if rest, err := io.ReadAll(in); len(rest) > 0 || err != nil {
			t.Errorf("%q, %v", rest, err)
		}
	})
}
