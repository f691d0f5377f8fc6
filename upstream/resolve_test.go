package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// fakeNet is a resolver and a network in one: names have addresses, addresses
// connect at once, refuse, or hang until the dial's time is over.
type fakeNet struct {
	mu      sync.Mutex
	names   map[string][]string
	err     error
	slow    time.Duration // of a look-up
	refuses map[string]bool
	hangs   map[string]bool
	lookups int
	dials   []string
}

func (f *fakeNet) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	f.mu.Lock()
	f.lookups++
	slow := f.slow
	f.mu.Unlock()
	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if network != "ip" {
		return nil, fmt.Errorf("network %q", network)
	}
	if f.err != nil {
		return nil, f.err
	}
	var ips []netip.Addr
	for _, s := range f.names[host] {
		ips = append(ips, netip.MustParseAddr(s))
	}
	return ips, nil
}

func (f *fakeNet) dial(ctx context.Context, network, address string) (net.Conn, error) {
	f.mu.Lock()
	f.dials = append(f.dials, address)
	refuses, hangs := f.refuses[address], f.hangs[address]
	f.mu.Unlock()
	switch {
	case network != "tcp":
		return nil, fmt.Errorf("network %q", network)
	case refuses:
		return nil, fmt.Errorf("dial %s: refused", address)
	case hangs:
		<-ctx.Done()
		return nil, fmt.Errorf("dial %s: %w", address, ctx.Err())
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	c, _ := net.Pipe()
	return c, nil
}

func (f *fakeNet) dialed() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := strings.Join(f.dials, " ")
	f.dials = nil
	return s
}

func (f *fakeNet) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lookups
}

func (f *fakeNet) set(host string, ips ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.names[host] = ips
}

func fake() (*fakeNet, *dialer) {
	f := &fakeNet{names: map[string][]string{}, refuses: map[string]bool{}, hangs: map[string]bool{}}
	return f, &dialer{resolver: f, dial: f.dial, now: time.Now}
}

func targetsOf(t *testing.T, addr string) *targets {
	t.Helper()
	return probePeer(t, addr).dials
}

func TestConnectToIP(t *testing.T) {
	f, d := fake()
	for addr, want := range map[string]string{"http://10.0.0.1": "10.0.0.1:80", "http://[::1]:9": "[::1]:9"} {
		c, err := d.connect(t.Context(), targetsOf(t, addr), time.Second)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		if got := f.dialed(); got != want || f.lookups != 0 {
			t.Errorf("%s: dialed %s, %d look-ups", addr, got, f.lookups)
		}
	}
}

func TestConnectRotates(t *testing.T) {
	f, d := fake()
	f.set("a", "10.0.0.2", "fd00::1", "10.0.0.1", "::ffff:10.0.0.1")
	p := targetsOf(t, "http://a:81")
	counts := map[string]int{}
	for range 30 {
		if _, err := d.connect(t.Context(), p, time.Second); err != nil {
			t.Fatal(err)
		}
		counts[f.dialed()]++
	}
	for _, want := range []string{"10.0.0.1:81", "10.0.0.2:81", "[fd00::1]:81"} {
		if counts[want] != 10 {
			t.Errorf("%v", counts)
		}
	}
	if f.lookups != 1 {
		t.Errorf("%d look-ups", f.lookups)
	}
}

func TestConnectFailsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, d := fake()
		f.set("a", "10.0.0.1", "10.0.0.2", "10.0.0.3")
		f.refuses["10.0.0.2:80"] = true
		p := targetsOf(t, "http://a")
		refused := 0
		for range 12 {
			if _, err := d.connect(t.Context(), p, time.Second); err != nil {
				t.Fatal(err)
			}
			refused += strings.Count(f.dialed(), "10.0.0.2:80")
		}
		if refused != 1 {
			t.Errorf("the one that refused was tried %d times within %s", refused, badFor)
		}
		time.Sleep(badFor)
		for range 3 {
			_, _ = d.connect(t.Context(), p, time.Second)
		}
		if !strings.Contains(f.dialed(), "10.0.0.2:80") {
			t.Error("it was never tried again")
		}
		// All bad: all are tried, and the error is of one of them.
		for _, ip := range []string{"10.0.0.1:80", "10.0.0.3:80"} {
			f.refuses[ip] = true
		}
		for range 2 {
			_, err := d.connect(t.Context(), p, time.Second)
			if got := f.dialed(); err == nil || !strings.Contains(err.Error(), "refused") || strings.Count(got, ":80") != 3 {
				t.Errorf("%v, dialed %s", err, got)
			}
		}
		// Back again: a success clears what was held against it.
		clear(f.refuses)
		for range 3 {
			if _, err := d.connect(t.Context(), p, time.Second); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestConnectSharesTime: addresses that hang leave time for the others.
func TestConnectSharesTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, d := fake()
		f.set("a", "10.0.0.1", "10.0.0.2", "10.0.0.3")
		f.hangs["10.0.0.1:80"], f.hangs["10.0.0.2:80"] = true, true
		p := targetsOf(t, "http://a")
		p.next.Store(2) // begin with 10.0.0.1
		begin := time.Now()
		_, err := d.connect(t.Context(), p, 3*time.Second)
		if took := time.Since(begin); err != nil || took != 2*time.Second {
			t.Errorf("%v after %s, %s", err, took, f.dialed())
		}
		f.hangs["10.0.0.3:80"] = true
		begin = time.Now()
		_, err = d.connect(t.Context(), p, 3*time.Second)
		if took := time.Since(begin); !errors.Is(err, context.DeadlineExceeded) || took != 3*time.Second {
			t.Errorf("%v after %s", err, took)
		}
	})
}

func TestConnectCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, d := fake()
		f.set("a", "10.0.0.1", "10.0.0.2")
		f.hangs["10.0.0.1:80"], f.hangs["10.0.0.2:80"] = true, true
		p := targetsOf(t, "http://a")
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		if _, err := d.connect(ctx, p, time.Minute); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		for _, o := range *p.list.Load() {
			if o.badUntil.Load() != 0 {
				t.Error("a caller that went away counts against the address")
			}
		}
		if got := f.dialed(); strings.Contains(got, " ") {
			t.Errorf("went on to another: %s", got)
		}
	})
}

func TestFirstLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, d := fake()
		f.set("a", "10.0.0.1")
		f.slow = time.Second
		p := targetsOf(t, "http://a")
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if _, err := d.connect(t.Context(), p, 3*time.Second); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if f.lookups != 1 {
			t.Errorf("%d look-ups for 10 dials at once", f.lookups)
		}
	})
}

func TestFirstLookupFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, d := fake()
		p := targetsOf(t, "http://no.such.host")
		_, err := d.connect(t.Context(), p, time.Second)
		if err == nil || !strings.Contains(err.Error(), "no.such.host") || !strings.Contains(err.Error(), "no address") {
			t.Errorf("%v", err)
		}
		f.slow = time.Hour
		begin := time.Now()
		var wg sync.WaitGroup
		for range 3 { // also those that wait for another's look-up
			wg.Go(func() {
				if _, err := d.connect(t.Context(), p, time.Second); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v", err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(begin); took != time.Second {
			t.Errorf("took %s", took)
		}
		f.slow = 0
		f.set("no.such.host", "10.0.0.1")
		if _, err := d.connect(t.Context(), p, time.Second); err != nil {
			t.Errorf("later: %v", err)
		}
	})
}

func TestResolvesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, d := fake()
		f.set("a", "10.0.0.1", "10.0.0.2")
		named, fixed := probePeer(t, "http://a"), probePeer(t, "http://10.9.9.9")
		if _, err := d.connect(t.Context(), named.dials, time.Second); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var events []string
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			runResolver(ctx, func() []*peer { return []*peer{fixed, named} }, f, 0,
				func(p *peer, ips []netip.Addr) { events = append(events, fmt.Sprint(p.addr.Host, ips)) },
				func(p *peer, err error) { events = append(events, "error "+p.addr.Host) })
		}()
		expect := func(want string) {
			t.Helper()
			time.Sleep(resolveInterval)
			synctest.Wait()
			if got := strings.Join(events, "; "); got != want {
				t.Errorf("%q, want %q", got, want)
			}
			events = nil
		}
		expect("") // looked up, nothing changed
		if f.lookups != 2 {
			t.Errorf("%d look-ups", f.lookups)
		}
		f.set("a", "10.0.0.2", "10.0.0.1") // only the order
		expect("")
		f.set("a", "10.0.0.3", "10.0.0.2")
		expect("a[10.0.0.2 10.0.0.3]")
		f.mu.Lock()
		f.err = errors.New("server failure")
		f.mu.Unlock()
		expect("error a")
		if got := fmt.Sprint(named.dials.ips()); got != "[10.0.0.2 10.0.0.3]" {
			t.Errorf("a failure took the addresses: %s", got)
		}
		f.mu.Lock()
		f.err = nil
		f.mu.Unlock()
		f.set("a") // no addresses is a failure as well
		expect("error a")
		f.set("a", "fd00::5")
		expect("a[fd00::5]")
		if _, err := d.connect(t.Context(), named.dials, time.Second); err != nil {
			t.Fatal(err)
		}
		if got := f.dialed(); !strings.HasSuffix(got, "[fd00::5]:80") {
			t.Errorf("dialed %s", got)
		}
		f.mu.Lock()
		f.slow = time.Hour // stopping does not wait for a look-up
		f.mu.Unlock()
		for before := f.count(); f.count() == before; {
			time.Sleep(100 * time.Millisecond)
		}
		cancel()
		<-ended
		if events != nil {
			t.Errorf("told after the end: %q", events)
		}
	})
}

// TestResolverFollows: a name that joins is looked up from then on.
func TestResolverFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := fake()
		f.set("a", "10.0.0.1")
		var peers atomic.Pointer[[]*peer]
		peers.Store(&[]*peer{probePeer(t, "http://10.9.9.9")})
		go runResolver(t.Context(), func() []*peer { return *peers.Load() }, f, 0, nil, nil)
		time.Sleep(2 * resolveInterval)
		if f.lookups != 0 {
			t.Errorf("%d look-ups without a name", f.lookups)
		}
		named := probePeer(t, "http://a")
		peers.Store(&[]*peer{named})
		time.Sleep(resolveInterval)
		synctest.Wait()
		if got := fmt.Sprint(named.dials.ips()); got != "[10.0.0.1]" {
			t.Error(got)
		}
	})
}

// TestTargetsKeepKnowledge: an address that stays keeps what is held against it.
func TestTargetsKeepKnowledge(t *testing.T) {
	p := targetsOf(t, "http://a")
	ips := func(s ...string) (l []netip.Addr) {
		for _, x := range s {
			l = append(l, netip.MustParseAddr(x))
		}
		return l
	}
	given := ips("10.0.0.2", "10.0.0.1")
	if !p.set(given) || p.set(ips("10.0.0.1", "10.0.0.2", "10.0.0.1")) {
		t.Error("changed?")
	}
	if given[0] != netip.MustParseAddr("10.0.0.2") {
		t.Error("the caller's slice was sorted")
	}
	(*p.list.Load())[1].badUntil.Store(77)
	p.set(ips("10.0.0.2", "10.0.0.3"))
	if l := *p.list.Load(); l[0].badUntil.Load() != 77 || l[1].badUntil.Load() != 0 {
		t.Error("forgotten")
	}
}

// TestLooksUpAfterRefusal: a name whose address changed is looked up again when a
// connection is refused, at once and once a second at most.
func TestLooksUpAfterRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ip := netip.MustParseAddr("10.0.0.1")
		lookups, moved := 0, 0
		d := &dialer{now: time.Now, resolver: lookupFunc(func() []netip.Addr { lookups++; return []netip.Addr{ip} }),
			dial: func(_ context.Context, _, address string) (net.Conn, error) {
				if address == "10.0.0.2:80" {
					return nil, nil
				}
				return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
			}}
		to := newTargets(address{Host: "a", Port: 80})
		to.moved = func() { moved++ }
		for range 10 {
			if _, err := d.connect(t.Context(), to, time.Second); err == nil {
				t.Fatal("connected")
			}
		}
		if lookups != 2 {
			t.Errorf("%d look-ups, want the first and one more", lookups)
		}
		ip = netip.MustParseAddr("10.0.0.2")
		time.Sleep(lookAgain)
		if _, err := d.connect(t.Context(), to, time.Second); err != nil || lookups != 3 || moved != 1 {
			t.Errorf("%v after %d look-ups, told %d times", err, lookups, moved)
		}
	})
}

type lookupFunc func() []netip.Addr

func (f lookupFunc) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return f(), nil
}
