package upstream_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"edgerouter/app"
)

// TestRequestHead compares what a peer gets, byte by byte. %P is the peer's
// address, %A the proxy's client.
func TestRequestHead(t *testing.T) {
	const forward = "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: Example.com\r\nX-Real-Ip: 127.0.0.1\r\nX-Request-Id: ID\r\n"
	tests := []struct {
		name, path string
		opts       app.PeerSetOpts
		request    string
		want       string
	}{
		{
			name:    "order and case of the fields stay",
			request: "GET /a%2Fb?q=1 HTTP/1.1\r\nhOST: Example.com\r\nx-zebra: 1\r\nACCEPT: */*\r\nCookie: a=b;  c\r\nX-Zebra: 2\r\nX-Empty:\r\n\r\n",
			want:    "GET /a%2Fb?q=1 HTTP/1.1\r\nHost: %P\r\nx-zebra: 1\r\nACCEPT: */*\r\nCookie: a=b;  c\r\nX-Zebra: 2\r\nX-Empty: \r\n" + forward + "\r\n",
		},
		{
			name:    "pass_host_header",
			opts:    app.PeerSetOpts{PassHostHeader: true},
			request: "GET / HTTP/1.1\r\nHost: Example.com\r\n\r\n",
			want:    "GET / HTTP/1.1\r\nHost: Example.com\r\n" + forward + "\r\n",
		},
		{
			name: "fields of the connection go",
			request: "GET / HTTP/1.1\r\nHost: Example.com\r\nConnection: keep-alive, X-Hop , x-other\r\nKeep-Alive: 5\r\nX-Hop: 1\r\nX-OTHER: 2\r\n" +
				"Proxy-Connection: x\r\nProxy-Authorization: y\r\nUpgrade: foo\r\nTE: gzip\r\nX-Stays: 3\r\n\r\n",
			want: "GET / HTTP/1.1\r\nHost: %P\r\nX-Stays: 3\r\n" + forward + "\r\n",
		},
		{
			name:    "TE: trailers",
			request: "GET / HTTP/1.1\r\nHost: Example.com\r\nTE: gzip, Trailers\r\nConnection: TE\r\n\r\n",
			want:    "GET / HTTP/1.1\r\nHost: %P\r\n" + forward + "Connection: TE\r\nTE: trailers\r\n\r\n",
		},
		{
			name:    "forwarding fields of a client that is not trusted are replaced",
			request: "GET / HTTP/1.1\r\nHost: Example.com\r\nX-Forwarded-For: 1.2.3.4\r\nX-Request-Id: mine\r\nForwarded: for=1.2.3.4\r\nX-Forwarded-User: root\r\n\r\n",
			want:    "GET / HTTP/1.1\r\nHost: %P\r\n" + forward + "\r\n",
		},
		{
			name:    "path of the address",
			path:    "/base/",
			request: "GET /a?b HTTP/1.1\r\nHost: Example.com\r\n\r\n",
			want:    "GET /base/a?b HTTP/1.1\r\nHost: %P\r\n" + forward + "\r\n",
		},
		{
			name:    "OPTIONS * has no path",
			path:    "/base",
			request: "OPTIONS * HTTP/1.1\r\nHost: Example.com\r\n\r\n",
			want:    "OPTIONS * HTTP/1.1\r\nHost: %P\r\n" + forward + "\r\n",
		},
		{
			name:    "index_document",
			opts:    app.PeerSetOpts{IndexDocument: "index.html"},
			request: "GET /a/?b=/ HTTP/1.1\r\nHost: Example.com\r\n\r\n",
			want:    "GET /a/index.html?b=/ HTTP/1.1\r\nHost: %P\r\n" + forward + "\r\n",
		},
		{
			name:    "index_document not for a file",
			opts:    app.PeerSetOpts{IndexDocument: "index.html"},
			request: "GET /a?b/ HTTP/1.1\r\nHost: Example.com\r\n\r\n",
			want:    "GET /a?b/ HTTP/1.1\r\nHost: %P\r\n" + forward + "\r\n",
		},
		{
			name:    "remove_query_string",
			opts:    app.PeerSetOpts{RemoveQueryString: true},
			request: "GET /a?b?c HTTP/1.1\r\nHost: Example.com\r\n\r\n",
			want:    "GET /a HTTP/1.1\r\nHost: %P\r\n" + forward + "\r\n",
		},
		{
			name:    "headers_to_origin replace",
			opts:    app.PeerSetOpts{HeadersToOrigin: map[string]string{"X-Api-Key": "k", "user-agent": ""}},
			request: "GET / HTTP/1.1\r\nHost: Example.com\r\nx-api-key: stolen\r\nUser-Agent: curl\r\nX-A: 1\r\n\r\n",
			want:    "GET / HTTP/1.1\r\nHost: %P\r\nX-A: 1\r\n" + forward + "X-Api-Key: k\r\n\r\n",
		},
		{
			name:    "headers_to_origin replace what the proxy adds, and the Host",
			opts:    app.PeerSetOpts{PassHostHeader: true, HeadersToOrigin: map[string]string{"X-Forwarded-Proto": "https", "HOST": "inner.example", "X-Real-IP": ""}},
			request: "GET / HTTP/1.1\r\nHost: Example.com\r\n\r\n",
			want: "GET / HTTP/1.1\r\nHost: inner.example\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: Example.com\r\nX-Request-Id: ID\r\n" +
				"X-Forwarded-Proto: https\r\n\r\n",
		},
		{
			name:    "an empty body keeps its length",
			request: "POST / HTTP/1.1\r\nHost: Example.com\r\nContent-Length: 0\r\n\r\n",
			want:    "POST / HTTP/1.1\r\nHost: %P\r\nContent-Length: 0\r\n" + forward + "\r\n",
		},
		{
			name:    "a repeated length is sent once",
			request: "POST / HTTP/1.1\r\nHost: Example.com\r\nContent-Length: 2, 2\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nhi",
			want:    "POST / HTTP/1.1\r\nHost: %P\r\nContent-Length: 2\r\nX-A: 1\r\n" + forward + "\r\nhi",
		},
		{
			name:    "an HTTP/1.0 client",
			request: "GET / HTTP/1.0\r\nHost: Example.com\r\nConnection: keep-alive\r\n\r\n",
			want:    "GET / HTTP/1.1\r\nHost: %P\r\n" + forward + "\r\n",
		},
		{
			name:    "absolute-form becomes origin-form",
			request: "GET http://Example.com/x?y HTTP/1.1\r\nHost: Example.com\r\n\r\n",
			want:    "GET /x?y HTTP/1.1\r\nHost: %P\r\n" + forward + "\r\n",
		},
		{
			name:    "Expect is answered here",
			request: "POST / HTTP/1.0\r\nHost: Example.com\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
			want:    "POST / HTTP/1.1\r\nHost: %P\r\nContent-Length: 1\r\n" + forward + "\r\nx",
		},
	}
	for _, mode := range modes {
		for _, test := range tests {
			t.Run(mode.name+"/"+test.name, func(t *testing.T) {
				noLeaks(t)
				got := make(chan string, 1)
				o := startOrigin(t, func(c *peerConn) {
					head := c.readHead()
					if strings.Contains(head, "Content-Length: ") {
						var n int
						fmt.Sscanf(head[strings.Index(head, "Content-Length: "):], "Content-Length: %d", &n)
						b := make([]byte, n)
						for i := range b {
							b[i], _ = c.in.ReadByte()
						}
						head += string(b)
					}
					got <- head
					c.write(ok("done"))
				})
				opts := test.opts
				opts.Addrs = []string{o.url + test.path}
				c := startProxy(t, opts, mode.setup).dial(t)
				c.send(test.request)
				method, _, _ := strings.Cut(test.request, " ")
				if a := c.answer(method); a.StatusCode != 200 || a.text != "done" {
					t.Fatalf("answer %d %q", a.StatusCode, a.text)
				}
				head := <-got
				if i := strings.Index(head, "X-Request-Id: "); i >= 0 {
					head = head[:i+14] + "ID" + head[i+14+32:]
				}
				if want := strings.ReplaceAll(test.want, "%P", o.ln.Addr().String()); head != want {
					t.Errorf("the peer got\n%q\nwant\n%q", head, want)
				}
			})
		}
	}
}

