package upstream_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"edgerouter/app"
)

// h2origin is a peer that speaks HTTP/2 in plain text, by net/http; so many
// streams at once over one connection, if that is given.
type h2origin struct {
	url   string
	conns atomic.Int64
}

func startH2(t testing.TB, handler http.HandlerFunc, streams ...int) *h2origin {
	t.Helper()
	o := &h2origin{}
	ln := listen(t)
	s := &http.Server{Handler: handler, Protocols: new(http.Protocols)}
	s.Protocols.SetUnencryptedHTTP2(true)
	if len(streams) > 0 {
		s.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: streams[0]}
	}
	s.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			o.conns.Add(1)
		}
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		s.Serve(ln)
	}()
	t.Cleanup(func() {
		s.Close()
		<-served
	})
	o.url = "h2c://" + ln.Addr().String()
	return o
}

// TestH2CRequest: what the peer sees of an ordinary request.
func TestH2CRequest(t *testing.T) {
	bothModes(t, func(t *testing.T, how setup) {
		noLeaks(t)
		seen := make(chan *http.Request, 1)
		o := startH2(t, func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(b))
			seen <- r
			w.Header().Set("X-Peer", "1")
			w.Header().Add("Set-Cookie", "a=b")
			w.Header().Add("Set-Cookie", "c=d")
			w.WriteHeader(201)
			io.WriteString(w, "hello")
		})
		p := startProxy(t, app.PeerSetOpts{
			Addrs: []string{o.url + "/base"}, PassHostHeader: true, HeadersToOrigin: map[string]string{"X-Key": "k"},
			StickyCookie: &app.StickyCookie{}, ResponseHeaders: &app.ResponseHeaders{Set: map[string]string{"X-Out": "1"}},
		}, how)
		c := p.dial(t)
		for _, test := range []struct {
			request string
			method  string
			uri     string
			body    string
			length  int64
			te      string
		}{
			{"GET //a%2Fb?q=1&q HTTP/1.1\r\nHost: Example.com:81\r\nTE: trailers\r\nConnection: TE, X-Hop\r\nX-Hop: 1\r\nCookie: a=b; c=d\r\n\r\n", "GET", "/base//a%2Fb?q=1&q", "", 0, "trailers"},
			{"POST /x HTTP/1.1\r\nHost: Example.com:81\r\nContent-Length: 5\r\nUser-Agent: me\r\n\r\nhello", "POST", "/base/x", "hello", 5, ""},
			{"POST /y HTTP/1.1\r\nHost: Example.com:81\r\nContent-Length: 0\r\n\r\n", "POST", "/base/y", "", 0, ""},
			{"PUT /z HTTP/1.1\r\nHost: Example.com:81\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "PUT", "/base/z", "hello", -1, ""},
			{"GET /u HTTP/1.1\r\nHost: Example.com:81\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", "GET", "/base/u", "", 0, ""},
		} {
			c.send(test.request)
			a := c.answer(test.method)
			r := <-seen
			b, _ := io.ReadAll(r.Body)
			if r.ProtoMajor != 2 || r.Method != test.method || r.RequestURI != test.uri || string(b) != test.body || r.ContentLength != test.length || r.Host != "Example.com:81" {
				t.Errorf("the peer got %s %s %s %q of %d by %s", r.Method, r.Host, r.RequestURI, b, r.ContentLength, r.Proto)
			}
			h := r.Header
			if h.Get("X-Forwarded-For") != "127.0.0.1" || h.Get("X-Forwarded-Host") != "Example.com:81" || len(h.Get("X-Request-Id")) != 32 ||
				h.Get("X-Key") != "k" || h.Get("Te") != test.te || h.Get("X-Hop") != "" || h.Get("Upgrade") != "" || strings.Contains(h.Get("User-Agent"), "Go-http") {
				t.Errorf("%s: %v", test.uri, h)
			}
			if a.StatusCode != 201 || a.text != "hello" || a.Header.Get("X-Peer") != "1" || a.Header.Get("X-Out") != "1" || len(a.Header["Set-Cookie"]) != 3 {
				t.Errorf("%d %q %v", a.StatusCode, a.text, a.Header)
			}
		}
		if n := o.conns.Load(); n != 1 {
			t.Errorf("%d connections", n)
		}
		p.statuses(t, 5)
		if s := p.set.Peers()[0]; s.InFlight != 0 || s.Failures != 0 || s.Requests != 5 {
			t.Errorf("%+v", s)
		}
	})
}

