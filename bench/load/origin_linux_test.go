package load

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
)

var anyPort = netip.MustParseAddrPort("127.0.0.1:0")

func newLoop(t *testing.T) *Loop {
	t.Helper()
	l, err := NewLoop()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func newOrigin(t *testing.T) (*Loop, *Origin) {
	t.Helper()
	l := newLoop(t)
	o, err := NewOrigin(l, anyPort, anyPort)
	if err != nil {
		t.Fatal(err)
	}
	return l, o
}

func TestOriginAnswers(t *testing.T) {
	_, o := newOrigin(t)
	base := "http://" + o.Addrs()[0].String()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	port := strconv.Itoa(int(o.Addrs()[0].Port()))

	for _, c := range []struct {
		method, target, body string
		chunked              bool
		want                 func(got []byte) error
	}{
		{"GET", "/b/128", "", false, length(128)},
		{"GET", "/b/0", "", false, length(0)},
		{"GET", "/app/x/16384", "", false, length(16384)},
		{"GET", "/b/1048576", "", false, length(1 << 20)},
		{"GET", fmt.Sprintf("/b/%d", wholeBody+12345), "", false, length(wholeBody + 12345)},
		{"GET", "/who", "", false, exactly(port)},
		{"GET", "/", "", false, exactly(port)},
		{"POST", "/upload", "hello", false, exactly("5")},
		{"POST", "/upload", strings.Repeat("x", 3<<20), false, exactly("3145728")},
		{"PUT", "/upload", strings.Repeat("x", 100_000), true, exactly("100000")},
		{"DELETE", "/b/7", "", false, length(7)},
		{"GET", "/echo", "", false, func(got []byte) error {
			if !bytes.HasPrefix(got, []byte("GET /echo HTTP/1.1\r\n")) {
				return fmt.Errorf("got %q", got)
			}
			return nil
		}},
	} {
		// Twice: the connection must be fit for another request afterwards.
		for range 2 {
			var body io.Reader
			if c.body != "" {
				body = strings.NewReader(c.body)
				if c.chunked {
					body = io.MultiReader(body) // hides the length
				}
			}
			req, err := http.NewRequest(c.method, base+c.target, body)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatalf("%s %s: %v", c.method, c.target, err)
			}
			got, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err == nil {
				err = c.want(got)
			}
			if err != nil {
				t.Errorf("%s %s: %v", c.method, c.target, err)
			}
		}
	}
	if n := o.Requests(); n[0] != 24 || n[1] != 0 {
		t.Errorf("requests %v, want 24 of the first peer and none of the second", n)
	}
	if n := o.Received(); n != 2*(5+3<<20+100_000) {
		t.Errorf("received %d bytes", n)
	}
}

func length(n int) func([]byte) error {
	return func(got []byte) error {
		if len(got) != n {
			return fmt.Errorf("%d bytes, want %d", len(got), n)
		}
		return nil
	}
}

func exactly(want string) func([]byte) error {
	return func(got []byte) error {
		if string(got) != want {
			return fmt.Errorf("got %q, want %q", got, want)
		}
		return nil
	}
}

func TestOriginTakesPiecesAndPipelines(t *testing.T) {
	_, o := newOrigin(t)
	conn, err := net.Dial("tcp", o.Addrs()[1].String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	whole := "GET /b/3 HTTP/1.1\r\nHost: a\r\n\r\n" +
		"POST /u HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n" +
		"POST /u HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxy" +
		"GET /b/1 HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, step := range []int{1, 7, len(whole)} {
		for at := 0; at < len(whole); at += step {
			if _, err := io.WriteString(conn, whole[at:min(at+step, len(whole))]); err != nil {
				t.Fatal(err)
			}
		}
		for i, want := range []int{3, 1, 1, 1} {
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatalf("step %d, response %d: %v", step, i, err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil || len(body) != want {
				t.Errorf("step %d, response %d: %q, %v; want %d bytes", step, i, body, err, want)
			}
		}
	}
}