// modes are the ways a set is used: on the wire, and behind handlers.
var modes = []struct {
	name  string
	setup setup
}{{"direct", setup{}}, {"structured", setup{wrap: unchanged}}}

// bothModes runs a test directly and behind a handler that changes nothing.
func bothModes(t *testing.T, test func(t *testing.T, how setup)) {
	t.Helper()
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) { test(t, mode.setup) })
	}
}

// TestResponseHead compares what a client gets, byte by byte.
func TestResponseHead(t *testing.T) {
	const date = "Date: Sun, 22 Nov 2026 12:00:00 GMT\r\n"
	tests := []struct {
		name     string
		opts     app.PeerSetOpts
		method   string
		version  string
		response string
		want     string
		closes   bool // the client's connection
	}{
		{
			name:     "order, case and reason stay",
			response: "HTTP/1.1 299 Very Fine\r\nx-b: 1\r\nServer: own\r\n" + date + "X-A: 2\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\nset-cookie: c=d\r\n\r\nhi",
			want:     "HTTP/1.1 299 Very Fine\r\nx-b: 1\r\nServer: own\r\n" + date + "X-A: 2\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\nset-cookie: c=d\r\n\r\nhi",
		},
		{
			name:     "fields of the connection go",
			response: "HTTP/1.1 200 OK\r\n" + date + "Connection: x-hop, Keep-Alive\r\nKeep-Alive: 5\r\nX-Hop: 1\r\nProxy-Authenticate: Basic\r\nUpgrade: h2\r\nContent-Length: 0\r\n\r\n",
			want:     "HTTP/1.1 200 OK\r\n" + date + "Content-Length: 0\r\n\r\n",
		},
		{
			name:     "response_headers",
			opts:     app.PeerSetOpts{ResponseHeaders: &app.ResponseHeaders{Set: map[string]string{"X-Frame-Options": "DENY", "X-Own": "1"}, Remove: []string{"server", "X-Powered-By"}}},
			response: "HTTP/1.1 200 OK\r\n" + date + "Server: own\r\nx-powered-by: PHP\r\nX-FRAME-OPTIONS: x\r\nContent-Length: 0\r\n\r\n",
			want:     "HTTP/1.1 200 OK\r\n" + date + "Content-Length: 0\r\nX-Frame-Options: DENY\r\nX-Own: 1\r\n\r\n",
		},
		{
			name: "HEAD with a length", method: "HEAD",
			response: "HTTP/1.1 200 OK\r\n" + date + "Content-Length: 1000\r\n\r\n",
			want:     "HTTP/1.1 200 OK\r\n" + date + "Content-Length: 1000\r\n\r\n",
		},
		{
			name: "HEAD of a chunked resource", method: "HEAD",
			response: "HTTP/1.1 200 OK\r\n" + date + "Transfer-Encoding: chunked\r\n\r\n",
			want:     "HTTP/1.1 200 OK\r\n" + date + "\r\n",
		},
		{
			name:     "304 with a length",
			response: "HTTP/1.1 304 Not Modified\r\n" + date + "ETag: \"x\"\r\nContent-Length: 5\r\n\r\n",
			want:     "HTTP/1.1 304 Not Modified\r\n" + date + "ETag: \"x\"\r\nContent-Length: 5\r\n\r\n",
		},
		{
			name:     "204 has no length",
			response: "HTTP/1.1 204 No Content\r\n" + date + "Content-Length: 0\r\n\r\n",
			want:     "HTTP/1.1 204 No Content\r\n" + date + "\r\n",
		},
		{
			name:     "chunked",
			response: "HTTP/1.1 200 OK\r\n" + date + "Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nhi\r\n0\r\n\r\n",
			want:     "HTTP/1.1 200 OK\r\n" + date + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
		},
		{
			name:     "trailers",
			response: "HTTP/1.1 200 OK\r\n" + date + "Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n",
			want:     "HTTP/1.1 200 OK\r\n" + date + "Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n",
		},
		{
			name: "chunked for HTTP/1.0 ends with the connection", version: "HTTP/1.0", closes: true,
			response: "HTTP/1.1 200 OK\r\n" + date + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
			want:     "HTTP/1.1 200 OK\r\n" + date + "Connection: close\r\n\r\nhi",
		},
		{
			name:     "no length goes out chunked",
			response: "HTTP/1.0 200 OK\r\n" + date + "\r\nhi",
			want:     "HTTP/1.1 200 OK\r\n" + date + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
		},
		{
			name:     "length beside chunked is not sent",
			response: "HTTP/1.1 200 OK\r\n" + date + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
			want:     "HTTP/1.1 200 OK\r\n" + date + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
		},
		{
			name:     "103 comes first, 100 is left out",
			response: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x\r\n\r\nHTTP/1.1 200 OK\r\n" + date + "Content-Length: 0\r\n\r\n",
			want:     "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n" + date + "Content-Length: 0\r\n\r\n",
		},
		{
			name: "an HTTP/1.0 client is spared 103", version: "HTTP/1.0", closes: true,
			response: "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n" + date + "Content-Length: 0\r\n\r\n",
			want:     "HTTP/1.1 200 OK\r\n" + date + "Content-Length: 0\r\nConnection: close\r\n\r\n",
		},
		{
			name:     "426 keeps its Upgrade",
			response: "HTTP/1.1 426 Upgrade Required\r\n" + date + "Upgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n",
			want:     "HTTP/1.1 426 Upgrade Required\r\n" + date + "Content-Length: 0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		},
		{
			name:     "a long head before a stream",
			response: "HTTP/1.1 200 OK\r\n" + date + "X-Long: " + strings.Repeat("x", 5000) + "\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
			want:     "HTTP/1.1 200 OK\r\n" + date + "X-Long: " + strings.Repeat("x", 5000) + "\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
		},
		{
			name:     "much is added",
			opts:     app.PeerSetOpts{ResponseHeaders: &app.ResponseHeaders{Set: map[string]string{"X-Own": strings.Repeat("y", 5000)}}},
			response: "HTTP/1.1 200 OK\r\n" + date + "Content-Length: 2\r\n\r\nhi",
			want:     "HTTP/1.1 200 OK\r\n" + date + "Content-Length: 2\r\nX-Own: " + strings.Repeat("y", 5000) + "\r\n\r\nhi",
		},
		{
			name:     "no reason",
			response: "HTTP/1.1 200\r\n" + date + "Content-Length: 0\r\n\r\n",
			want:     "HTTP/1.1 200 \r\n" + date + "Content-Length: 0\r\n\r\n",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			noLeaks(t)
			o := startOrigin(t, func(c *peerConn) {
				if req, _ := c.read(); req != nil {
					c.write(test.response)
				}
			})
			opts := test.opts
			opts.Addrs = []string{o.url}
			c := startProxy(t, opts).dial(t)
			method, version := "GET", "HTTP/1.1"
			if test.method != "" {
				method = test.method
			}
			if test.version != "" {
				version = test.version
			}
			c.send(method + " / " + version + "\r\nHost: example.com\r\n\r\n")
			got := make([]byte, len(test.want))
			n := 0
			for n < len(got) {
				m, err := c.in.Read(got[n:])
				n += m
				if err != nil {
					break
				}
			}
			if string(got[:n]) != test.want {
				t.Fatalf("the client got\n%q\nwant\n%q", got[:n], test.want)
			}
			if test.closes {
				c.closed()
				return
			}
			// Nothing may follow but the answer to the next request.
			c.send("BAD\r\n\r\n")
			if a := c.answer("GET"); a.StatusCode != 400 {
				t.Errorf("what follows is a %d", a.StatusCode)
			}
		})
	}
}