// TestH2CResponses: bodies and what stands in their place.
func TestH2CResponses(t *testing.T) {
	large := strings.Repeat("x", 1<<20)
	for _, test := range []struct {
		name, method string
		serve        http.HandlerFunc
		status       int
		text         string
		length       int64
		trailer      string
	}{
		{"head", "HEAD", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Content-Length", "77") }, 200, "", 77, ""},
		{"204", "GET", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) }, 204, "", 0, ""},
		{"304", "GET", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(304) }, 304, "", 0, ""},
		{"empty", "GET", func(w http.ResponseWriter, r *http.Request) {}, 200, "", 0, ""},
		{"empty at last", "GET", func(w http.ResponseWriter, r *http.Request) { w.(http.Flusher).Flush() }, 200, "", -1, ""},
		{"length", "GET", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(large)))
			io.WriteString(w, large)
		}, 200, large, 1 << 20, ""},
		{"no length", "GET", func(w http.ResponseWriter, r *http.Request) { w.(http.Flusher).Flush(); io.WriteString(w, large) }, 200, large, -1, ""},
		{"trailers", "GET", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			w.(http.Flusher).Flush()
			io.WriteString(w, "hi")
			w.Header().Set("X-Sum", "42")
		}, 200, "hi", -1, "42"},
	} {
		t.Run(test.name, func(t *testing.T) {
			bothModes(t, func(t *testing.T, how setup) {
				noLeaks(t)
				p := startProxy(t, app.PeerSetOpts{Addrs: []string{startH2(t, test.serve).url}}, how)
				c := p.dial(t)
				for range 2 {
					c.send(test.method + " / HTTP/1.1\r\nHost: a\r\n\r\n")
					a := c.answer(test.method)
					if a.StatusCode != test.status || a.text != test.text || a.ContentLength != test.length ||
						a.Trailer.Get("X-Sum") != test.trailer || len(a.Trailer) > 1 {
						t.Errorf("%d, %d bytes, length %d, trailers %v", a.StatusCode, len(a.text), a.ContentLength, a.Trailer)
					}
				}
				p.statuses(t, 2)
				if s := p.set.Peers()[0]; s.InFlight != 0 || s.Failures != 0 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// TestH2CBothWays: events at once, in both directions, with trailers.
func TestH2CBothWays(t *testing.T) {
	bothModes(t, func(t *testing.T, how setup) {
		noLeaks(t)
		o := startH2(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
			buf := make([]byte, 100)
			for {
				n, err := r.Body.Read(buf)
				w.Write(buf[:n])
				w.(http.Flusher).Flush()
				if err != nil {
					break
				}
			}
			w.Header().Set("X-Sum", r.Trailer.Get("X-Sum"))
		})
		p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}, RequestTrailers: true, Timeouts: &app.Timeouts{ResponseHeader: app.Duration(200 * time.Millisecond)}}, how)
		c := p.dial(t)
		for range 2 {
			c.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n")
			res := c.head("POST")
			buf := make([]byte, 5)
			for i := range 3 {
				if i == 2 {
					time.Sleep(250 * time.Millisecond) // longer than a head may take: it is there already
				}
				c.send("5\r\nhello\r\n")
				if _, err := io.ReadFull(res.Body, buf); err != nil || string(buf) != "hello" {
					t.Fatalf("echo %d: %q, %v", i, buf, err)
				}
			}
			c.send("0\r\nX-Sum: 42\r\n\r\n")
			if _, err := io.ReadAll(res.Body); err != nil || res.Trailer.Get("X-Sum") != "42" {
				t.Errorf("end: %v, trailers %v", err, res.Trailer)
			}
			p.status(t)
		}
	})
}

func TestH2CEarlyHints(t *testing.T) {
	bothModes(t, func(t *testing.T, how setup) {
		noLeaks(t)
		o := startH2(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", "</a>")
			w.WriteHeader(103)
			w.WriteHeader(200)
		})
		c := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}}, how).dial(t)
		c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if res := c.head("GET"); res.StatusCode != 103 || res.Header.Get("Link") != "</a>" {
			t.Errorf("%d %v", res.StatusCode, res.Header)
		}
		if a := c.answer("GET"); a.StatusCode != 200 {
			t.Errorf("%d", a.StatusCode)
		}
	})
}

