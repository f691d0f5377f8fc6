package middleware

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/internal/testkit"
	"edgerouter/wire"
)

// eventDelay is the most that an event may take from the peer to the client.
const eventDelay = 50 * time.Millisecond

// TestCompressEvents: every event is there before the next one is sent, and soon;
// one in ten may have had to wait for the machine.
func TestCompressEvents(t *testing.T) {
	for _, c := range []string{"gzip", "br", "zstd", "identity"} {
		t.Run(c, func(t *testing.T) {
			noLeaks(t)
			next, sent := make(chan struct{}), make(chan time.Time, 1)
			origin := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				w.(http.Flusher).Flush()
				for i := 0; ; i++ {
					select {
					case _, more := <-next:
						if !more {
							return
						}
					case <-r.Context().Done():
						return
					}
					sent <- time.Now()
					fmt.Fprintf(w, "data: event %d\n\n", i)
					w.(http.Flusher).Flush()
				}
			})
			e := startEdge(t, Chain(must(t)(NewInFlight(app.InFlightOpts{Amount: 1}, Deps{})), must(t)(NewCompress(app.CompressOpts{}, Deps{}))), origin)
			cl := e.dial(t)
			cl.send("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: %s\r\n\r\n", c)
			res := cl.head("GET") // comes although there is no event yet
			if c != "identity" && res.Header.Get("Content-Encoding") != c || res.Header.Get("Vary") != "Accept-Encoding" {
				t.Fatalf("%v", res.Header)
			}
			var body *bufio.Reader
			var took []time.Duration
			for i := range 50 {
				next <- struct{}{}
				began := <-sent
				if body == nil {
					body = bufio.NewReader(decoding(t, c, res.Body))
				}
				line, err := body.ReadString('\n')
				took = append(took, time.Since(began))
				if want := fmt.Sprintf("data: event %d\n", i); err != nil || line != want {
					t.Fatalf("event %d: %q, %v", i, line, err)
				}
				body.ReadString('\n')
			}
			slices.Sort(took)
			if testkit.IsLong() && took[44] > eventDelay {
				t.Errorf("of 50 events, six took %v and more", took[44])
			}
			t.Logf("half of 50 events took %v, the slowest %v", took[25], took[49])
			close(next)
			if rest, err := io.ReadAll(body); err != nil || len(rest) > 0 {
				t.Errorf("at the end: %q, %v", rest, err)
			}
			io.Copy(io.Discard, res.Body) // decoders may stop before the end
			// The connection and the place are free again.
			if again := cl.get("/", "Accept-Encoding: "+c); again.StatusCode != 200 {
				t.Errorf("then: %d", again.StatusCode)
			}
		})
	}
}

// TestCompressClientLeaves: the peer's stream ends with the client.
func TestCompressClientLeaves(t *testing.T) {
	noLeaks(t)
	gone := make(chan struct{})
	origin := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: 1\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	e := startEdge(t, must(t)(NewCompress(app.CompressOpts{}, Deps{})), origin)
	c := e.dial(t)
	c.send("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
	c.head("GET")
	c.Close()
	select {
	case <-gone:
	case <-time.After(patience):
		t.Error("the peer was not told")
	}
}

// TestCompressBrokenOff: a body that a peer breaks off never ends cleanly.
func TestCompressBrokenOff(t *testing.T) {
	noLeaks(t)
	origin := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, longText)
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	e := startEdge(t, must(t)(NewCompress(app.CompressOpts{}, Deps{})), origin)
	c := e.dial(t)
	c.send("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
	if b, err := io.ReadAll(c.head("GET").Body); err == nil {
		t.Errorf("a clean end after %d bytes", len(b))
	}
}

// TestCompressLarge sends 40 MB through each coding, with trailers.
func TestCompressLarge(t *testing.T) {
	noLeaks(t)
	const size = 40 << 20
	block := []byte(longText + noise(500))
	origin := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/css")
		if r.URL.Path == "/chunked" {
			w.Header().Set("Trailer", "X-Check")
		} else {
			w.Header().Set("Content-Length", fmt.Sprint(size/len(block)*len(block)))
		}
		for range size / len(block) {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
		w.Header().Set("X-Check", "whole")
	})
	e := startEdge(t, must(t)(NewCompress(app.CompressOpts{}, Deps{})), origin)
	for _, path := range []string{"/chunked", "/length"} {
		for _, coding := range []string{"gzip", "br", "zstd"} {
			c := e.dial(t)
			c.send("GET %s HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nAccept-Encoding: %s\r\n\r\n", path, coding)
			res := c.head("GET")
			d, n := decoding(t, coding, res.Body), 0
			got := make([]byte, len(block))
			for {
				if _, err := io.ReadFull(d, got); err == io.EOF {
					break
				} else if err != nil || !bytes.Equal(got, block) {
					t.Fatalf("%s %s: after %d blocks: %v", path, coding, n, err)
				}
				n++
			}
			io.Copy(io.Discard, res.Body)
			if want := map[string]string{"/chunked": "whole"}[path]; n != size/len(block) || res.Trailer.Get("X-Check") != want {
				t.Errorf("%s %s: %d blocks, trailer %q", path, coding, n, res.Trailer.Get("X-Check"))
			}
		}
	}
}

