package upstream_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"edgerouter/app"
)

// load asks over kept connections until its end, and wants every request answered.
type load struct {
	stop    atomic.Bool
	clients sync.WaitGroup
	done    atomic.Int64
	failed  atomic.Int64
}

func startLoad(t testing.TB, p *proxy, clients int) *load {
	l := &load{}
	for i := range clients {
		c := p.dial(t)
		l.clients.Go(func() {
			cookie := ""
			for n := 0; !l.stop.Load(); n++ {
				body := fmt.Sprintf("%d/%d", i, n)
				request := "GET /" + body + " HTTP/1.1\r\nHost: a\r\n" + cookie + "\r\n"
				if n%2 == 0 {
					request = fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\n%sContent-Length: %d\r\n\r\n%s", cookie, len(body), body)
				}
				if _, err := io.WriteString(c.Conn, request); err != nil {
					l.failure(t, "%v", err)
					return
				}
				res, err := http.ReadResponse(c.in, nil)
				if err != nil {
					l.failure(t, "%v", err)
					return
				}
				got, err := io.ReadAll(res.Body)
				if err != nil || res.StatusCode != 200 || string(got) != body {
					l.failure(t, "%d %q for %q, %v", res.StatusCode, got, body, err)
				}
				for _, k := range res.Cookies() {
					cookie = "Cookie: " + k.Name + "=" + k.Value + "\r\n"
				}
				l.done.Add(1)
			}
		})
	}
	return l
}

func (l *load) failure(t testing.TB, format string, args ...any) {
	if l.failed.Add(1) < 10 {
		t.Errorf(format, args...)
	}
}

// end waits until at least n requests were answered.
func (l *load) end(t testing.TB, n int64) {
	t.Helper()
	eventually(t, "the clients had their answers", func() bool { return l.done.Load() >= n || l.failed.Load() > 0 })
	l.stop.Store(true)
	l.clients.Wait()
	t.Logf("%d requests, %d failed", l.done.Load(), l.failed.Load())
}

// startEchoing is a peer that answers with the request's body, or else its path.
func startEchoing(t testing.TB) *origin {
	return startOrigin(t, answering(func(req *http.Request, body string) string {
		if body == "" {
			body = req.URL.Path[1:]
		}
		return ok(body)
	}))
}

// TestUpdatesUnderLoad: the peers change as fast as they can, to any others, and
// no request fails.
func TestUpdatesUnderLoad(t *testing.T) {
	for name, opts := range map[string]app.PeerSetOpts{
		"p2c":           {},
		"round_robin":   {Policy: app.PolicyRoundRobin},
		"least_conn":    {Policy: app.PolicyLeastConn, MaxRequests: 4, MaxPending: 100},
		"hash":          {Policy: app.PolicyHash, HashOn: "path"},
		"sticky":        {StickyCookie: &app.StickyCookie{}},
		"queues":        {MaxRequests: 1, MaxPending: 100},
		"health checks": {HealthCheck: &app.HealthCheck{Path: "/"}},
	} {
		t.Run(name, func(t *testing.T) {
			noLeaks(t)
			var addrs []string
			for range 5 {
				addrs = append(addrs, startEchoing(t).url)
			}
			opts.Addrs = addrs[:1]
			p := startProxy(t, opts)
			l := startLoad(t, p, 6)
			updates := 0
			for ; l.done.Load() < 2000 && l.failed.Load() == 0; updates++ {
				rand.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
				if err := p.set.Update(addrs[:1+rand.IntN(len(addrs))], map[string]int{addrs[0]: 1 + rand.IntN(3)}); err != nil {
					t.Fatal(err)
				}
				_ = p.set.Peers()
			}
			l.end(t, 2000)
			t.Logf("%d updates", updates)
			p.update(t, addrs[0])
			eventually(t, "all others have gone", func() bool { return len(p.set.Peers()) == 1 })
		})
	}
}

// TestRollingUpdate: each peer is replaced by a new one, the old one stopped as
// soon as it has nothing more to do, and no request fails; whether the new one is
// there first or the old one leaves first.
func TestRollingUpdate(t *testing.T) {
	for name, startFirst := range map[string]bool{"start first": true, "stop first": false} {
		t.Run(name, func(t *testing.T) {
			bothModes(t, func(t *testing.T, how setup) {
				noLeaks(t)
				var peers []*origin
				var addrs []string
				for range 3 {
					peers = append(peers, startEchoing(t))
					addrs = append(addrs, peers[len(peers)-1].url)
				}
				p := startProxy(t, app.PeerSetOpts{Addrs: addrs}, how)
				l := startLoad(t, p, 6)
				for i, old := range peers {
					if !startFirst {
						p.update(t, append(addrs[:i:i], addrs[i+1:]...)...)
						eventually(t, "it has nothing to do", func() bool { return p.peer(old.url).InFlight == 0 })
						old.stop()
					}
					addrs[i] = startEchoing(t).url
					p.update(t, append(addrs[:len(addrs):len(addrs)], old.url)...)
					before := l.done.Load()
					eventually(t, "it gets requests", func() bool { return l.done.Load() > before+100 || l.failed.Load() > 0 })
					p.update(t, addrs...)
					if startFirst {
						eventually(t, "it has nothing to do", func() bool { return p.peer(old.url).InFlight == 0 })
						old.stop()
					}
				}
				l.end(t, 1000)
			})
		})
	}
}