// TestH2CUploads: large bodies pass, early refusals come through, broken ones are
// no whole ones.
func TestH2CUploads(t *testing.T) {
	bothModes(t, func(t *testing.T, how setup) {
		noLeaks(t)
		whole := make(chan error, 10)
		o := startH2(t, func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/refuse":
				w.WriteHeader(413)
			case "/reset":
				io.ReadFull(r.Body, make([]byte, 5))
				panic(http.ErrAbortHandler)
			default:
				n, err := io.Copy(io.Discard, r.Body)
				whole <- err
				fmt.Fprint(w, n)
			}
		})
		how.limits.BodyTimeout = 400 * time.Millisecond
		p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}, MaxRequestBody: 8 << 20}, how)
		const size = 4 << 20
		c := p.dial(t)
		if a := c.post("/", strings.Repeat("x", size)); a.text != fmt.Sprint(size) {
			t.Errorf("%d %q", a.StatusCode, a.text)
		}
		if err := <-whole; err != nil {
			t.Error(err)
		}
		for _, test := range []struct {
			path, body string
			status     int
			failures   uint64
		}{
			{"/refuse", "5\r\nhello\r\n", 413, 0},
			{"/reset", "5\r\nhello\r\n", 502, 1},
			{"/", "5\r\nhello\r\nzz\r\n", 400, 1},
			{"/", "5\r\nhello\r\n", 408, 1}, // and nothing more
			{"/", "900000\r\n" + strings.Repeat("x", 9<<20) + "\r\n", 413, 1},
		} {
			c := p.dial(t)
			go io.WriteString(c.Conn, "POST "+test.path+" HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"+test.body)
			if a := c.answer("POST"); a.StatusCode != test.status {
				t.Errorf("%s %.20q: %d, want %d", test.path, test.body, a.StatusCode, test.status)
			}
			p.status(t)
			// The answer of a peer that does not take all of the body may be at the
			// client before the upload has come to its end.
			eventually(t, "nothing is in flight", func() bool { return p.set.Peers()[0].InFlight == 0 })
			if s := p.set.Peers()[0]; s.Failures != test.failures {
				t.Errorf("after %s %.20q: %+v", test.path, test.body, s)
			}
			c.Close()
			if test.path == "/" {
				if err := <-whole; err == nil {
					t.Errorf("%.20q: the peer takes a part for the whole", test.body)
				}
			}
		}
	})
}

