package server_test

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

// stream is a body stream that gives its parts one by one.
type stream struct {
	parts    []string
	err      error // after the parts; nil: io.EOF
	trailers string
	closed   chan struct{}
}

func (s *stream) Read(p []byte) (int, error) {
	if len(s.parts) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		return 0, io.EOF
	}
	n := copy(p, s.parts[0])
	if s.parts[0] = s.parts[0][n:]; s.parts[0] == "" {
		s.parts = s.parts[1:]
	}
	return n, nil
}

func (s *stream) Trailers() []byte { return []byte(s.trailers) }

func (s *stream) Close() error {
	if s.closed != nil {
		close(s.closed)
	}
	return nil
}

// TestAnswers: what a handler left in ctx, as bytes on the wire.
func TestAnswers(t *testing.T) {
	handlers := map[string]fasthttp.RequestHandler{
		"/body":         func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("hello") },
		"/large":        func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString(repeat("x", 200<<10)) },
		"/empty":        func(ctx *fasthttp.RequestCtx) {},
		"/204":          func(ctx *fasthttp.RequestCtx) { ctx.SetStatusCode(204) },
		"/204body":      func(ctx *fasthttp.RequestCtx) { ctx.SetStatusCode(204); ctx.SetBodyString("no") },
		"/304":          func(ctx *fasthttp.RequestCtx) { ctx.SetStatusCode(304); ctx.Response.Header.Set("ETag", `"a"`) },
		"/304body":      func(ctx *fasthttp.RequestCtx) { ctx.SetStatusCode(304); ctx.SetBodyString("no") },
		"/100":          func(ctx *fasthttp.RequestCtx) { ctx.SetStatusCode(100) },
		"/101":          func(ctx *fasthttp.RequestCtx) { ctx.SetStatusCode(101); ctx.SetBodyString("no") },
		"/close":        func(ctx *fasthttp.RequestCtx) { ctx.SetConnectionClose() },
		"/headlength":   func(ctx *fasthttp.RequestCtx) { ctx.Response.Header.SetContentLength(1234) },
		"/stream":       func(ctx *fasthttp.RequestCtx) { ctx.SetBodyStream(&stream{parts: []string{"hel", "lo"}}, -1) },
		"/streamlength": func(ctx *fasthttp.RequestCtx) { ctx.SetBodyStream(&stream{parts: []string{"hel", "lo"}}, 5) },
		"/streamlong":   func(ctx *fasthttp.RequestCtx) { ctx.SetBodyStream(&stream{parts: []string{"hel", "lo, world"}}, 5) },
		"/stream204": func(ctx *fasthttp.RequestCtx) {
			ctx.SetStatusCode(204)
			ctx.SetBodyStream(&stream{parts: []string{"no"}}, -1)
		},
		"/trailers": func(ctx *fasthttp.RequestCtx) {
			ctx.Response.Header.Set("Trailer", "X-Sum")
			ctx.SetBodyStream(&stream{parts: []string{"hello"}, trailers: "X-Sum: 1\r\n"}, -1)
		},
		"/framing": func(ctx *fasthttp.RequestCtx) {
			ctx.Response.Header.Set("Transfer-Encoding", "chunked")
			ctx.Response.Header.Set("Content-Length", "99")
			ctx.Response.Header.Set("Connection", "X-A")
			ctx.Response.Header.Set("Keep-Alive", "timeout=5")
			ctx.SetBodyString("hello")
		},
		"/fields": func(ctx *fasthttp.RequestCtx) {
			ctx.Response.Header.Add("X-A", "1")
			ctx.Response.Header.Add("X-A", "2\r\nX-Injected: 3")
			ctx.Response.Header.Add("Set-Cookie", "a=b")
			ctx.Response.Header.Add("Set-Cookie", "c=d")
			ctx.Response.Header.Set("Content-Encoding", "br")
			ctx.Response.Header.SetStatusMessage([]byte("Fine"))
		},
	}
	r := start(t, handler(func(ctx *fasthttp.RequestCtx) { handlers[string(ctx.Path())](ctx) }))
	for _, c := range []struct {
		request string
		status  int
		fields  string // of framing and connection
		body    string // as it is on the wire
	}{
		{"GET /body HTTP/1.1", 200, "Content-Length: 5", "hello"},
		{"HEAD /body HTTP/1.1", 200, "Content-Length: 5", ""},
		{"GET /large HTTP/1.1", 200, "Content-Length: 204800", repeat("x", 200<<10)},
		{"GET /empty HTTP/1.1", 200, "Content-Length: 0", ""},
		{"HEAD /empty HTTP/1.1", 200, "", ""},
		{"HEAD /headlength HTTP/1.1", 200, "Content-Length: 1234", ""},
		{"GET /204 HTTP/1.1", 204, "", ""},
		{"GET /204body HTTP/1.1", 204, "", ""},
		{"GET /stream204 HTTP/1.1", 204, "", ""},
		{"GET /304 HTTP/1.1", 304, "", ""},
		{"GET /304body HTTP/1.1", 304, "Content-Length: 2", ""},
		{"GET /100 HTTP/1.1", 500, "*", "*"},
		{"GET /101 HTTP/1.1", 500, "*", "*"},
		{"GET /close HTTP/1.1", 200, "Connection: close|Content-Length: 0", ""},
		{"GET /stream HTTP/1.1", 200, "Transfer-Encoding: chunked", "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"},
		{"HEAD /stream HTTP/1.1", 200, "", ""},
		{"GET /stream HTTP/1.0", 200, "Connection: close", "hello"},
		{"HEAD /stream HTTP/1.0", 200, "Connection: close", ""},
		{"GET /streamlength HTTP/1.1", 200, "Content-Length: 5", "hello"},
		{"HEAD /streamlength HTTP/1.1", 200, "Content-Length: 5", ""},
		{"GET /streamlength HTTP/1.0", 200, "Connection: close|Content-Length: 5", "hello"},
		{"GET /streamlong HTTP/1.1", 200, "Content-Length: 5", "hello"},
		{"GET /trailers HTTP/1.1", 200, "Trailer: X-Sum|Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"},
		{"GET /trailers HTTP/1.0", 200, "Connection: close", "hello"},
		{"GET /framing HTTP/1.1", 200, "Content-Length: 5", "hello"},
		{"GET /fields HTTP/1.1", 200, "Content-Length: 0", ""},
	} {
		t.Run(c.request, func(t *testing.T) {
			t.Parallel()
			c2 := dial(t, r.addr)
			c2.send(c.request + "\r\nHost: a.test\r\n\r\n")
			ends := strings.HasSuffix(c.request, "1.0") || strings.Contains(c.fields, "close")
			if !ends {
				// The next response shows where this one ended.
				c2.send("GET /empty HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
			}
			all, err := io.ReadAll(c2.in)
			if err != nil {
				t.Fatal(err)
			}
			head, body, _ := strings.Cut(string(all), "\r\n\r\n")
			if !ends {
				at := strings.LastIndex(body, "HTTP/1.1 200 OK\r\n")
				if at < 0 {
					t.Fatalf("there is no next response behind %q", body)
				}
				body = body[:at]
			}
			resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(head+"\r\n\r\n")), nil)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != c.status || resp.Header.Get("Date") == "" {
				t.Errorf("status %d, date %q", resp.StatusCode, resp.Header.Get("Date"))
			}
			if got := framingFields(head); got != c.fields && c.fields != "*" {
				t.Errorf("%q, not %q", got, c.fields)
			}
			if body != c.body && c.body != "*" {
				t.Errorf("body %.80q, not %.80q", body, c.body)
			}
			if strings.HasPrefix(c.request, "GET /fields") {
				if h := resp.Header; len(h["X-A"]) != 2 || len(h["X-Injected"]) != 0 || len(h["Set-Cookie"]) != 2 ||
					h.Get("Content-Encoding") != "br" || resp.Status != "200 Fine" || h.Get("Content-Type") != "" {
					t.Errorf("%s %v", resp.Status, h)
				}
			}
		})
	}
}