func TestDateIsAddedWhenMissing(t *testing.T) {
	noLeaks(t)
	o := startOrigin(t, answering(func(*http.Request, string) string { return ok("x") }))
	a := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}}).dial(t).get("/")
	if _, err := http.ParseTime(a.Header.Get("Date")); err != nil {
		t.Errorf("Date: %v", err)
	}
}

func TestForwardedOfTrustedProxies(t *testing.T) {
	// That is package server's; here: its lines reach the peer behind handlers too.
	bothModes(t, func(t *testing.T, how setup) {
		noLeaks(t)
		var got []string
		o := startOrigin(t, answering(func(req *http.Request, _ string) string {
			got = req.Header["X-Forwarded-For"]
			return ok("x")
		}))
		startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}}, how).dial(t).get("/", "X-Forwarded-For: 10.0.0.1")
		if !slices.Equal(got, []string{"127.0.0.1"}) {
			t.Errorf("X-Forwarded-For: %q", got)
		}
	})
}

// TestConnectionsAreReused sends requests one after the other and counts the
// peer's connections.
func TestConnectionsAreReused(t *testing.T) {
	tests := []struct {
		name, method, response string
		conns                  int64
	}{
		{"length", "GET", ok("hello"), 1},
		{"no body", "GET", ok(""), 1},
		{"chunked", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", 1},
		{"trailers", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nA: b\r\n\r\n", 1},
		{"head", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", 1},
		{"304", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 1},
		{"long", "GET", ok(strings.Repeat("x", 200<<10)), 1},
		{"1.0 with keep-alive", "GET", "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx", 1},
		{"1.0", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 3},
		{"close", "GET", "HTTP/1.1 200 OK\r\nConnection: foo, CLOSE\r\nContent-Length: 1\r\n\r\nx", 3},
		{"bytes beyond the body", "GET", ok("hello") + "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad", 3},
		{"bytes beyond the last chunk", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\nX", 3},
		{"a body after HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad", 3},
		{"a body with 304", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\nbad", 3},
		{"a body with 204", "GET", "HTTP/1.1 204 No Content\r\n\r\nbad", 3},
		{"length and chunked", "GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bothModes(t, func(t *testing.T, how setup) {
				noLeaks(t)
				o := startOrigin(t, answering(func(*http.Request, string) string { return test.response }))
				p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}}, how)
				c := p.dial(t)
				for range 3 {
					c.send(test.method + " / HTTP/1.1\r\nHost: example.com\r\n\r\n")
					if a := c.answer(test.method); strings.Contains(a.text, "bad") {
						t.Fatalf("the client got %q", a.text)
					}
					p.status(t)
				}
				if n := o.conns.Load(); n != test.conns {
					t.Errorf("%d connections for 3 requests, want %d", n, test.conns)
				}
			})
		})
	}
}

