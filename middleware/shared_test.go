package middleware

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/metrics"
	"edgerouter/middleware/share"
)

// nodes are exchanges that hear one another, with the handlers of one application
// on each.
type nodes struct {
	exchanges []*share.Exchange
	handlers  []fasthttp.RequestHandler
	stop      []func()
}

func newNodes(t *testing.T, n int, build func(Deps) (Wrapper, error), next fasthttp.RequestHandler) *nodes {
	c := &nodes{}
	for range n {
		x := share.New(share.Options{
			Key: share.NewKey([16]byte{1}), Metrics: metrics.NewSet(), Logger: zerolog.Nop(),
			Publish: func(m []byte) error {
				for _, x := range c.exchanges {
					x.Receive(m)
				}
				return nil
			},
		})
		c.exchanges = append(c.exchanges, x)
		c.handlers = append(c.handlers, must(t)(build(Deps{App: "a", Share: x, Now: func() int64 { return time.Now().UnixNano() }}))(next))
	}
	for _, x := range c.exchanges {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); x.Run(ctx) }()
		c.stop = append(c.stop, func() { cancel(); <-done })
	}
	return c
}

func (c *nodes) end() {
	for _, stop := range c.stop {
		stop()
	}
	runtime.KeepAlive(c.handlers)
}

// TestRateLimitOfACluster: a client that asks three nodes gets what the limit
// says, once, and not from each.
func TestRateLimitOfACluster(t *testing.T) {
	for _, c := range []struct {
		opts  app.RateLimitOpts
		every time.Duration // between requests, which go to the nodes in turns
		run   time.Duration
		least int
		most  int
	}{
		{app.RateLimitOpts{Average: 20, Burst: 10}, time.Millisecond, time.Minute, 1140, 1260},
		{app.RateLimitOpts{Average: 100}, time.Millisecond, time.Minute, 5000, 6300},
		{app.RateLimitOpts{Average: 10, Period: app.Duration(time.Minute), Burst: 5}, 10 * time.Millisecond, 10 * time.Minute, 98, 116},
		// Below the limit nothing is refused.
		{app.RateLimitOpts{Average: 20, Burst: 10}, 60 * time.Millisecond, time.Minute, 1000, 1000},
	} {
		for _, by := range []string{"client_ip", "application", "header:X-Key"} {
			synctest.Test(t, func(t *testing.T) {
				c.opts.Per = by
				passed := 0
				cluster := newNodes(t, 3, func(d Deps) (Wrapper, error) { return NewRateLimit(c.opts, d) }, func(*fasthttp.RequestCtx) { passed++ })
				defer cluster.end()
				ctx := request("GET", "/", "X-Key: abc")
				from(ctx, "192.0.2.1")
				for i := range int(c.run / c.every) {
					ctx.Response.Reset()
					cluster.handlers[i%3](ctx)
					time.Sleep(c.every)
				}
				t.Logf("%+v: %d", c.opts, passed)
				if passed < c.least || passed > c.most {
					t.Errorf("%+v: %d requests in %v, want %d to %d", c.opts, passed, c.run, c.least, c.most)
				}
			})
		}
	}
}

// What a client got at one node is known at the others after a moment, and of
// other clients and other limits they learn nothing.
func TestRateLimitIsHeardOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := app.RateLimitOpts{Average: 1, Period: app.Duration(time.Hour), Burst: 3}
		cluster := newNodes(t, 2, func(d Deps) (Wrapper, error) { return NewRateLimit(opts, d) }, func(*fasthttp.RequestCtx) {})
		defer cluster.end()
		opts.Burst = 4
		other := must(t)(NewRateLimit(opts, Deps{App: "a", Share: cluster.exchanges[1]}))(func(*fasthttp.RequestCtx) {})
		ask := func(h fasthttp.RequestHandler, ip string) bool {
			ctx := request("GET", "/")
			from(ctx, ip)
			h(ctx)
			return !limited(ctx)
		}
		for range 3 {
			if !ask(cluster.handlers[0], "2001:db8::1") {
				t.Fatal("limited at once")
			}
		}
		time.Sleep(time.Second)
		if ask(cluster.handlers[1], "2001:db8::2") {
			t.Error("the other node does not know after a second")
		}
		if !ask(cluster.handlers[1], "2001:db8:0:1::") || !ask(cluster.handlers[1], "192.0.2.1") || !ask(other, "2001:db8::1") {
			t.Error("others are limited too")
		}
	})
}