// TestH2CClientGoes: the stream is reset, the connection stays, nobody is blamed.
func TestH2CClientGoes(t *testing.T) {
	bothModes(t, func(t *testing.T, how setup) {
		noLeaks(t)
		arrived, over := make(chan struct{}), make(chan struct{})
		o := startH2(t, func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/stream":
				w.(http.Flusher).Flush()
			case "/large":
				b := make([]byte, 64<<10)
				_, err := w.Write(b)
				arrived <- struct{}{}
				for err == nil {
					_, err = w.Write(b)
				}
				over <- struct{}{}
				return
			case "/quick":
				return
			}
			arrived <- struct{}{}
			<-r.Context().Done()
			over <- struct{}{}
		})
		p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}}, how)
		for _, request := range []string{
			"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
			"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n",
			"GET /large HTTP/1.1\r\nHost: a\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
		} {
			c := p.dial(t)
			c.send(request)
			<-arrived
			c.gone()
			<-over
			p.status(t)
		}
		p.dial(t).get("/quick")
		p.status(t)
		if n := o.conns.Load(); n != 1 {
			t.Errorf("%d connections", n)
		}
		if s := p.set.Peers()[0]; s.InFlight != 0 || s.Failures != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestH2CTimeouts(t *testing.T) {
	for name, test := range map[string]struct {
		times   app.Timeouts
		request string
		status  int
		broken  bool
	}{
		"response_header":         {app.Timeouts{ResponseHeader: app.Duration(60 * time.Millisecond)}, "GET /silent", 504, false},
		"request":                 {app.Timeouts{Request: app.Duration(60 * time.Millisecond)}, "GET /silent", 504, false},
		"request, in the stream":  {app.Timeouts{Request: app.Duration(200 * time.Millisecond)}, "GET /stream", 200, true},
		"a stream goes on":        {app.Timeouts{ResponseHeader: app.Duration(200 * time.Millisecond)}, "GET /slow", 200, false},
		"request, waiting for us": {app.Timeouts{Request: app.Duration(60 * time.Millisecond)}, "POST /silent", 408, false},
	} {
		t.Run(name, func(t *testing.T) {
			bothModes(t, func(t *testing.T, how setup) {
				noLeaks(t)
				o := startH2(t, func(w http.ResponseWriter, r *http.Request) {
					switch r.URL.Path {
					case "/slow":
						w.(http.Flusher).Flush()
						time.Sleep(250 * time.Millisecond)
						return
					case "/stream":
						w.(http.Flusher).Flush()
					}
					<-r.Context().Done()
				})
				p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}, Timeouts: &test.times}, how)
				c := p.dial(t)
				c.send(test.request + " HTTP/1.1\r\nHost: a\r\n")
				if strings.HasPrefix(test.request, "POST") {
					c.send("Content-Length: 1000000\r\n\r\nhello")
				} else {
					c.send("\r\n")
				}
				res := c.head("GET")
				_, err := io.ReadAll(res.Body)
				if res.StatusCode != test.status || (err != nil) != test.broken {
					t.Errorf("%d, %v", res.StatusCode, err)
				}
				p.status(t)
				if s := p.set.Peers()[0]; s.InFlight != 0 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// TestH2CBreaksOff: a stream that is reset in the middle is no whole response.
func TestH2CBreaksOff(t *testing.T) {
	bothModes(t, func(t *testing.T, how setup) {
		noLeaks(t)
		o := startH2(t, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "hello")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		})
		p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}}, how)
		c := p.dial(t)
		c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		if b, err := io.ReadAll(c.head("GET").Body); err == nil {
			t.Errorf("a part looks like the whole: %q", b)
		}
		p.status(t)
		if s := p.set.Peers()[0]; s.InFlight != 0 || s.Failures != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// TestH2CMaxConnections: streams share the connections there may be; what finds
// no place waits or is refused.
func TestH2CMaxConnections(t *testing.T) {
	noLeaks(t)
	arrived, letGo := make(chan struct{}, 100), make(chan struct{})
	var once sync.Once
	release := func() { once.Do(func() { close(letGo) }) }
	t.Cleanup(release)
	o := &h2raw{t: t, settings: []http2.Setting{{ID: http2.SettingMaxConcurrentStreams, Val: 2}}, serve: func(c *h2conn, f *http2.MetaHeadersFrame) {
		arrived <- struct{}{}
		go func() {
			<-letGo
			c.respond(f.StreamID, "200", true)
		}()
	}}
	o.start()
	p := startProxy(t, app.PeerSetOpts{
		Addrs: []string{o.url}, MaxConnections: 2, MaxPending: 1, PendingTimeout: app.Duration(time.Minute),
		Retries: &app.Retries{On: []string{}},
	})
	var clients []*client
	for range 4 { // one after the other, so that the second connection knows its limit
		c := p.dial(t)
		c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		<-arrived
		clients = append(clients, c)
	}
	waits := p.dial(t)
	waits.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	eventually(t, "it waits", func() bool { return p.set.H2Waiting() == 1 })
	if a := p.dial(t).get("/"); a.StatusCode != 503 || a.Header.Get("Retry-After") == "" {
		t.Errorf("the sixth: %d", a.StatusCode)
	}
	gone := p.dial(t)
	release()
	for _, c := range append(clients, waits) {
		if a := c.answer("GET"); a.StatusCode != 200 {
			t.Errorf("status %d", a.StatusCode)
		}
	}
	gone.Close()
	if n := o.origin.conns.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

// TestH2CClose retires the connections: at once, or with their last stream.
func TestH2CClose(t *testing.T) {
	noLeaks(t)
	arrived, letGo := make(chan struct{}), make(chan struct{})
	o := startH2(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			arrived <- struct{}{}
			<-letGo
		}
	})
	p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}})
	c := p.dial(t)
	c.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
	<-arrived
	p.set.Close()
	if a := p.dial(t).get("/"); a.StatusCode != 200 {
		t.Errorf("after Close: %d", a.StatusCode)
	}
	close(letGo)
	if a := c.answer("GET"); a.StatusCode != 200 {
		t.Errorf("in flight: %d", a.StatusCode)
	}
	if n := o.conns.Load(); n != 2 {
		t.Errorf("%d connections", n)
	}
}

