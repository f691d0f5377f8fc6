package e2e

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestResponses: what a peer answers, and what of it the client gets, for all
// kinds of framing. The raw bytes of the client's side are read by net/http.
func TestResponses(t *testing.T) {
	large := strings.Repeat("0123456789", 30000)
	type want struct {
		status  int
		framing string // "length", "chunked", "close", "none"
		body    string
		header  http.Header // some of it
		trailer http.Header
	}
	for name, c := range map[string]struct {
		request string
		answer  string
		want    want
	}{
		"length":                    {"GET / HTTP/1.1", "HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 5\r\n\r\nhello", want{200, "length", "hello", http.Header{"X-A": {"1", "2"}}, nil}},
		"own reason":                {"GET / HTTP/1.1", "HTTP/1.1 299 Fine by me\r\nContent-Length: 0\r\n\r\n", want{299, "length", "", nil, nil}},
		"chunks":                    {"GET / HTTP/1.1", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\n\r\n", want{200, "chunked", "hello", nil, nil}},
		"trailers":                  {"GET / HTTP/1.1", "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\n\r\n", want{200, "chunked", "hello", nil, http.Header{"X-Sum": {"1"}}}},
		"until close":               {"GET / HTTP/1.1", "HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\nhello", want{200, "chunked", "hello", http.Header{"X-A": {"1"}}, nil}},
		"of HTTP/1.0":               {"GET / HTTP/1.1", "HTTP/1.0 200 OK\r\n\r\nhello", want{200, "chunked", "hello", nil, nil}},
		"large":                     {"GET / HTTP/1.1", "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + large, want{200, "length", large, nil, nil}},
		"large, until close":        {"GET / HTTP/1.1", "HTTP/1.1 200 OK\r\n\r\n" + large, want{200, "chunked", large, nil, nil}},
		"large head":                {"GET / HTTP/1.1", "HTTP/1.1 200 OK\r\nX-A: " + large[:100000] + "\r\nContent-Length: 5\r\n\r\nhello", want{200, "length", "hello", http.Header{"X-A": {large[:100000]}}, nil}},
		"204":                       {"GET / HTTP/1.1", "HTTP/1.1 204 No Content\r\n\r\n", want{204, "none", "", nil, nil}},
		"204 with a length":         {"GET / HTTP/1.1", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", want{204, "none", "", nil, nil}},
		"204 with a body":           {"GET / HTTP/1.1", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", want{204, "none", "", nil, nil}},
		"204 with chunks":           {"GET / HTTP/1.1", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", want{204, "none", "", nil, nil}},
		"304":                       {"GET / HTTP/1.1", "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n", want{304, "none", "", http.Header{"Etag": {`"a"`}}, nil}},
		"304 with a body":           {"GET / HTTP/1.1", "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", want{304, "none", "", nil, nil}},
		"HEAD":                      {"HEAD / HTTP/1.1", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", want{200, "length", "", nil, nil}},
		"HEAD with a body":          {"HEAD / HTTP/1.1", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", want{200, "length", "", nil, nil}},
		"HEAD of chunks":            {"HEAD / HTTP/1.1", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", want{200, "none", "", nil, nil}},
		"HEAD of what is not known": {"HEAD / HTTP/1.1", "HTTP/1.1 200 OK\r\n\r\n", want{200, "none", "", nil, nil}},
		"length and coding":         {"GET / HTTP/1.1", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", want{200, "chunked", "hello", nil, nil}},
		"more than the length":      {"GET / HTTP/1.1", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n\r\n", want{200, "length", "hello", nil, nil}},
		"fields of the connection":  {"GET / HTTP/1.1", "HTTP/1.1 200 OK\r\nConnection: close, X-A\r\nX-A: 1\r\nKeep-Alive: 5\r\nProxy-Authenticate: x\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n", want{200, "length", "", http.Header{"X-A": nil, "Keep-Alive": nil, "Connection": nil, "Proxy-Authenticate": nil, "Upgrade": nil}, nil}},
		"cookies":                   {"GET / HTTP/1.1", "HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nSet-Cookie: a=c\r\nset-cookie: d\r\nContent-Length: 0\r\n\r\n", want{200, "length", "", http.Header{"Set-Cookie": {"a=b; Path=/", "a=c", "d"}}, nil}},
		"100 unasked":               {"GET / HTTP/1.1", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", want{200, "length", "hello", nil, nil}},
		"malformed status line":     {"GET / HTTP/1.1", "HTTP/2 200 OK\r\n\r\n", want{502, "length", "*", nil, nil}},
		"malformed field":           {"GET / HTTP/1.1", "HTTP/1.1 200 OK\r\nX-A : 1\r\n\r\n", want{502, "length", "*", nil, nil}},
		"differing lengths":         {"GET / HTTP/1.1", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", want{502, "length", "*", nil, nil}},
		"unknown coding":            {"GET / HTTP/1.1", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", want{502, "length", "*", nil, nil}},
		"switch nobody asked for":   {"GET / HTTP/1.1", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", want{502, "length", "*", nil, nil}},
		"nothing":                   {"GET / HTTP/1.1", "", want{502, "length", "*", nil, nil}},
		"to HTTP/1.0":               {"GET / HTTP/1.0", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", want{200, "length", "hello", nil, nil}},
		"chunks to HTTP/1.0":        {"GET / HTTP/1.0", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", want{200, "close", "hello", http.Header{"Trailer": nil}, nil}},
		"until close to HTTP/1.0":   {"GET / HTTP/1.0", "HTTP/1.1 200 OK\r\n\r\n" + large, want{200, "close", large, nil, nil}},
		"100 to HTTP/1.0":           {"GET / HTTP/1.0", "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", want{200, "length", "", nil, nil}},
	} {
		t.Run(name, func(t *testing.T) {
			bothModes(t, func(t *testing.T, m mode) {
				e := newEdge(t, m, scripted(t, c.answer, false), options{})
				client := e.dial()
				client.send(c.request + "\r\nHost: a.test\r\nConnection: close\r\n\r\n")
				all, err := io.ReadAll(client.in)
				if err != nil {
					t.Fatal(err)
				}
				in := bufio.NewReader(bytes.NewReader(all))
				resp, err := http.ReadResponse(in, &http.Request{Method: strings.Fields(c.request)[0]})
				if err != nil {
					t.Fatalf("%v in %.200q", err, all)
				}
				body, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Fatal(err)
				}
				if rest, _ := io.ReadAll(in); len(rest) > 0 {
					t.Errorf("%q is behind the response", rest)
				}
				framing := "close"
				switch {
				case len(resp.TransferEncoding) > 0:
					framing = "chunked"
					if resp.Header.Get("Content-Length") != "" {
						t.Error("a length with chunks")
					}
				case resp.ContentLength >= 0 && bytes.Contains(all, []byte("Content-Length: ")):
					framing = "length"
				case strings.HasPrefix(c.request, "HEAD") || resp.StatusCode == 204 || resp.StatusCode == 304:
					framing = "none"
				}
				if resp.StatusCode != c.want.status || framing != c.want.framing || string(body) != c.want.body && c.want.body != "*" {
					t.Errorf("%d, by %s, %.80q", resp.StatusCode, framing, body)
				}
				if resp.Header.Get("Date") == "" {
					t.Error("there is no Date")
				}
				for name, values := range c.want.header {
					if diff := cmp.Diff(values, resp.Header[name]); diff != "" {
						t.Errorf("%s (-want +got):\n%s", name, diff)
					}
				}
				if diff := cmp.Diff(c.want.trailer, resp.Trailer, cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("trailers (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestPeerThatBreaksOff: its client must not take a part for the whole, however
// the body is framed and whatever else the client speaks.
func TestPeerThatBreaksOff(t *testing.T) {
	part := strings.Repeat("x", 100000)
	for name, c := range map[string]struct {
		answer string
		reset  bool
	}{
		"in a length":            {"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + part, false},
		"early in a length":      {"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n", false},
		"in a chunk":             {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n30d40\r\n" + part, false},
		"between chunks":         {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n" + part + "\r\n", false},
		"in the trailers":        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n" + part + "\r\n0\r\nX: y\r\n", false},
		"with a malformed chunk": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n" + part + "\r\nnonsense\r\n", false},
		"with a reset":           {"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + part, true},
		"reset until close":      {"HTTP/1.1 200 OK\r\n\r\n" + part, true},
	} {
		t.Run(name, func(t *testing.T) {
			bothModes(t, func(t *testing.T, m mode) {
				origin := scripted(t, c.answer, c.reset)
				for _, secure := range []bool{false, true} {
					for _, version := range []string{"1.1", "1.0"} {
						e := newEdge(t, m, origin, options{tls: secure})
						client := e.dial()
						client.send("GET / HTTP/" + version + "\r\nHost: a.test\r\n\r\n")
						all, err := io.ReadAll(client.in)
						if err == nil {
							t.Errorf("TLS %v, HTTP/%s: it ended cleanly after %d bytes", secure, version, len(all))
						}
						if bytes.Contains(all, []byte("request id:")) {
							t.Errorf("TLS %v, HTTP/%s: something was appended to the body", secure, version)
						}
					}
				}
			})
		})
	}
}