// everything is a chain of all that lets a request through.
func everything(t *testing.T, guard string) Wrapper {
	m := must(t)
	return Chain(
		m(NewAllowedIPs(app.AllowedIPsOpts{Ranges: []string{"127.0.0.0/8"}}, Deps{})),
		m(NewRateLimit(app.RateLimitOpts{Average: 1e6, Burst: 1000}, Deps{})),
		m(NewInFlight(app.InFlightOpts{Amount: 100}, Deps{})),
		m(NewHeaders(app.HeadersOpts{Request: map[string]string{"X-Added": "yes", "X-Secret": ""}, Response: map[string]string{"X-Frame-Options": "DENY"}}, Deps{})),
		m(NewBasicAuth(app.BasicAuthOpts{Users: []app.Secret{"bob:" + shaTest}, HeaderField: "X-User", RemoveHeader: true}, Deps{})),
		m(NewForwardAuth(app.AuthForwardOpts{Address: guard, AuthResponseHeaders: []string{"X-Guard"}}, Deps{})),
		m(NewRedirectRegex(app.RedirectRegexOpts{Regexp: "/old$", Replacement: "/new"}, Deps{})),
		m(NewMaxRequestBody(app.MaxRequestBodyOpts{Bytes: 1000}, Deps{})),
		m(NewRetry(app.RetryOpts{Attempts: 1}, Deps{})),
		m(NewCompress(app.CompressOpts{}, Deps{})),
		m(NewStripPrefix(app.StripPrefixOpts{Prefixes: []string{"/app"}}, Deps{})),
		m(NewReplacePath(app.ReplacePathOpts{Regexp: "^/ws", Replacement: "/socket"}, Deps{})),
		m(NewAddPrefix(app.AddPrefixOpts{Prefix: "/v1"}, Deps{})),
	)
}

// TestEverythingOverTheWire sends requests through a long chain.
func TestEverythingOverTheWire(t *testing.T) {
	noLeaks(t, 1)
	g := startGuard(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Guard", r.Header.Get("X-Forwarded-Uri"))
		if r.Header.Get("Authorization") != "" {
			w.WriteHeader(500)
		}
	})
	origin := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprintf(w, "%s %s %s user=%s guard=%s added=%s secret=%s auth=%s prefix=%s body=%s %s", r.Method, r.RequestURI, r.Host, r.Header.Get("X-User"),
			r.Header.Get("X-Guard"), r.Header.Get("X-Added"), r.Header.Get("X-Secret"), r.Header.Get("Authorization"), r.Header.Get("X-Forwarded-Prefix"), b, longText)
	})
	e := startEdge(t, everything(t, g.URL), origin)
	c := e.dial(t)
	auth := basic("bob", "test")
	res := c.get("/app/ws/a%2Fb?q=1", auth, "X-Secret: s", "X-User: forged", "Accept-Encoding: br")
	want := "GET /v1/socket/a%2Fb?q=1 app.example user=bob guard=/app/ws/a%2Fb?q=1 added=yes secret= auth= prefix=/app body= "
	if got := decoded(t, "br", []byte(res.body)); got != want+longText || res.Header.Get("X-Frame-Options") != "DENY" {
		t.Errorf("got %.300s %v", got, res.Header)
	}
	if res = c.get("/app/old", auth); res.StatusCode != 302 || res.Header.Get("Location") != "http://app.example/app/new" || res.Header.Get("X-Frame-Options") != "DENY" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
	if res = c.get("/app/"); res.StatusCode != 401 || res.Header.Get("X-Frame-Options") != "DENY" {
		t.Errorf("%d", res.StatusCode)
	}
	c.send("POST /app/x HTTP/1.1\r\nHost: app.example\r\n%s\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", auth)
	if res = c.answer("POST"); !strings.Contains(res.body, "POST /v1/x ") || !strings.Contains(res.body, "body=hello ") {
		t.Errorf("%d %.200s", res.StatusCode, res.body)
	}
	c.send("PUT /app/x HTTP/1.1\r\nHost: app.example\r\n%s\r\nContent-Length: 5\r\n\r\nhello", auth)
	if res = c.answer("PUT"); !strings.Contains(res.body, "PUT /v1/x ") || !strings.Contains(res.body, "body=hello ") {
		t.Errorf("%d %.200s", res.StatusCode, res.body)
	}
	c.send("HEAD /app/x HTTP/1.1\r\nHost: app.example\r\nAccept-Encoding: gzip\r\n%s\r\n\r\n", auth)
	if res = c.answer("HEAD"); res.StatusCode != 200 || res.Header.Get("Content-Encoding") != "gzip" || res.ContentLength != -1 {
		t.Errorf("HEAD: %d %v, length %d", res.StatusCode, res.Header, res.ContentLength)
	}
	if res = c.get("/app/ws", auth); res.StatusCode != 200 {
		t.Errorf("the connection after HEAD: %d", res.StatusCode)
	}
}

