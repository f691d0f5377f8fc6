package upstream

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"edgerouter/app"
	"edgerouter/wire"
)

// FuzzRequestHead: whatever head a client may send, the peer's is one request,
// the same one, and nothing of it belongs to the client's connection. net/http is
// the second reader.
func FuzzRequestHead(f *testing.F) {
	for _, seed := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST /a?b HTTP/1.1\r\nHost: a:80\r\nContent-Length: 3, 3\r\nContent-Length: 3\r\n\r\n",
		"PUT //x/../y HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: Chunked\r\nTrailer: X\r\nTE: trailers\r\nConnection: TE, close, X-A\r\nX-A: 1\r\n\r\n",
		"GET http://a/?x HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\nX_Real_IP: 1\r\n\r\n",
		"OPTIONS * HTTP/1.0\r\nHost: a\r\nExpect: x\r\nProxy-A: b\r\nKeep-Alive: c\r\nCookie: a=b\r\nDate: x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: [::1]:1\r\nX-Forwarded-For: 1\r\nForwarded: x\r\nx-request-id: y\r\nA: \x80\xff\r\nA:\t b\t \r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	addr, err := parseAddress("http://10.0.0.1:8080/base")
	if err != nil {
		f.Fatal(err)
	}
	p := newPeer(addr)
	set := &Set{opts: app.PeerSetOpts{PassHostHeader: true}, balancer: &balancer{}}
	forward := []byte("X-Forwarded-For: 1.2.3.4\r\nX-Request-Id: id\r\n")
	f.Fuzz(func(t *testing.T, b []byte) {
		x := &wire.Exchange{}
		if _, err := x.Head.Parse(b, &wire.DefaultLimits); err != nil {
			return
		}
		x.Begin(0)
		x.Forward = forward
		c := call{s: set, x: x, direct: true}
		c.understand()
		head := c.appendRequest(nil, p)

		req, err := http.ReadRequest(bufio.NewReader(io.MultiReader(bytes.NewReader(head), strings.NewReader("0\r\n\r\n"))))
		if err != nil {
			// net/http knows fewer hosts and targets than RFC 9110 allows.
			if bytes.Count(head, []byte("\r\n\r\n")) != 1 || !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
				t.Fatalf("%q became %q: %v", b, head, err)
			}
			return
		}
		if req.Method != string(x.Head.Method) || req.Host != string(x.Head.Host) && len(x.Head.Host) > 0 || req.Proto != "HTTP/1.1" {
			t.Errorf("%q became %s for %q by %s", b, req.Method, req.Host, req.Proto)
		}
		if chunked := slices.Equal(req.TransferEncoding, []string{"chunked"}); chunked != x.Head.Chunked || !chunked && req.ContentLength != max(x.Head.Length, 0) {
			t.Errorf("%q became a body of %d, chunked %v", b, req.ContentLength, chunked)
		}
		if want := string(x.Target); !strings.HasSuffix(req.RequestURI, want) {
			t.Errorf("the target %q became %q", want, req.RequestURI)
		}
		for _, name := range []string{"Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Forwarded", "X-Real-Ip", "X_real_ip", "Expect"} {
			if v := req.Header[name]; v != nil {
				t.Errorf("%s: %q got through", name, v)
			}
		}
		if v := req.Header["X-Forwarded-For"]; !slices.Equal(v, []string{"1.2.3.4"}) {
			t.Errorf("X-Forwarded-For: %q", v)
		}
		for _, v := range req.Header["Connection"] {
			if v != "Upgrade" && v != "TE" {
				t.Errorf("Connection: %q", v)
			}
		}
	})
}

// TestAppendWithout takes lines out by their names, in any case.
func TestAppendWithout(t *testing.T) {
	const lines = "X-One: 1\r\nX-Two: a: b\r\nx-one: 2\r\n"
	for _, test := range []struct {
		names []string
		want  string
	}{
		{nil, lines},
		{[]string{"x-one"}, "X-Two: a: b\r\n"},
		{[]string{"x-two", "x"}, "X-One: 1\r\nx-one: 2\r\n"},
	} {
		if got := appendWithout([]byte("A\r\n"), []byte(lines), test.names); string(got) != "A\r\n"+test.want {
			t.Errorf("without %q: %q", test.names, got)
		}
	}
}
