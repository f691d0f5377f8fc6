package auth

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"
)

func TestFailureLimit(t *testing.T) {
	f := NewFailures()
	c := f.client(f.Scope("app"), net.ParseIP("192.0.2.1"))
	now := f.at(f.start.Add(time.Minute))
	for i := range failureBurst {
		if w := f.wait(c, now); w != 0 {
			t.Fatalf("attempt %d has to wait %v", i+1, w)
		}
		f.failed(c, now)
	}
	if w := f.wait(c, now); w != failureInterval {
		t.Fatalf("after the burst the wait is %v, want %v", w, failureInterval)
	}
	now += uint32(failureInterval / tick)
	if w := f.wait(c, now); w != 0 {
		t.Fatalf("after an interval the wait is %v", w)
	}
	f.failed(c, now)
	if w := f.wait(c, now); w != failureInterval {
		t.Fatalf("one attempt for each interval: the wait is %v", w)
	}
	now += uint32(failureBurst * failureInterval / tick)
	for range failureBurst {
		if w := f.wait(c, now); w != 0 {
			t.Fatalf("after a rest the whole burst is there again, the wait is %v", w)
		}
		f.failed(c, now)
	}
}

func TestFailuresTellClientsApart(t *testing.T) {
	f := NewFailures()
	app := f.Scope("app")
	now := f.at(f.start.Add(time.Minute))
	lock := func(scope uint64, ip string) {
		for c := f.client(scope, net.ParseIP(ip)); f.wait(c, now) == 0; {
			f.failed(c, now)
		}
	}
	lock(app, "2001:db8:1:2::1")
	lock(app, "192.0.2.1")
	for _, c := range []struct {
		scope  uint64
		ip     string
		locked bool
	}{
		{app, "2001:db8:1:2::1", true},
		{app, "2001:db8:1:2:ffff:ffff:ffff:ffff", true},
		{app, "2001:db8:1:3::1", false},
		{app, "192.0.2.1", true},
		{app, "::ffff:192.0.2.1", true},
		{app, "192.0.2.2", false},
		{app, "c000:0201::", false}, // the bytes of 192.0.2.1
		{f.Scope("other"), "192.0.2.1", false},
	} {
		if locked := f.wait(f.client(c.scope, net.ParseIP(c.ip)), now) > 0; locked != c.locked {
			t.Errorf("%s: locked %v", c.ip, locked)
		}
	}
	// An address that is no IP address at all is one client as well.
	if c := f.client(app, nil); f.wait(c, now) != 0 {
		t.Error("no address: locked")
	}
}

// A flood of addresses must neither grow the table nor unlock the one that is
// failing all the while.
func TestFailuresFlood(t *testing.T) {
	f := NewFailures()
	scope := f.Scope("app")
	now := f.at(f.start.Add(time.Minute))
	bad := f.client(scope, net.ParseIP("192.0.2.1"))
	for f.wait(bad, now) == 0 {
		f.failed(bad, now)
	}
	for i := range 100_000 {
		ip := net.IPv4(10, byte(i>>16), byte(i>>8), byte(i))
		f.failed(f.client(scope, ip), now)
	}
	if f.wait(bad, now) == 0 {
		t.Error("addresses with one failure each pushed out the one with ten")
	}
}

func TestFailuresConcurrently(t *testing.T) {
	f := NewFailures()
	c := f.client(f.Scope("app"), net.ParseIP("192.0.2.1"))
	now := f.at(f.start.Add(time.Minute))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				f.failed(c, now)
			}
		})
	}
	wg.Wait()
	want := 8000*failureInterval - (failureBurst-1)*failureInterval
	if w := f.wait(c, now); w != want {
		t.Errorf("8000 failures: the wait is %v, want %v: some were lost", w, want)
	}
}

func TestTooManyFailures(t *testing.T) {
	// Time stands still: an interval later one attempt more would be forgiven.
	synctest.Test(t, testTooManyFailures)
}

func testTooManyFailures(t *testing.T) {
	handler := newV0(t, "good", func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("welcome") })
	try := func(ip, token string) *fasthttp.RequestCtx {
		ctx := request(ip, "Bearer "+token)
		handler(ctx)
		return ctx
	}
	status := func(ip, token string) int { return try(ip, token).Response.StatusCode() }

	// 192.0.2.2 has worked before it begins to fail, 192.0.2.1 has not.
	if code := status("192.0.2.2", "good"); code != 200 {
		t.Fatalf("good token: %d", code)
	}
	for _, ip := range []string{"192.0.2.1", "192.0.2.2"} {
		for i := range failureBurst {
			if code := status(ip, fmt.Sprint("bad", i)); code != 401 {
				t.Fatalf("%s attempt %d: status %d", ip, i+1, code)
			}
		}
		ctx := try(ip, "bad")
		if code := ctx.Response.StatusCode(); code != 429 {
			t.Fatalf("%s after %d failures: status %d", ip, failureBurst, code)
		}
		if got := string(ctx.Response.Header.Peek("Retry-After")); got != "1" {
			t.Errorf("Retry-After: %q", got)
		}
		if got, want := string(ctx.Response.Body()), "too many failed attempts from this address\nrequest id: req-1\n"; got != want {
			t.Errorf("body %q, want %q", got, want)
		}
	}
	if code := status("192.0.2.1", "good"); code != 429 {
		t.Errorf("a guess beyond the limit got %d: the limit would not slow down guessing", code)
	}
	if code := status("192.0.2.2", "good"); code != 200 {
		t.Errorf("an address that is known to be good got %d", code)
	}
	if code := status("192.0.2.3", "good"); code != 200 {
		t.Errorf("another address got %d", code)
	}
	if code := try("192.0.2.1", "").Response.StatusCode(); code != 429 {
		t.Errorf("an empty token beyond the limit got %d", code)
	}
	// No credentials are no attempt: a browser has to see the challenge.
	for range 2 * failureBurst {
		ctx := request("192.0.2.4", "")
		handler(ctx)
		if code := ctx.Response.StatusCode(); code != 401 {
			t.Fatalf("without credentials: %d", code)
		}
	}
}