// TestLateBytesAreNoResponse: a peer that sends a body after HEAD, and late, must
// not have it taken for the answer to the next request.
func TestLateBytesAreNoResponse(t *testing.T) {
	noLeaks(t)
	sent := make(chan struct{})
	o := startOrigin(t, func(c *peerConn) {
		req, _ := c.read()
		if req == nil {
			return
		}
		if req.Method == "HEAD" {
			c.write("HTTP/1.1 200 OK\r\nContent-Length: 38\r\n\r\n")
			<-sent
			c.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			sent <- struct{}{}
			if req, _ = c.read(); req == nil {
				return
			}
		}
		c.write(ok("right"))
	})
	p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}})
	c := p.dial(t)
	c.send("HEAD / HTTP/1.1\r\nHost: example.com\r\n\r\n")
	c.answer("HEAD")
	p.status(t)
	sent <- struct{}{}
	<-sent
	if a := c.get("/"); a.text != "right" {
		t.Errorf("the answer is %q", a.text)
	}
}

// TestLeftOversOfTheLastResponse: garbage that comes after a connection was put
// back costs the next request another attempt, not its answer.
func TestLeftOversOfTheLastResponse(t *testing.T) {
	noLeaks(t)
	put := make(chan struct{})
	o := startOrigin(t, func(c *peerConn) {
		c.read()
		c.write(ok("first"))
		if c.n == 1 {
			<-put
			c.write("garbage\r\n\r\n")
			put <- struct{}{}
			c.read()
			return
		}
	})
	p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}})
	c := p.dial(t)
	c.get("/")
	p.status(t)
	put <- struct{}{}
	<-put
	if a := c.get("/"); a.StatusCode != 200 || a.text != "first" {
		t.Errorf("answer %d %q", a.StatusCode, a.text)
	}
	if n := p.stats.Stale.Load(); n != 1 {
		t.Errorf("%d stale connections, want 1", n)
	}
}

