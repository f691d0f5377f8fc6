package engine

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"edgerouter/bench/load"
)

// rate is how many requests a second the tests send.
const rate = 200

// window is how long the load's connections live; then it goes on with new ones.
const window = 4 * time.Second

// slowest is how long the slowest request may take. The slowest ones are asked
// to take 100 ms.
const slowest = 2 * time.Second

// steady is a constant rate of requests on kept connections: short ones, slow
// ones and POSTs, whatever the answers do, until it is told to end. Latencies
// count from the moment at which a request was due.
type steady struct {
	t    *testing.T
	over atomic.Bool
	done chan struct{}
	res  *load.Result
	err  error
}

// mixed are the requests, in turn. Two of five are POSTs, which nobody may send
// twice unless the first one cannot have been seen.
func mixed(host string) []load.Request {
	return []load.Request{
		load.NewRequest("GET", host, "/", 0),
		load.NewRequest("POST", host, "/", 1000),
		load.NewRequest("GET", host, "/?ms=100", 0),
		load.NewRequest("POST", host, "/?ms=50", 100_000),
		load.NewRequest("GET", host, "/?ms=5", 0),
	}
}

func startLoad(t *testing.T, to netip.AddrPort, host string) *steady {
	t.Helper()
	loop, err := load.NewLoop()
	if err != nil {
		t.Fatal(err)
	}
	s := &steady{t: t, done: make(chan struct{})}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	go func() {
		defer close(s.done)
		defer loop.Close()
		for s.err == nil && !s.over.Load() {
			var r *load.Result
			r, s.err = load.Run(ctx, loop, load.Config{
				Target: to, Requests: mixed(host), Length: -1, Connections: 64, Rate: rate, Duration: window,
			})
			switch {
			case s.err != nil:
			case s.res == nil:
				s.res = r
			default:
				s.res.Add(r)
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-s.done })
	return s
}

// end lets the window end that has begun, and tells what the load brought.
func (s *steady) end() *load.Result {
	s.t.Helper()
	s.over.Store(true)
	<-s.done
	if s.err != nil {
		s.t.Fatal(s.err)
	}
	return s.res
}

// lossless ends the load: no request may have failed.
func (s *steady) lossless(what string) {
	s.t.Helper()
	r := s.end()
	s.t.Logf("%s: %s", what, figures(r))
	if n := lost(r); n > 0 {
		s.t.Errorf("%s: %d requests failed (%s): %s", what, n, r.Errors.String(), r.FirstError)
	}
	if longest := r.Quantile(100); longest > slowest {
		s.t.Errorf("%s: a request took %s", what, longest)
	}
}

// lost are the requests that failed. Those that this machine was too busy to send
// at the end of a window are not among them; what they would have waited for is
// in the latencies.
func lost(r *load.Result) int64 { return r.Errors.Total() - r.Errors[load.ErrUnsent] }

func figures(r *load.Result) string {
	ms := func(q float64) time.Duration { return r.Quantile(q).Round(100 * time.Microsecond) }
	return fmt.Sprintf("%d requests answered in %s, %d lost (%s); p50 %s, p99 %s, longest %s",
		r.Requests, r.Duration.Round(100*time.Millisecond), lost(r), r.Errors.String(), ms(50), ms(99), ms(100))
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}