// h2raw is a peer that speaks HTTP/2 frame by frame.
type h2raw struct {
	t        testing.TB
	settings []http2.Setting
	serve    func(c *h2conn, f *http2.MetaHeadersFrame)
	origin   *origin
	url      string
}

type h2conn struct {
	*http2.Framer
	n  int64
	c  *peerConn
	mu sync.Mutex
}

func (o *h2raw) start() {
	o.origin = startOrigin(o.t, func(pc *peerConn) {
		preface := make([]byte, len(http2.ClientPreface))
		if _, err := io.ReadFull(pc.in, preface); err != nil || string(preface) != http2.ClientPreface {
			return
		}
		c := &h2conn{Framer: http2.NewFramer(pc.Conn, pc.in), n: pc.n, c: pc}
		c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		c.WriteSettings(o.settings...)
		for {
			f, err := c.ReadFrame()
			if err != nil {
				return
			}
			c.mu.Lock()
			switch f := f.(type) {
			case *http2.SettingsFrame:
				if !f.IsAck() {
					c.WriteSettingsAck()
				}
			case *http2.PingFrame:
				if !f.IsAck() {
					c.WritePing(true, f.Data)
				}
			case *http2.MetaHeadersFrame:
				c.mu.Unlock()
				o.serve(c, f)
				c.mu.Lock()
			}
			c.mu.Unlock()
		}
	})
	o.url = "h2c" + strings.TrimPrefix(o.origin.url, "http")
}

func (c *h2conn) respond(stream uint32, status string, end bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b bytes.Buffer
	hpack.NewEncoder(&b).WriteField(hpack.HeaderField{Name: ":status", Value: status})
	c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: b.Bytes(), EndStream: end, EndHeaders: true})
}

