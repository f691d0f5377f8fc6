package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// odd are valid requests that parsers have been seen to read in different ways.
var odd = map[string]string{
	"plain":                     "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
	"query":                     "GET /a?b=c&d=%20+e?f HTTP/1.1\r\nHost: a.test:8080\r\n\r\n",
	"dot segments":              "GET /a/./b/../%2e%2e/c//d%2fe HTTP/1.1\r\nHost: a.test\r\n\r\n",
	"slashes":                   "GET //evil.test//a HTTP/1.1\r\nHost: a.test\r\n\r\n",
	"odd bytes in the path":     "GET /a;b=c,d/[e]{f}|g^h`i\"<>/\xc3\xa9 HTTP/1.1\r\nHost: a.test\r\n\r\n",
	"odd bytes in the query":    "GET /?%zz=\\&\"<>|{}^` HTTP/1.1\r\nHost: a.test\r\n\r\n",
	"absolute-form":             "GET http://A.test/x?y HTTP/1.1\r\nHost: a.TEST\r\n\r\n",
	"absolute-form, no path":    "GET HTTP://a.test HTTP/1.1\r\nHost: a.test\r\n\r\n",
	"absolute-form, query":      "GET https://a.test?x=/y HTTP/1.1\r\nHost: a.test\r\n\r\n",
	"OPTIONS *":                 "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n",
	"OPTIONS of a host":         "OPTIONS http://a.test HTTP/1.1\r\nHost: a.test\r\n\r\n",
	"IPv6":                      "GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n",
	"own method":                "M-SEARCH /x HTTP/1.1\r\nHost: a.test\r\n\r\n",
	"lower-case method":         "get / HTTP/1.1\r\nHost: a.test\r\n\r\n",
	"HEAD":                      "HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n",
	"HTTP/1.0 keep-alive":       "GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n",
	"HTTP/1.0 body":             "POST / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc",
	"length":                    "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc",
	"length 0":                  "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n",
	"length with zeros":         "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0003\r\n\r\nabc",
	"equal lengths":             "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
	"GET with a body":           "GET / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc",
	"DELETE with chunks":        "DELETE / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
	"a request in the body":     "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 42\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\nxxx",
	"a request in a chunk":      "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n28\r\nGET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n\r\n0\r\n\r\n",
	"the end in a chunk":        "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n",
	"chunks":                    "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\na\r\n002\r\nbc\r\nA\r\n0123456789\r\n0\r\n\r\n",
	"chunk extensions":          "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b;c=\"d e\"\r\nabc\r\n0;x\r\n\r\n",
	"no data":                   "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"trailers":                  "POST / HTTP/1.1\r\nHost: a.test\r\nTE: trailers\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n",
	"trailers that must not":    "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nContent-Length: 9\r\nX-Sum: 1\r\nHost: b\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n",
	"large body":                "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 200000\r\n\r\n" + strings.Repeat("0123456789", 20000),
	"buffered body":             "PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 50000\r\n\r\n" + strings.Repeat("0123456789", 5000),
	"expectation":               "POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
	"order and case":            "GET / HTTP/1.1\r\nHost: a.test\r\nzZ: 1\r\nAa: 2\r\nzz: 3\r\n\r\n",
	"values":                    "GET / HTTP/1.1\r\nHost: a.test\r\nA:\r\nB:   x\ty \t\r\nC: \xe9\xff\r\nD: a,b , c\r\n\r\n",
	"cookies":                   "GET / HTTP/1.1\r\nHost: a.test\r\nCookie: a=b; c=\"d\"; e\r\nCookie: f=g\r\n\r\n",
	"fields of the connection":  "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: X-A, keep-alive, x-b\r\nX-A: 1\r\nX-B: 2\r\nx-a: 3\r\nX-C: 4\r\nKeep-Alive: timeout=5\r\nProxy-Authorization: x\r\nProxy-Connection: keep-alive\r\n\r\n",
	"Connection names all":      "POST / HTTP/1.1\r\nHost: a.test\r\nConnection: Host, Content-Length, Transfer-Encoding, X-Forwarded-For, X-Real-Ip, Cookie\r\nCookie: a=b\r\nContent-Length: 3\r\n\r\nabc",
	"TE":                        "GET / HTTP/1.1\r\nHost: a.test\r\nTE: gzip;q=0.5, trailers\r\nConnection: TE\r\n\r\n",
	"forwarded by a stranger":   "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Host: b\r\nX-Forwarded-Proto: https\r\nX-Real-IP: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\nX-Request-ID: x\r\nX_Forwarded_For: 1.2.3.4\r\n\r\n",
	"upgrade to h2c":            "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
	"upgrade that is refused":   "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n",
	"upgrade with a body":       "POST / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nabc",
	"upgrade not in Connection": "GET / HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\n\r\n",
	"many fields":               "GET / HTTP/1.1\r\nHost: a.test\r\n" + strings.Repeat("X-A: b\r\n", 100) + "\r\n",
	"large field":               "GET / HTTP/1.1\r\nHost: a.test\r\nX-A: " + strings.Repeat("b", 15000) + "\r\n\r\n",
	"long target":               "GET /" + strings.Repeat("a", 8000) + " HTTP/1.1\r\nHost: a.test\r\n\r\n",
	"user agent and referer":    "GET / HTTP/1.1\r\nHost: a.test\r\nUser-Agent: x\r\nReferer: http://b/\r\nAuthorization: Basic eDp5\r\nRange: bytes=0-\r\nIf-None-Match: \"a\"\r\nContent-Type: text/plain\r\nDate: x\r\nServer: y\r\n\r\n",
}

