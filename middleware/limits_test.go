package middleware

import (
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
)

// hand is a clock that a test moves.
type hand struct{ now int64 }

func (h *hand) read() int64                 { return h.now }
func (h *hand) pass(d time.Duration)        { h.now += int64(d) }
func newHand() *hand                        { return &hand{now: 1_800_000_000_000_000_000} }
func (h *hand) deps() Deps                  { return Deps{Now: h.read} }
func limited(ctx *fasthttp.RequestCtx) bool { return ctx.Response.StatusCode() == 429 }

func TestRateLimit(t *testing.T) {
	clock := newHand()
	w := must(t)(NewRateLimit(app.RateLimitOpts{Average: 2, Burst: 3}, clock.deps()))
	ask := func(ip string) *fasthttp.RequestCtx {
		ctx := request("GET", "/")
		from(ctx, ip)
		w(func(*fasthttp.RequestCtx) {})(ctx)
		return ctx
	}
	steps := []struct {
		after time.Duration
		ip    string
		retry string // Retry-After; "" when it passes
	}{
		{0, "192.0.2.1", ""}, {0, "192.0.2.1", ""}, {0, "192.0.2.1", ""}, {0, "192.0.2.1", "1"},
		{0, "192.0.2.2", ""}, // another client
		{499 * time.Millisecond, "192.0.2.1", "1"},
		{time.Millisecond, "192.0.2.1", ""}, {0, "192.0.2.1", "1"},
		{time.Hour, "192.0.2.1", ""}, {0, "192.0.2.1", ""}, {0, "192.0.2.1", ""}, {0, "192.0.2.1", "1"},
		// IPv6 clients have a /64.
		{0, "2001:db8::1", ""}, {0, "2001:db8::2", ""}, {0, "2001:db8::3", ""}, {0, "2001:db8::4", "1"},
		{0, "2001:db8:0:1::1", ""},
		{0, "::ffff:192.0.2.1", "1"},
	}
	for i, s := range steps {
		clock.pass(s.after)
		ctx := ask(s.ip)
		if got := string(ctx.Response.Header.Peek("Retry-After")); got != s.retry || limited(ctx) != (s.retry != "") {
			t.Errorf("step %d (%+v): status %d, Retry-After %q", i, s, ctx.Response.StatusCode(), got)
		}
	}
}

// TestRateLimitOverTime counts what passes in a long run: the average, plus the
// burst, and not one more.
func TestRateLimitOverTime(t *testing.T) {
	for _, c := range []struct {
		opts app.RateLimitOpts
		run  time.Duration
		want int
	}{
		{app.RateLimitOpts{Average: 10}, 100 * time.Second, 1000},
		{app.RateLimitOpts{Average: 100, Burst: 50}, 100 * time.Second, 10049},
		{app.RateLimitOpts{Average: 3, Burst: 1}, 100 * time.Second, 300},
		{app.RateLimitOpts{Average: 1, Period: app.Duration(time.Minute), Burst: 2}, time.Hour, 61},
		{app.RateLimitOpts{Average: 0.5, Period: app.Duration(time.Hour)}, 100 * time.Hour, 50},
		{app.RateLimitOpts{Average: 1e9}, 10 * time.Second, 10000},
		{app.RateLimitOpts{Average: math.Inf(1)}, 10 * time.Second, 10000},
		{app.RateLimitOpts{Average: 1e-6, Period: app.Duration(10 * 365 * 24 * time.Hour), Burst: math.MaxInt}, time.Second, 1},
	} {
		for _, by := range []string{"", "application", "header:X-Key"} {
			clock := newHand()
			c.opts.Per = by
			w := must(t)(NewRateLimit(c.opts, clock.deps()))
			ctx, s := request("GET", "/"), &spy{}
			step := max(c.run/100_000, time.Millisecond)
			h := w(s.serve)
			for left := c.run; left > 0; left -= step {
				ctx.Response.Reset()
				h(ctx)
				clock.pass(step)
			}
			if s.asked < c.want-1 || s.asked > c.want+1 {
				t.Errorf("%+v: %d requests in %v, want %d", c.opts, s.asked, c.run, c.want)
			}
		}
	}
}