// TestH2CNotActedOn: the peer says that it did nothing, by REFUSED_STREAM or by a
// GOAWAY with an earlier stream, and whatever the request is, it is sent again.
func TestH2CNotActedOn(t *testing.T) {
	for name, refuse := range map[string]func(c *h2conn, stream uint32){
		"REFUSED_STREAM": func(c *h2conn, stream uint32) { c.WriteRSTStream(stream, http2.ErrCodeRefusedStream) },
		"GOAWAY":         func(c *h2conn, stream uint32) { c.WriteGoAway(max(stream, 2)-2, http2.ErrCodeNo, nil) },
	} {
		for request, sent := range map[string]string{
			"GET":           "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
			"POST":          "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
			"POST streamed": "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
		} {
			for _, peers := range []int{1, 2} {
				t.Run(fmt.Sprintf("%s/%s/%d peers", name, request, peers), func(t *testing.T) {
					bothModes(t, func(t *testing.T, how setup) {
						noLeaks(t)
						var asked atomic.Int64
						serve := func(c *h2conn, f *http2.MetaHeadersFrame) {
							if asked.Add(1) == 2 { // the second request of all
								c.mu.Lock()
								refuse(c, f.StreamID)
								c.mu.Unlock()
								return
							}
							c.respond(f.StreamID, "200", true)
						}
						var addrs []string
						for range peers {
							o := &h2raw{t: t, serve: serve}
							o.start()
							addrs = append(addrs, o.url)
						}
						p := startProxy(t, app.PeerSetOpts{Addrs: addrs}, how)
						method, _, _ := strings.Cut(sent, " ")
						for range 3 {
							c := p.dial(t)
							c.send(sent)
							a := c.answer(method)
							want := 200
							if request == "POST streamed" && a.StatusCode != 200 {
								want = 502 // a part of its body was sent already
							}
							if a.StatusCode != want {
								t.Errorf("status %d", a.StatusCode)
							}
							p.status(t)
						}
					})
				})
			}
		}
	}
}

// TestH2CRetryOnStatus is as for HTTP/1.1.
func TestH2CRetryOnStatus(t *testing.T) {
	bothModes(t, func(t *testing.T, how setup) {
		noLeaks(t)
		busy := startH2(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) })
		fine := startH2(t, func(w http.ResponseWriter, r *http.Request) {})
		p := startProxy(t, app.PeerSetOpts{
			Addrs: []string{busy.url, fine.url}, Policy: app.PolicyRoundRobin, Retries: &app.Retries{On: []string{"503"}},
		}, how)
		c := p.dial(t)
		for range 4 {
			if a := c.get("/"); a.StatusCode != 200 {
				t.Errorf("status %d", a.StatusCode)
			}
		}
		if n := p.stats.Retries.Load(); n == 0 {
			t.Errorf("%d retries", n)
		}
	})
}

// TestH2CHeadTooLarge: what a client sends must not count against the peer.
func TestH2CHeadTooLarge(t *testing.T) {
	noLeaks(t)
	o := &h2raw{t: t, settings: []http2.Setting{{ID: http2.SettingMaxHeaderListSize, Val: 1000}},
		serve: func(c *h2conn, f *http2.MetaHeadersFrame) { c.respond(f.StreamID, "200", true) }}
	o.start()
	p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}})
	c := p.dial(t)
	if a := c.get("/"); a.StatusCode != 200 {
		t.Errorf("status %d", a.StatusCode)
	}
	if a := c.get("/", "X-Long: "+strings.Repeat("x", 2000)); a.StatusCode != 502 {
		t.Errorf("status %d", a.StatusCode)
	}
	if s := p.set.Peers()[0]; s.Failures != 0 || s.InFlight != 0 {
		t.Errorf("%+v", s)
	}
}

// TestH2CRefusedNotListed: without refused_stream in retries.on nothing is sent
// again.
func TestH2CRefusedNotListed(t *testing.T) {
	noLeaks(t)
	var asked atomic.Int64
	o := &h2raw{t: t, serve: func(c *h2conn, f *http2.MetaHeadersFrame) {
		asked.Add(1)
		c.mu.Lock()
		c.WriteRSTStream(f.StreamID, http2.ErrCodeRefusedStream)
		c.mu.Unlock()
	}}
	o.start()
	p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}, Retries: &app.Retries{On: []string{"connect_error"}}})
	if a := p.dial(t).get("/"); a.StatusCode != 502 || asked.Load() != 1 {
		t.Errorf("%d after %d requests", a.StatusCode, asked.Load())
	}
}