// TestOddRequestsReachTheOrigin: each is, for the origin, one request and the same
// one, and so is what follows on the connection.
func TestOddRequestsReachTheOrigin(t *testing.T) {
	bothModes(t, func(t *testing.T, m mode) {
		origin := newRecorder(t)
		e := newEdge(t, m, origin.url, options{})
		for name, in := range odd {
			for _, apart := range []bool{false, true} {
				c := e.dial()
				const last = "GET /sentinel HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"
				go func() {
					if apart {
						half := len(in) * 2 / 3
						io.WriteString(c.Conn, in[:half])
						io.WriteString(c.Conn, in[half:])
						io.WriteString(c.Conn, last)
					} else {
						io.WriteString(c.Conn, in+last)
					}
				}()
				want, err := readMessage(bufio.NewReader(strings.NewReader(in)))
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if want.Header.Get("Expect") != "" {
					if resp := c.head("POST"); resp.StatusCode != 100 {
						t.Fatalf("%s: %d", name, resp.StatusCode)
					}
				}
				for range 2 {
					resp, _ := c.response("HEAD")
					if resp.StatusCode != 200 {
						t.Errorf("%s: %d", name, resp.StatusCode)
					}
				}
				if rest, err := io.ReadAll(c.in); err != nil || len(rest) > 0 {
					t.Errorf("%s: behind the responses come %q, %v", name, rest, err)
				}
				got, bad := origin.take()
				if len(got) != 2 || len(bad) > 0 || got[1].URI != "/sentinel" {
					t.Errorf("%s: the origin got %+v, and %v", name, got, bad)
					continue
				}
				if diff := compare(want, got[0], m); diff != "" {
					t.Errorf("%s (-sent +got):\n%s", name, diff)
				}
			}
		}
	})
}

// compare tells how what the origin got differs from what a client sent.
func compare(sent, got message, m mode) string {
	want := proxied(sent)
	got, err := normal(got)
	if err != nil {
		return err.Error()
	}
	if m == structured && len(want.Header["Cookie"]) > 0 {
		// ctx.Request has one field for all cookies, written anew.
		want.Header["Cookie"] = []string{strings.Join(want.Header["Cookie"], "; ")}
		got.Header["Cookie"] = []string{strings.Join(got.Header["Cookie"], "; ")}
	}
	if want.Host == "" {
		want.Host = got.Host // HTTP/1.0 without one: the peer's address stands in
	}
	if want.Length == 0 && want.Header["Content-Length"] == nil {
		delete(got.Header, "Content-Length")
	}
	for _, h := range []http.Header{want.Header, got.Header} {
		if v := h["Content-Length"]; len(v) > 0 {
			var n int64
			fmt.Sscan(v[0], &n)
			h["Content-Length"] = []string{fmt.Sprint(n)}
		}
	}
	return cmp.Diff(want, got, cmpopts.EquateEmpty())
}

// FuzzDifferential: whatever comes in, each request that reaches the origin is
// the one that net/http reads at this place of the client's bytes.
func FuzzDifferential(f *testing.F) {
	for _, in := range odd {
		if len(in) < 2000 {
			f.Add([]byte(in))
		}
	}
	origin := newRecorder(f)
	e := newEdge(f, direct, origin.url, options{})
	f.Fuzz(func(t *testing.T, in []byte) {
		origin.take()
		nc, err := net.Dial("tcp", e.addr)
		if err != nil {
			t.Skip(err)
		}
		defer nc.Close()
		go func() {
			nc.Write(in)
			nc.(*net.TCPConn).CloseWrite()
		}()
		io.Copy(io.Discard, nc)
		got, _ := origin.take()
		ref := bufio.NewReader(strings.NewReader(string(in)))
		for i, g := range got {
			for { // an empty line before a request is let pass
				if b, _ := ref.Peek(2); string(b) != "\r\n" {
					break
				}
				ref.Discard(2)
			}
			want, err := readMessage(ref)
			if err != nil {
				if strings.Contains(err.Error(), "Content-Length") || strings.Contains(err.Error(), "trailer") {
					return // a list of equal lengths; names in Trailer: see wire's list
				}
				t.Fatalf("request %d reached the origin, and net/http cannot read it: %v\n%q\nas %+v", i, err, in, g)
			}
			if want.Trailer != nil && want.Header["Trailer"] != nil {
				return
			}
			if diff := compare(want, g, direct); diff != "" {
				t.Fatalf("request %d of %q (-sent +got):\n%s", i, in, diff)
			}
		}
	})
}