func TestRateLimitPer(t *testing.T) {
	for _, c := range []struct {
		per  string
		want string // what becomes of requests by client 1, 2, 1 with key a, b, a, none, none
	}{
		{"client_ip", "..x ...xx"},
		{"application", ".xx xxxxx"},
		{"header:X-Key", ".xx x.xxx"},
	} {
		clock := newHand()
		w := must(t)(NewRateLimit(app.RateLimitOpts{Average: 1, Per: c.per}, clock.deps()))
		got := ""
		ask := func(ip, key string) {
			ctx := request("GET", "/")
			from(ctx, ip)
			if key != "" {
				ctx.Request.Header.Set("x-key", key)
			}
			w(func(*fasthttp.RequestCtx) {})(ctx)
			if limited(ctx) {
				got += "x"
			} else {
				got += "."
			}
		}
		ask("192.0.2.1", "")
		ask("192.0.2.2", "")
		ask("192.0.2.1", "")
		got += " "
		switch c.per {
		case "client_ip":
			ask("192.0.2.3", "a")
			ask("192.0.2.4", "a")
			ask("192.0.2.5", "a")
			ask("192.0.2.3", "b")
			ask("192.0.2.4", "b")
		default:
			ask("192.0.2.3", "")
			ask("192.0.2.3", "b")
			ask("192.0.2.4", "b")
			ask("192.0.2.5", "b")
			ask("192.0.2.6", "")
		}
		if got != c.want {
			t.Errorf("per %s: %q, want %q", c.per, got, c.want)
		}
	}
}

func TestRateLimitErrors(t *testing.T) {
	for _, c := range []struct {
		opts app.RateLimitOpts
		want string
	}{
		{app.RateLimitOpts{}, "rate_limit_opts.average: 0 is not above 0"},
		{app.RateLimitOpts{Average: -1}, "rate_limit_opts.average"},
		{app.RateLimitOpts{Average: math.NaN()}, "rate_limit_opts.average"},
		{app.RateLimitOpts{Average: 1, Period: -1}, "rate_limit_opts.period"},
		{app.RateLimitOpts{Average: 1, Burst: -1}, "rate_limit_opts.burst"},
		{app.RateLimitOpts{Average: 1, Per: "ip"}, `rate_limit_opts.per: "ip" is none of`},
		{app.RateLimitOpts{Average: 1, Per: "header:"}, "rate_limit_opts.per"},
		{app.RateLimitOpts{Average: 1, Per: "header:a b"}, "rate_limit_opts.per"},
	} {
		_, err := NewRateLimit(c.opts, Deps{})
		refused(t, err, c.want)
	}
}

// TestTimesAreBounded floods the table and looks at what is left of it.
func TestTimesAreBounded(t *testing.T) {
	var list times
	r, now := newRate(1, int64(time.Second), 1), newHand().now
	busy := uint64(7 << 4)
	if list.take(busy, r, now) != 0 {
		t.Fatal("the first request does not pass")
	}
	for i := range uint64(1_000_000) {
		list.take(i*2654435761, r, now)
		if i%1000 == 0 && list.take(busy, r, now) == 0 {
			t.Fatalf("one that comes all the time is forgotten after %d others", i)
		}
	}
	n := 0
	for i := range list.parts {
		n += len(list.parts[i].young) + len(list.parts[i].old)
	}
	if n > 2*16*generation {
		t.Errorf("%d entries", n)
	}
}

func TestRateLimitAllocatesNothing(t *testing.T) {
	for _, by := range []string{"client_ip", "application", "header:X-Key"} {
		t.Run(by, func(t *testing.T) {
			h := must(t)(NewRateLimit(app.RateLimitOpts{Average: 1e9, Burst: 1e6, Per: by}, Deps{}))(func(*fasthttp.RequestCtx) {})
			ctx := request("GET", "/", "X-Key: abc")
			allocates(t, 0, func() { h(ctx) })
			if limited(ctx) {
				t.Error("limited")
			}
		})
	}
}

func TestInFlight(t *testing.T) {
	for _, c := range []struct {
		per   string
		same  bool // a request of another client is counted with the first
		other bool
	}{{"client_ip", true, false}, {"application", true, true}, {"header:X-Key", true, true}} {
		w := must(t)(NewInFlight(app.InFlightOpts{Amount: 2, Per: c.per}, Deps{}))
		inside, leave, done := make(chan struct{}), make(chan struct{}), sync.WaitGroup{}
		h := w(func(*fasthttp.RequestCtx) { inside <- struct{}{}; <-leave })
		for range 2 {
			done.Go(func() { h(request("GET", "/")) })
			<-inside
		}
		quick := w(func(*fasthttp.RequestCtx) {})
		same, other := request("GET", "/"), request("GET", "/")
		from(other, "192.0.2.99")
		quick(same)
		quick(other)
		if limited(same) != c.same || limited(other) != c.other {
			t.Errorf("per %s: limited %v and %v", c.per, limited(same), limited(other))
		}
		if got := string(same.Response.Header.Peek("Retry-After")); got != "1" {
			t.Errorf("Retry-After %q", got)
		}
		leave <- struct{}{}
		eventually(t, "one has left", func() bool {
			ctx := request("GET", "/")
			quick(ctx)
			return !limited(ctx)
		})
		close(leave)
		done.Wait()
	}
}