// TestWebSocketThroughEverything upgrades a connection and talks both ways.
func TestWebSocketThroughEverything(t *testing.T) {
	noLeaks(t, 1)
	g := startGuard(t, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X-Guard", "passed") })
	var head atomic.Pointer[http.Request]
	origin := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head.Store(r.Clone(context.Background()))
		s, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer s.CloseNow()
		for {
			kind, b, err := s.Read(r.Context())
			if err != nil {
				return
			}
			if s.Write(r.Context(), kind, append([]byte("echo "), b...)) != nil {
				return
			}
		}
	})
	e := startEdge(t, everything(t, g.URL), origin)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	name, value, _ := strings.Cut(basic("bob", "test"), ": ")
	s, res, err := websocket.Dial(ctx, "ws://"+e.addr+"/app/ws", &websocket.DialOptions{HTTPHeader: http.Header{name: {value}}})
	if err != nil {
		t.Fatalf("%v (%v)", err, res)
	}
	for _, size := range []int{1, 100, 30_000} {
		text := strings.Repeat("x", size)
		if err := s.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, b, err := s.Read(ctx); err != nil || string(b) != "echo "+text {
			t.Fatalf("%d bytes: %v", len(b), err)
		}
	}
	s.Close(websocket.StatusNormalClosure, "")
	r := head.Load()
	if r.RequestURI != "/v1/socket" || r.Header.Get("X-User") != "bob" || r.Header.Get("X-Guard") != "passed" || r.Header.Get("X-Added") != "yes" || r.Header.Get("Authorization") != "" {
		t.Errorf("the peer saw %s %v", r.RequestURI, r.Header)
	}
	// Without credentials there is no upgrade, but an answer.
	_, res, err = websocket.Dial(ctx, "ws://"+e.addr+"/app/ws", nil)
	if err == nil || res == nil || res.StatusCode != 401 || res.Header.Get("X-Frame-Options") != "DENY" {
		t.Errorf("%v, %v", err, res)
	}
}

// TestInFlightUpgrade: an upgraded connection keeps its place until it ends.
func TestInFlightUpgrade(t *testing.T) {
	noLeaks(t)
	origin := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s, err := websocket.Accept(w, r, nil); err == nil {
			s.Read(r.Context())
			s.CloseNow()
		}
	})
	e := startEdge(t, must(t)(NewInFlight(app.InFlightOpts{Amount: 1}, Deps{})), origin)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, _, err := websocket.Dial(ctx, "ws://"+e.addr, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res := e.dial(t).get("/"); res.StatusCode != 429 || res.Header.Get("Retry-After") != "1" {
		t.Errorf("meanwhile: %d", res.StatusCode)
	}
	s.CloseNow()
	eventually(t, "the place is free", func() bool { return e.dial(t).get("/").StatusCode != 429 })
}