func TestMaxRequestBody(t *testing.T) {
	bothModes(t, func(t *testing.T, how setup) {
		noLeaks(t)
		o := startOrigin(t, answering(func(_ *http.Request, body string) string { return ok(fmt.Sprint(len(body))) }))
		p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}, MaxRequestBody: 100}, how)
		if a := p.dial(t).post("/", strings.Repeat("x", 100)); a.StatusCode != 200 || a.text != "100" {
			t.Errorf("100 bytes: %d %q", a.StatusCode, a.text)
		}
		if a := p.dial(t).post("/", strings.Repeat("x", 101)); a.StatusCode != 413 {
			t.Errorf("101 bytes: %d", a.StatusCode)
		}
		c := p.dial(t)
		c.send("POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n32\r\n" + strings.Repeat("x", 50) + "\r\n")
		c.send("33\r\n" + strings.Repeat("x", 51) + "\r\n0\r\n\r\n")
		if a := c.answer("POST"); a.StatusCode != 413 {
			t.Errorf("101 bytes in chunks: %d", a.StatusCode)
		}
		c = p.dial(t)
		c.send("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 101\r\nExpect: 100-continue\r\n\r\n")
		if a := c.answer("POST"); a.StatusCode != 413 || !a.Close {
			t.Errorf("101 bytes announced: %d, close %v: the body was not refused", a.StatusCode, a.Close)
		}
	})
}

