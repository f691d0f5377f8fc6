package e2e

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestClientLeaves: the peer's request is cancelled within 300 ms, whatever was
// under way.
func TestClientLeaves(t *testing.T) {
	for name, c := range map[string]struct {
		request string
		flush   bool // the peer has begun its response
	}{
		"while the peer thinks":     {"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", false},
		"with a body sent":          {"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nhello", false},
		"in the middle of its body": {"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 500000\r\n\r\n" + strings.Repeat("x", 100000), false},
		"in the middle of a chunk":  {"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nhello", false},
		"in a silent stream":        {"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", true},
		"with the next request":     {"GET / HTTP/1.1\r\nHost: a.test\r\n\r\nGET /next HTTP/1.1\r\nHost: a.test\r\n\r\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			bothModes(t, func(t *testing.T, m mode) {
				for _, secure := range []bool{false, true} {
					entered, left := make(chan struct{}, 2), make(chan time.Time, 2)
					e := newEdge(t, m, httpOrigin(t, func(w http.ResponseWriter, r *http.Request) {
						if r.URL.Path == "/next" {
							t.Error("the next request was served")
						}
						if c.flush {
							http.NewResponseController(w).Flush()
						}
						entered <- struct{}{}
						io.Copy(io.Discard, r.Body)
						<-r.Context().Done()
						left <- time.Now()
					}), options{tls: secure})
					client := e.dial()
					client.send(c.request)
					<-entered
					if c.flush {
						client.head("GET")
					}
					began := time.Now()
					client.Close()
					select {
					case at := <-left:
						if took := at.Sub(began); took > 300*time.Millisecond {
							t.Errorf("TLS %v: cancelled after %v", secure, took)
						}
					case <-time.After(patience):
						t.Errorf("TLS %v: the peer's request goes on", secure)
					}
					eventually(t, "the connection is gone", func() bool { return e.server.Open() == 0 })
				}
			})
		})
	}
}
