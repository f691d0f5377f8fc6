package upstream_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"edgerouter/app"
)

// TestUnreadBodyIsNoRequest: a peer answers without reading the body. What the
// client still sends of it is a body, whatever it looks like, and the connection
// carries the next request only after its end.
func TestUnreadBodyIsNoRequest(t *testing.T) {
	const smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
	var mu sync.Mutex
	var seen []string
	note := func(target string) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, target)
	}
	plain := startOrigin(t, func(c *peerConn) {
		for {
			req, err := http.ReadRequest(c.in)
			if err != nil {
				return
			}
			note(req.URL.Path)
			c.write("HTTP/1.1 " + req.URL.Path[1:] + " X\r\nContent-Length: 2\r\n\r\nok")
			if _, err := io.Copy(io.Discard, req.Body); err != nil {
				return
			}
		}
	})
	multiplexed := startH2(t, func(w http.ResponseWriter, r *http.Request) {
		note(r.URL.Path)
		var status int
		fmt.Sscan(r.URL.Path[1:], &status)
		w.WriteHeader(status)
		io.WriteString(w, "ok")
	})
	for protocol, addr := range map[string]string{"HTTP/1.1": plain.url, "h2c": multiplexed.url} {
		t.Run(protocol, func(t *testing.T) {
			bothModes(t, func(t *testing.T, how setup) {
				noLeaks(t)
				p := startProxy(t, app.PeerSetOpts{Addrs: []string{addr}}, how)
				for _, size := range []int{70_000, 200_000, 3_000_000} {
					for _, status := range []int{200, 302, 401, 413, 500} {
						for _, chunked := range []bool{false, true} {
							mu.Lock()
							seen = nil
							mu.Unlock()
							body := strings.Repeat(smuggled, size/len(smuggled)+1)[:size]
							first := size / 3
							c := p.dial(t)
							head := fmt.Sprintf("POST /%d HTTP/1.1\r\nHost: a\r\n", status)
							rest := body[first:]
							if chunked {
								c.send(head + "Transfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s", size, body[:first]))
								rest += "\r\n0\r\nX: y\r\n\r\n"
							} else {
								c.send(head + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", size, body[:first]))
							}
							what := fmt.Sprintf("%d of %d, chunked %v", status, size, chunked)
							a := c.answer("POST")
							if a.StatusCode != status || a.text != "ok" {
								t.Errorf("%s: %d %q", what, a.StatusCode, a.text)
							}
							io.WriteString(c.Conn, rest)
							if a.Close {
								c.closed()
							} else if a := c.get("/201"); a.StatusCode != 201 {
								t.Errorf("%s: the next request got %d", what, a.StatusCode)
							}
							c.gone()
							mu.Lock()
							for i, target := range seen {
								if want := []string{fmt.Sprintf("/%d", status), "/201"}; i >= len(want) || target != want[i] {
									t.Errorf("%s: the peer got %v", what, seen)
									break
								}
							}
							mu.Unlock()
						}
					}
				}
			})
		})
	}
}