func TestStickyCookie(t *testing.T) {
	bothModes(t, func(t *testing.T, how setup) {
		noLeaks(t)
		serve := func(name string) func(*peerConn) {
			return answering(func(*http.Request, string) string { return ok(name) })
		}
		a, b := startOrigin(t, serve("a")), startOrigin(t, serve("b"))
		p := startProxy(t, app.PeerSetOpts{Addrs: []string{a.url, b.url}, StickyCookie: &app.StickyCookie{Name: "stick"}}, how)
		c := p.dial(t)
		first := c.get("/")
		cookies := first.Cookies()
		if len(cookies) != 1 || cookies[0].Name != "stick" || strings.Contains(cookies[0].Value, "127") {
			t.Fatalf("Set-Cookie: %q", first.Header["Set-Cookie"])
		}
		for range 20 {
			if again := c.get("/", "Cookie: x=y; stick="+cookies[0].Value); again.text != first.text || len(again.Cookies()) != 0 {
				t.Fatalf("went from %s to %s with cookies %q", first.text, again.text, again.Header["Set-Cookie"])
			}
		}
		map[string]*origin{"a": a, "b": b}[first.text].stop()
		moved := c.get("/", "Cookie: stick="+cookies[0].Value)
		if moved.StatusCode != 200 || moved.text == first.text {
			t.Fatalf("after the peer has gone: %d from %q", moved.StatusCode, moved.text)
		}
		if l := moved.Cookies(); len(l) != 1 || l[0].Value == cookies[0].Value {
			t.Errorf("no new cookie for the new peer: %q", moved.Header["Set-Cookie"])
		}
		if l := c.get("/", "Cookie: stick=forged").Cookies(); len(l) != 1 {
			t.Errorf("no cookie for a client with one that names no peer")
		}
	})
}