// TestH2CConnectionLost: what must not be sent twice is not; the rest is.
func TestH2CConnectionLost(t *testing.T) {
	for _, method := range []string{"GET", "POST"} {
		t.Run(method, func(t *testing.T) {
			noLeaks(t)
			var asked atomic.Int64
			o := &h2raw{t: t, serve: func(c *h2conn, f *http2.MetaHeadersFrame) {
				if asked.Add(1) == 2 {
					c.c.Close()
					return
				}
				c.respond(f.StreamID, "200", true)
			}}
			o.start()
			p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}})
			c := p.dial(t)
			request := method + " / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
			for _, want := range []int{200, map[string]int{"GET": 200, "POST": 502}[method], 200} {
				c.send(request)
				if a := c.answer(method); a.StatusCode != want {
					t.Errorf("status %d, want %d", a.StatusCode, want)
				}
				p.status(t)
			}
		})
	}
}

// TestH2CNotHTTP2: a peer that speaks something else, or nothing.
func TestH2CNotHTTP2(t *testing.T) {
	for name, serve := range map[string]func(*peerConn){
		"HTTP/1.1": func(c *peerConn) { c.readHead(); c.write("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") },
		"closes":   func(c *peerConn) {},
		"resets":   func(c *peerConn) { c.in.ReadByte(); c.reset() },
		"garbage":  func(c *peerConn) { c.readHead(); c.write(strings.Repeat("x", 1000)) },
	} {
		t.Run(name, func(t *testing.T) {
			bothModes(t, func(t *testing.T, how setup) {
				noLeaks(t)
				o := startOrigin(t, serve)
				p := startProxy(t, app.PeerSetOpts{Addrs: []string{"h2c" + strings.TrimPrefix(o.url, "http")}, PassiveHealth: &app.PassiveHealth{Off: true}}, how)
				c := p.dial(t)
				for range 2 {
					if a := c.get("/"); a.StatusCode != 502 {
						t.Errorf("status %d", a.StatusCode)
					}
				}
				if n := o.conns.Load(); n > 12 {
					t.Errorf("%d connections for 2 requests", n)
				}
			})
		})
	}
	noLeaks(t)
	p := startProxy(t, app.PeerSetOpts{Addrs: []string{"h2c" + strings.TrimPrefix(refusing(t), "http")}})
	if a := p.dial(t).get("/"); a.StatusCode != 502 || p.stats.ConnectErrors.Load() != 1 {
		t.Errorf("%d, %d connect errors", a.StatusCode, p.stats.ConnectErrors.Load())
	}
}

// TestH2CInterimFlood is bounded.
func TestH2CInterimFlood(t *testing.T) {
	noLeaks(t)
	o := &h2raw{t: t, serve: func(c *h2conn, f *http2.MetaHeadersFrame) {
		for range 5000 {
			c.respond(f.StreamID, "103", false)
		}
	}}
	o.start()
	p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}, Retries: &app.Retries{On: []string{}}, Timeouts: &app.Timeouts{ResponseHeader: app.Duration(5 * time.Second)}})
	c := p.dial(t)
	c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	a := c.answer("GET")
	for a.StatusCode == 103 {
		a = c.answer("GET")
	}
	if a.StatusCode != 502 {
		t.Errorf("status %d", a.StatusCode)
	}
}

// TestH2CConcurrency: many requests share few connections.
func TestH2CConcurrency(t *testing.T) {
	noLeaks(t)
	o := startH2(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	})
	p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}})
	var clients sync.WaitGroup
	for range 20 {
		c := p.dial(t)
		clients.Go(func() {
			for i := range 20 {
				body := strings.Repeat("x", i*10000)
				io.WriteString(c.Conn, fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
				res, err := http.ReadResponse(c.in, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if b, _ := io.ReadAll(res.Body); string(b) != fmt.Sprint(len(body)) {
					t.Errorf("%d %q", res.StatusCode, b)
				}
			}
		})
	}
	clients.Wait()
	if n := o.conns.Load(); n > 2 {
		t.Errorf("%d connections", n)
	}
}