func TestInFlightOfACluster(t *testing.T) {
	for _, by := range []string{"client_ip", "application", "header:X-Key"} {
		synctest.Test(t, func(t *testing.T) {
			leave := make(chan struct{})
			var hold atomic.Bool
			cluster := newNodes(t, 3, func(d Deps) (Wrapper, error) { return NewInFlight(app.InFlightOpts{Amount: 5, Per: by}, d) },
				func(*fasthttp.RequestCtx) {
					if hold.Load() {
						<-leave
					}
				})
			defer cluster.end()
			ask := func(i int) (in bool) {
				ctx := request("GET", "/", "X-Key: abc")
				cluster.handlers[i](ctx)
				return !limited(ctx)
			}
			hold.Store(true)
			for i := range 5 {
				go ask(i % 2)
			}
			time.Sleep(time.Second)
			hold.Store(false)
			for i := range 3 {
				if ask(i) {
					t.Errorf("per %s: node %d lets in a sixth", by, i)
				}
			}
			leave <- struct{}{}
			time.Sleep(time.Second)
			for i := range 3 {
				if !ask(i) {
					t.Errorf("per %s: node %d does not let in a fifth", by, i)
				}
			}
			hold.Store(true)
			go ask(2)
			time.Sleep(time.Second)
			hold.Store(false)
			if ask(0) || ask(1) {
				t.Errorf("per %s: more than five", by)
			}
			// A node that is gone gives its share back.
			cluster.stop[2]()
			cluster.stop[2] = func() {}
			synctest.Wait()
			if !ask(0) || !ask(1) {
				t.Errorf("per %s: a node that is gone keeps its share", by)
			}
			close(leave)
		})
	}
}

func TestCharge(t *testing.T) {
	r := newRate(10, int64(time.Second), 5) // 100 ms for a token, 500 ms for a bucket
	now := int64(1_800_000_000_000_000_000)
	ms := int64(time.Millisecond)
	for _, c := range []struct{ ahead, n, want int64 }{
		{-1e18, 1, 100}, {0, 1, 100}, {300, 2, 500}, {500, 5, 1000}, {0, 1000, 6000}, {0, 1 << 30, 6000}, {5950, 1, 6000}, {7000, 1, 7000},
	} {
		if got := (r.charge(now+c.ahead*ms, now, c.n) - now) / ms; c.ahead > -1e18 && got != c.want {
			t.Errorf("%d tokens out of a bucket that is full in %d ms: in %d ms, want %d", c.n, c.ahead, got, c.want)
		}
	}
	if got := (r.charge(0, now, 1) - now) / ms; got != 100 {
		t.Errorf("a fresh bucket: %d", got)
	}
	slow := newRate(1e-9, int64(time.Hour), 1<<40)
	if got := slow.charge(now, now, 1<<30); got < now {
		t.Errorf("it runs over: %d", got)
	}
}

func TestSharedLimitsAllocateNothing(t *testing.T) {
	x := share.New(share.Options{Key: share.NewKey([16]byte{1}), Metrics: metrics.NewSet(), Logger: zerolog.Nop()})
	for _, by := range []string{"client_ip", "application", "header:X-Key"} {
		deps := Deps{App: "a", Share: x}
		rate := must(t)(NewRateLimit(app.RateLimitOpts{Average: 1e9, Burst: 1e6, Per: by}, deps))
		h := must(t)(NewInFlight(app.InFlightOpts{Amount: 1, Per: by}, deps))(rate(func(*fasthttp.RequestCtx) {}))
		ctx := request("GET", "/", "X-Key: abc")
		h(ctx)
		allocates(t, 0, func() { h(ctx) })
		if limited(ctx) {
			t.Errorf("per %s: limited", by)
		}
	}
}

// BenchmarkRateLimit tells what counting together costs a request.
func BenchmarkRateLimit(b *testing.B) {
	x := share.New(share.Options{Key: share.NewKey([16]byte{1}), Metrics: metrics.NewSet(), Logger: zerolog.Nop()})
	for name, with := range map[string]*share.Exchange{"alone": nil, "shared": x} {
		b.Run(name, func(b *testing.B) {
			w, err := NewRateLimit(app.RateLimitOpts{Average: 1e9, Burst: 1e6}, Deps{App: "a", Share: with})
			if err != nil {
				b.Fatal(err)
			}
			h := w(func(*fasthttp.RequestCtx) {})
			ctx := request("GET", "/")
			b.ReportAllocs()
			for b.Loop() {
				h(ctx)
			}
		})
	}
}

// Many tokens of many clients are told in full, also when clients are forgotten in
// between, and what is kept for that is bounded.
func TestTimesTell(t *testing.T) {
	list := times{told: true}
	r, now := newRate(1e6, int64(time.Second), 1e6), time.Now().UnixNano()
	for range 3 {
		for key := range uint64(1000) {
			list.take(key, r, now)
		}
	}
	got := map[uint64]int64{}
	tell := func(key uint64, n int64) { got[key] += n }
	list.tell(tell)
	for key := range uint64(1000) {
		if got[key] != 3 {
			t.Fatalf("%d: %d tokens", key, got[key])
		}
	}
	clear(got)
	list.tell(tell)
	if len(got) != 0 {
		t.Errorf("told twice: %v", got)
	}
	for key := range uint64(500_000) {
		list.take(key, r, now)
	}
	for i := range list.parts {
		if n := len(list.parts[i].untold); n > maxUntold {
			t.Errorf("%d keys are to be told", n)
		}
	}
	list.tell(tell)
	for key, n := range got {
		if n != 1 {
			t.Errorf("%d: %d tokens", key, n)
		}
	}
	for i := range list.parts {
		if n := cap(list.parts[i].untold); n > maxKept {
			t.Errorf("room for %d keys is kept", n)
		}
	}
}