// TestInFlightStream: a stream is in flight until it is closed, a panic is not.
func TestInFlightStream(t *testing.T) {
	w := must(t)(NewInFlight(app.InFlightOpts{Amount: 1}, Deps{}))
	body := &closingStream{Reader: strings.NewReader("body")}
	first := request("GET", "/")
	w(func(ctx *fasthttp.RequestCtx) {
		ctx.Response.Header.Set("X-Kept", "yes")
		ctx.SetStatusCode(206)
		ctx.Response.SetBodyStream(body, 4)
	})(first)
	blocked := func() bool {
		ctx := request("GET", "/")
		w(func(*fasthttp.RequestCtx) {})(ctx)
		return limited(ctx)
	}
	if !blocked() || body.closed != 0 {
		t.Fatalf("blocked %v, closed %d times", blocked(), body.closed)
	}
	if n := first.Response.Header.ContentLength(); n != 4 || first.Response.StatusCode() != 206 || string(first.Response.Header.Peek("X-Kept")) != "yes" {
		t.Errorf("the head is %v", first.Response.Header.String())
	}
	first.Response.CloseBodyStream()
	if blocked() || body.closed != 1 {
		t.Errorf("blocked %v, closed %d times", blocked(), body.closed)
	}
	first.Response.Reset()
	if body.closed != 1 {
		t.Errorf("closed %d times", body.closed)
	}
	func() {
		defer func() { recover() }()
		w(func(*fasthttp.RequestCtx) { panic("no") })(request("GET", "/"))
	}()
	if blocked() {
		t.Error("a panic keeps its place")
	}
}

func TestInFlightForgets(t *testing.T) {
	f := &inFlight{most: 1}
	for i := range uint64(1000) {
		if !f.enter(i) || f.enter(i) {
			t.Fatal("more or less than one")
		}
		f.leave(i)
	}
	for i := range f.parts {
		if n := len(f.parts[i].counts); n > 0 {
			t.Errorf("%d entries are left", n)
		}
	}
	for _, c := range []struct {
		opts app.InFlightOpts
		want string
	}{
		{app.InFlightOpts{}, "in_flight_opts.amount: 0 is below 1"},
		{app.InFlightOpts{Amount: 1, Per: "x"}, "in_flight_opts.per"},
	} {
		_, err := NewInFlight(c.opts, Deps{})
		refused(t, err, c.want)
	}
}

func TestInFlightAllocatesNothing(t *testing.T) {
	for _, by := range []string{"client_ip", "application", "header:X-Key"} {
		t.Run(by, func(t *testing.T) {
			h := must(t)(NewInFlight(app.InFlightOpts{Amount: 1, Per: by}, Deps{}))(func(*fasthttp.RequestCtx) {})
			ctx := request("GET", "/", "X-Key: abc")
			allocates(t, 0, func() { h(ctx) })
			if limited(ctx) {
				t.Error("limited")
			}
		})
	}
}

// TestLimitsAtOnce has many goroutines at the same bucket and places.
func TestLimitsAtOnce(t *testing.T) {
	for _, by := range []string{"client_ip", "application"} {
		clock := newHand()
		rate := must(t)(NewRateLimit(app.RateLimitOpts{Average: 1, Burst: 50, Per: by}, clock.deps()))
		places := must(t)(NewInFlight(app.InFlightOpts{Amount: 3, Per: by}, Deps{}))
		var mu sync.Mutex
		passed, inside, most := 0, 0, 0
		h := places(func(*fasthttp.RequestCtx) {
			mu.Lock()
			inside++
			most = max(most, inside)
			mu.Unlock()
			mu.Lock()
			inside--
			mu.Unlock()
		})
		counted := rate(func(*fasthttp.RequestCtx) {
			mu.Lock()
			passed++
			mu.Unlock()
		})
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 100 {
					h(request("GET", "/"))
					counted(request("GET", "/"))
				}
			})
		}
		all.Wait()
		if passed != 50 || most > 3 {
			t.Errorf("per %s: %d passed, %d at one time", by, passed, most)
		}
	}
}

func ExampleChain() {
	tell := func(name string) Wrapper {
		return func(next fasthttp.RequestHandler) fasthttp.RequestHandler {
			return func(ctx *fasthttp.RequestCtx) { fmt.Print(name, " "); next(ctx) }
		}
	}
	Chain(tell("first"), tell("second"))(func(*fasthttp.RequestCtx) { fmt.Println("backend") })(nil)
	Chain()(func(*fasthttp.RequestCtx) { fmt.Println("backend") })(nil)
	// Output:
	// first second backend
	// backend
}