// framingFields are the lines of a head that say how the message ends, in order.
func framingFields(head string) string {
	var got []string
	for _, line := range strings.Split(head, "\r\n")[1:] {
		name, _, _ := strings.Cut(strings.ToLower(line), ":")
		switch name {
		case "content-length", "transfer-encoding", "connection", "trailer", "keep-alive":
			got = append(got, line)
		}
	}
	for i := range got {
		for j := range got[:i] {
			if got[i] < got[j] {
				got[i], got[j] = got[j], got[i]
			}
		}
	}
	return strings.Join(got, "|")
}

// TestBrokenStream: a client must not take a part for the whole.
func TestBrokenStream(t *testing.T) {
	closed := make(chan struct{}, 10)
	r := start(t, handler(func(ctx *fasthttp.RequestCtx) {
		s := &stream{parts: []string{"hel"}, closed: make(chan struct{})}
		length := 5
		switch string(ctx.Path()) {
		case "/error":
			s.err = errors.New("boom")
		case "/chunked":
			s.err, length = errors.New("boom"), -1
		}
		ctx.SetBodyStream(s, length)
		go func() { <-s.closed; closed <- struct{}{} }()
	}))
	for _, target := range []string{"/short", "/error", "/chunked"} {
		for _, version := range []string{"1.0", "1.1"} {
			c := dial(t, r.addr)
			c.send("GET " + target + " HTTP/" + version + "\r\nHost: a.test\r\n\r\n")
			if all, err := io.ReadAll(c.in); err == nil {
				t.Errorf("%s of HTTP/%s ended cleanly after %q", target, version, all)
			}
			<-closed
		}
	}
}

// TestEventsComeAsTheyAre: the head and each part go out when they are there.
func TestEventsComeAsTheyAre(t *testing.T) {
	t.Parallel()
	parts := make(chan string)
	r := start(t, handler(func(ctx *fasthttp.RequestCtx) {
		ctx.SetContentType("text/event-stream")
		ctx.SetBodyStream(readerFunc(func(p []byte) (int, error) {
			part, ok := <-parts
			if !ok {
				return 0, io.EOF
			}
			return copy(p, part), nil
		}), -1)
	}))
	c := dial(t, r.addr)
	c.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
	resp, err := http.ReadResponse(c.in, nil) // before any event
	if err != nil || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatal(err)
	}
	events := bufio.NewReader(resp.Body)
	for _, event := range []string{"data: 1\n", "data: 2\n", "data: 3\n"} {
		parts <- event
		if got, err := events.ReadString('\n'); got != event {
			t.Errorf("got %q, %v", got, err)
		}
	}
	close(parts)
	if _, err := events.ReadByte(); err != io.EOF {
		t.Errorf("the stream ends with %v", err)
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
