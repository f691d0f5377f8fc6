package middleware

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
)

func TestRetry(t *testing.T) {
	for _, c := range []struct {
		method   string
		body     string // "", "memory" or "stream"
		attempts int
		answers  []int
		want     int
		asked    int
	}{
		{"GET", "", 3, []int{200}, 200, 1},
		{"GET", "", 3, []int{502, 200}, 200, 2},
		{"GET", "", 3, []int{502, 503, 504, 200}, 200, 4},
		{"GET", "", 2, []int{502, 503, 504, 200}, 504, 3},
		{"GET", "", 3, []int{500, 200}, 500, 1},
		{"GET", "", 3, []int{404, 200}, 404, 1},
		{"HEAD", "", 1, []int{502, 200}, 200, 2},
		{"OPTIONS", "", 1, []int{502, 200}, 200, 2},
		{"POST", "", 3, []int{502, 200}, 502, 1},
		{"PATCH", "", 3, []int{502, 200}, 502, 1},
		{"PUT", "memory", 3, []int{502, 200}, 200, 2},
		{"DELETE", "", 3, []int{503, 200}, 200, 2},
		// Without a connection there is no telling how long a stream is.
		{"PUT", "stream", 3, []int{502, 200}, 502, 1},
	} {
		w := must(t)(NewRetry(app.RetryOpts{Attempts: c.attempts}, Deps{}))
		ctx := request(c.method, "/a", "Authorization: x")
		switch c.body {
		case "memory":
			ctx.Request.SetBodyString("memory")
		case "stream":
			ctx.Request.SetBodyStream(strings.NewReader("stream"), -1)
		}
		s := &spy{}
		var bodies []*closingStream
		s.answer = func(ctx *fasthttp.RequestCtx) {
			if s.target != "/a" || string(s.header.Peek("Authorization")) != "x" || c.body == "memory" && string(ctx.Request.Body()) != "memory" {
				t.Errorf("attempt %d: %s %s", s.asked, s.target, s.header.String())
			}
			ctx.SetStatusCode(c.answers[s.asked-1])
			body := &closingStream{Reader: strings.NewReader(fmt.Sprint(s.asked))}
			bodies = append(bodies, body)
			ctx.Response.SetBodyStream(body, -1)
			ctx.Response.Header.Set("X-Attempt", fmt.Sprint(s.asked))
			ctx.Response.Header.Add(fmt.Sprint("X-Only-", s.asked), "x")
			// What handlers inside do to the request must not add up.
			ctx.Request.Header.Del("Authorization")
			setTarget(ctx, append([]byte("/prefix"), ctx.Request.Header.RequestURI()...))
		}
		w(s.serve)(ctx)
		if ctx.Response.StatusCode() != c.want || s.asked != c.asked || string(ctx.Response.Header.Peek("X-Attempt")) != fmt.Sprint(c.asked) {
			t.Errorf("%+v: %d after %d", c, ctx.Response.StatusCode(), s.asked)
		}
		if c.asked > 1 && len(ctx.Response.Header.Peek("X-Only-1")) > 0 {
			t.Errorf("%+v: fields of the first answer are left", c)
		}
		ctx.Response.Reset()
		for i, b := range bodies {
			if b.closed != 1 {
				t.Errorf("%+v: answer %d was closed %d times", c, i+1, b.closed)
			}
		}
	}
	for _, c := range []struct {
		opts app.RetryOpts
		want string
	}{
		{app.RetryOpts{}, "retry_opts.attempts: 0 is below 1"},
		{app.RetryOpts{Attempts: 1, InitialInterval: -1}, "retry_opts.initial_interval"},
	} {
		_, err := NewRetry(c.opts, Deps{})
		refused(t, err, c.want)
	}
}

// TestRetryOverTheWire sends bodies of all sizes past a peer that fails at first.
func TestRetryOverTheWire(t *testing.T) {
	noLeaks(t)
	var mu sync.Mutex
	seen := map[string][]string{}
	origin := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		mu.Lock()
		seen[r.URL.Path] = append(seen[r.URL.Path], fmt.Sprint(len(b)))
		n := len(seen[r.URL.Path])
		mu.Unlock()
		if n < 3 {
			w.WriteHeader(503)
			io.WriteString(w, strings.Repeat("later ", 10_000))
			return
		}
		io.WriteString(w, "attempt "+fmt.Sprint(n))
	})
	e := startEdge(t, must(t)(NewRetry(app.RetryOpts{Attempts: 2, InitialInterval: app.Duration(time.Millisecond)}, Deps{})), origin)
	c := e.dial(t)
	for _, q := range []struct {
		request string
		path    string
		body    int
		code    int
		seen    string
	}{
		{"GET /get HTTP/1.1\r\nHost: a\r\n\r\n", "/get", 0, 200, "0 0 0"},
		{"POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "/post", 3, 503, "3"},
		{"PUT /put HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "/put", 3, 200, "3 3 3"},
		{"PUT /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "/chunked", 3, 503, "3"},
		{"PUT /most HTTP/1.1\r\nHost: a\r\nContent-Length: 65536\r\n\r\n" + strings.Repeat("x", 65536), "/most", 3, 200, "65536 65536 65536"},
		{"PUT /large HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n" + strings.Repeat("x", 65537), "/large", 3, 503, "65537"},
		{"DELETE /delete HTTP/1.1\r\nHost: a\r\n\r\n", "/delete", 0, 200, "0 0 0"},
	} {
		go io.WriteString(c, q.request)
		method, _, _ := strings.Cut(q.request, " ")
		res := c.answer(method)
		mu.Lock()
		got := strings.Join(seen[q.path], " ")
		mu.Unlock()
		if res.StatusCode != q.code || got != q.seen || q.code == 200 && res.body != "attempt 3" {
			t.Errorf("%s: %d %.20q, bodies %q, want %q", q.path, res.StatusCode, res.body, got, q.seen)
		}
	}
}

// TestRetryClientLeaves: nobody waits for a client that has gone.
func TestRetryClientLeaves(t *testing.T) {
	noLeaks(t)
	var asked atomic.Int64
	origin := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { asked.Add(1); w.WriteHeader(502) })
	e := startEdge(t, must(t)(NewRetry(app.RetryOpts{Attempts: 1, InitialInterval: app.Duration(time.Hour)}, Deps{})), origin)
	c := e.dial(t)
	c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	eventually(t, "the peer is asked", func() bool { return asked.Load() == 1 })
	c.Close()
	eventually(t, "the request ends", func() bool { return e.srv.Stats.ClientGone.Load() == 1 && e.srv.Open() == 0 })
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
}

// TestRetryBrokenBody: a body that does not come whole is the client's fault.
func TestRetryBrokenBody(t *testing.T) {
	noLeaks(t)
	var asked atomic.Int64
	e := startEdge(t, must(t)(NewRetry(app.RetryOpts{Attempts: 1}, Deps{})), http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	c := e.dial(t)
	c.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
	closeWrite(t, c)
	if res := c.answer("PUT"); res.StatusCode != 400 || asked.Load() != 0 {
		t.Errorf("%d, asked %d times", res.StatusCode, asked.Load())
	}
}