func TestWeights(t *testing.T) {
	noLeaks(t)
	count := map[string]int{}
	serve := func(name string) func(*peerConn) {
		return answering(func(*http.Request, string) string { return ok(name) })
	}
	a, b, idle := startOrigin(t, serve("a")), startOrigin(t, serve("b")), startOrigin(t, serve("none"))
	p := startProxy(t, app.PeerSetOpts{
		Addrs: []string{a.url, b.url, idle.url}, Policy: app.PolicyRoundRobin,
		Weights: map[string]int{a.url: 3, idle.url: 0},
	})
	c := p.dial(t)
	for range 40 {
		count[c.get("/").text]++
	}
	if count["a"] != 30 || count["b"] != 10 {
		t.Errorf("requests by peer: %v, want 30 and 10", count)
	}
}

func TestHashOn(t *testing.T) {
	for _, on := range []string{"header:X-User", "cookie:user", "path", "client_ip"} {
		t.Run(on, func(t *testing.T) {
			noLeaks(t)
			var addrs []string
			for i := range 4 {
				addrs = append(addrs, startOrigin(t, answering(func(*http.Request, string) string { return ok(fmt.Sprint(i)) })).url)
			}
			p := startProxy(t, app.PeerSetOpts{Addrs: addrs, Policy: app.PolicyHash, HashOn: on})
			c := p.dial(t)
			seen := map[string]bool{}
			for user := range 30 {
				path, field := fmt.Sprintf("/%d", user), ""
				switch on {
				case "header:X-User":
					path, field = "/", fmt.Sprintf("x-user: %d", user)
				case "cookie:user":
					path, field = "/", fmt.Sprintf("Cookie: a=b; user=%d", user)
				default:
					field = "X-None: 1"
				}
				first := c.get(path, field).text
				seen[first] = true
				for range 3 {
					if again := c.get(path, field).text; again != first {
						t.Fatalf("user %d went from peer %s to %s", user, first, again)
					}
				}
			}
			if on == "client_ip" {
				if len(seen) != 1 {
					t.Errorf("one client on %d peers", len(seen))
				}
			} else if len(seen) < 3 {
				t.Errorf("30 users on %d of 4 peers", len(seen))
			}
		})
	}
}

func TestPeersTell(t *testing.T) {
	noLeaks(t)
	hold := make(chan struct{})
	o := startOrigin(t, answering(func(req *http.Request, _ string) string {
		if req.URL.Path == "/wait" {
			<-hold
		}
		if req.URL.Path == "/503" {
			return "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
		}
		return ok("x")
	}))
	p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}})
	c := p.dial(t)
	c.get("/")
	c.get("/503")
	c.send("GET /wait HTTP/1.1\r\nHost: example.com\r\n\r\n")
	eventually(t, "a request is in flight", func() bool { return p.set.Peers()[0].InFlight == 1 })
	close(hold)
	c.answer("GET")
	s := p.set.Peers()[0]
	if s.Addr != o.url || s.State != "up" || s.Requests != 3 || s.Failures != 1 || s.LatencyMS <= 0 || s.InFlight != 0 {
		t.Errorf("%+v", s)
	}
}