func TestMaxRequestBody(t *testing.T) {
	noLeaks(t)
	var got atomic.Int64
	origin := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		got.Store(n)
		if err == nil {
			fmt.Fprintf(w, "%d %s", n, r.Trailer.Get("X-T"))
		}
	})
	e := startEdge(t, must(t)(NewMaxRequestBody(app.MaxRequestBodyOpts{Bytes: 100_000}, Deps{})), origin, func(o *app.PeerSetOpts) { o.RequestTrailers = true })
	chunked := func(n int) string {
		var b strings.Builder
		for ; n > 0; n -= 999 {
			fmt.Fprintf(&b, "%x\r\n%s\r\n", min(n, 999), strings.Repeat("x", min(n, 999)))
		}
		return b.String() + "0\r\nX-T: t\r\n\r\n"
	}
	const head = "POST / HTTP/1.1\r\nHost: a\r\n"
	for _, c := range []struct {
		name, request string
		code          int
		body          string
		open          bool // the connection may be used again
	}{
		{"none", head + "\r\n", 200, "0 ", true},
		{"small", head + "Content-Length: 5\r\n\r\nhello", 200, "5 ", true},
		{"at the limit", head + "Content-Length: 100000\r\n\r\n" + strings.Repeat("x", 100_000), 200, "100000 ", true},
		{"beyond by its length", head + "Content-Length: 100001\r\n\r\n", 413, "", false},
		{"far beyond", head + "Content-Length: 10000000000\r\n\r\n", 413, "", false},
		{"waiting to be asked for it", head + "Content-Length: 100001\r\nExpect: 100-continue\r\n\r\n", 413, "", false},
		{"chunked", head + "Transfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n" + chunked(5), 200, "5 t", true},
		{"chunked, empty", head + "Transfer-Encoding: chunked\r\n\r\n" + chunked(0), 200, "0 t", true},
		{"chunked, at the limit", head + "Transfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n" + chunked(100_000), 200, "100000 t", true},
		{"chunked, beyond", head + "Transfer-Encoding: chunked\r\n\r\n" + chunked(100_001), 413, "", false},
		{"chunked, far beyond", head + "Transfer-Encoding: chunked\r\n\r\n" + chunked(3_000_000), 413, "", false},
		{"chunked, malformed", head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhellox\r\n", 400, "", false},
	} {
		cl := e.dial(t)
		go io.WriteString(cl, c.request)
		res := cl.answer("POST")
		if res.StatusCode != c.code || c.code == 200 && res.body != c.body || c.code == 413 && !strings.Contains(res.body, "too large") {
			t.Errorf("%s: %d %q", c.name, res.StatusCode, res.body)
		}
		if c.code == 413 && got.Load() > 100_000 {
			t.Errorf("%s: the peer got %d bytes", c.name, got.Load())
		}
		if !c.open {
			continue
		}
		if res := cl.get("/"); res.StatusCode != 200 {
			t.Errorf("%s, and then: %d", c.name, res.StatusCode)
		}
	}
	_, err := NewMaxRequestBody(app.MaxRequestBodyOpts{}, Deps{})
	refused(t, err, "max_request_body_opts.bytes: 0 is below 1")
}

// TestMaxRequestBodyStreams: a long body is passed on while it comes.
func TestMaxRequestBodyStreams(t *testing.T) {
	noLeaks(t)
	pieces := make(chan string, 10)
	origin := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(pieces)
		buf := make([]byte, 100)
		for {
			n, err := r.Body.Read(buf)
			if n > 0 {
				pieces <- string(buf[:n])
			}
			if err != nil {
				return
			}
		}
	})
	e := startEdge(t, must(t)(NewMaxRequestBody(app.MaxRequestBodyOpts{Bytes: 20}, Deps{})), origin)
	c := e.dial(t)
	c.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
	for _, piece := range []string{"one", "two", "three"} {
		c.send("%x\r\n%s\r\n", len(piece), piece)
		select {
		case got := <-pieces:
			if got != piece {
				t.Errorf("got %q, want %q", got, piece)
			}
		case <-time.After(patience):
			t.Fatalf("%q is held up", piece)
		}
	}
	c.send("a\r\n0123456789\r\n")
	if res := c.answer("POST"); res.StatusCode != 413 {
		t.Errorf("%d", res.StatusCode)
	}
	for piece := range pieces {
		t.Errorf("the peer got %q beyond the limit", piece)
	}
}

// TestMaxRequestBodyWithoutAConnection: handlers that read ctx.Request.
func TestMaxRequestBodyWithoutAConnection(t *testing.T) {
	w := must(t)(NewMaxRequestBody(app.MaxRequestBodyOpts{Bytes: 5}, Deps{}))
	for _, c := range []struct {
		body io.Reader
		size int
		want string
	}{
		{strings.NewReader("12345"), -1, "12345"},
		{strings.NewReader("123456"), -1, "413"},
		{&closingStream{Reader: strings.NewReader("1")}, -1, "status 411"},
		{&closingStream{Reader: strings.NewReader("12345")}, 5, "12345"},
		{&closingStream{Reader: strings.NewReader("123456")}, 6, "status 413"},
	} {
		got := ""
		ctx := request("POST", "/")
		ctx.Request.SetBodyStream(c.body, c.size)
		w(func(ctx *fasthttp.RequestCtx) {
			b, err := io.ReadAll(ctx.Request.BodyStream())
			got = string(b)
			var we *wire.Error
			if errors.As(err, &we) {
				got = fmt.Sprint(we.Status)
			}
		})(ctx)
		if got == "" {
			got = fmt.Sprint("status ", ctx.Response.StatusCode())
		}
		if got != c.want {
			t.Errorf("%v: %q, want %q", c, got, c.want)
		}
	}
}
