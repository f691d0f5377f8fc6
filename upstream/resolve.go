package upstream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// resolver is the part of net.Resolver that is used.
type resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// resolveInterval is how often names are looked up again. Go's resolver does
// not tell a record's TTL, so this stands in for it.
const resolveInterval = 30 * time.Second

// lookupTimeout bounds one look-up.
const lookupTimeout = 5 * time.Second

// targets are the IP addresses that one peer's connections go to. A name with
// several addresses is one peer: dials take them in turn, IPv4 and IPv6 alike,
// and go on to the next when one does not connect.
type targets struct {
	host  string
	port  uint16
	fixed bool                      // host is an IP address: there is nothing to look up
	list  atomic.Pointer[[]*target] // nil until the first look-up
	next  atomic.Uint64
	moved func()        // may be nil: told when connect found other addresses
	again atomic.Int64  // unix nanoseconds; not before this does a refusal make connect look the name up
	first chan struct{} // holds one token: whoever takes it does the first look-up
}

// target is one IP address. One that did not connect is tried last for a
// while, so that a dead one does not cost every nth dial a time-out.
type target struct {
	ip       netip.Addr
	dial     string
	badUntil atomic.Int64 // unix nanoseconds
}

// badFor is how long a target that did not connect is tried last.
const badFor = 10 * time.Second

func newTargets(a address) *targets {
	t := &targets{host: a.Host, port: a.Port, fixed: a.IP.IsValid(), first: make(chan struct{}, 1)}
	t.first <- struct{}{}
	if t.fixed {
		t.set([]netip.Addr{a.IP})
	}
	return t
}

// set makes ips the addresses and tells whether they are others than before.
// One that stays keeps what is known of it.
func (t *targets) set(ips []netip.Addr) (changed bool) {
	ips = slices.Clone(ips)
	for i := range ips {
		ips[i] = ips[i].Unmap()
	}
	slices.SortFunc(ips, netip.Addr.Compare)
	ips = slices.Compact(ips)
	var old []*target
	if l := t.list.Load(); l != nil {
		old = *l
	}
	if slices.EqualFunc(ips, old, func(ip netip.Addr, o *target) bool { return o.ip == ip }) {
		return false
	}
	fresh := make([]*target, len(ips))
	for i, ip := range ips {
		if k := slices.IndexFunc(old, func(o *target) bool { return o.ip == ip }); k >= 0 {
			fresh[i] = old[k]
			continue
		}
		fresh[i] = &target{ip: ip, dial: netip.AddrPortFrom(ip, t.port).String()}
	}
	t.list.Store(&fresh)
	return true
}

// ips are the present addresses, sorted; none before the first look-up.
func (t *targets) ips() []netip.Addr {
	l := t.list.Load()
	if l == nil {
		return nil
	}
	ips := make([]netip.Addr, len(*l))
	for i, o := range *l {
		ips[i] = o.ip
	}
	return ips
}

// lookup asks r and stores what it says. No addresses count as an error.
func (t *targets) lookup(ctx context.Context, r resolver) (changed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	ips, err := r.LookupNetIP(ctx, "ip", t.host)
	if err == nil && len(ips) == 0 {
		err = errors.New("the name has no address")
	}
	if err != nil {
		return false, fmt.Errorf("looking up %s (a host in addrs): %w", t.host, err)
	}
	return t.set(ips), nil
}

// dialer opens connections to peers.
type dialer struct {
	resolver resolver
	// dial is net.Dialer.DialContext, or a test's.
	dial func(ctx context.Context, network, address string) (net.Conn, error)
	now  func() time.Time
}

// newDialer uses the system's resolver and network.
func newDialer() *dialer {
	return &dialer{resolver: net.DefaultResolver, dial: (&net.Dialer{}).DialContext, now: time.Now}
}

// connect opens a connection to t within timeout, the first look-up of the
// name included. Every address is tried until one connects; each gets its
// share of the time that is left. The error is of the last one.
func (d *dialer) connect(ctx context.Context, t *targets, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if t.list.Load() == nil {
		if err := d.resolveFirst(ctx, t); err != nil {
			return nil, err
		}
	}
	conn, err := d.connectTo(ctx, *t.list.Load(), t)
	if err == nil || !unreachable(err) || !t.mayLookAgain(d.now().UnixNano()) {
		return conn, err
	}
	// A container that was replaced has another address.
	changed, failed := t.lookup(ctx, d.resolver)
	if failed != nil || !changed {
		return nil, err
	}
	if t.moved != nil {
		t.moved()
	}
	return d.connectTo(ctx, *t.list.Load(), t)
}

// unreachable says whether nobody listens at an address, or nobody is there.
func unreachable(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH)
}

// lookAgain is how often refusals make one name be looked up, at most.
const lookAgain = time.Second

// mayLookAgain says whether a refusal may look the name up, and has it to itself then.
func (t *targets) mayLookAgain(now int64) bool {
	if t.fixed {
		return false
	}
	before := t.again.Load()
	return now >= before && t.again.CompareAndSwap(before, now+int64(lookAgain))
}

// connectTo is connect without the look-ups.
func (d *dialer) connectTo(ctx context.Context, list []*target, t *targets) (net.Conn, error) {
	if len(list) == 1 {
		return d.dial(ctx, "tcp", list[0].dial)
	}
	start := int(t.next.Add(1) % uint64(len(list)))
	now := d.now().UnixNano()
	order := make([]*target, 0, len(list))
	for _, bad := range []bool{false, true} {
		for i := range list {
			if o := list[(start+i)%len(list)]; (now < o.badUntil.Load()) == bad {
				order = append(order, o)
			}
		}
	}
	var err error
	for i, o := range order {
		var conn net.Conn
		if conn, err = d.share(ctx, o, len(order)-i); err == nil {
			o.badUntil.Store(0)
			return conn, nil
		}
		if ctx.Err() != nil {
			break
		}
		o.badUntil.Store(d.now().Add(badFor).UnixNano())
	}
	return nil, err
}

// share dials o with one part in left of the time that ctx has.
func (d *dialer) share(ctx context.Context, o *target, left int) (net.Conn, error) {
	if end, ok := ctx.Deadline(); ok && left > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/time.Duration(left))
		defer cancel()
	}
	return d.dial(ctx, "tcp", o.dial)
}

// resolveFirst looks the name up unless another caller has just done it. It
// runs on the first dial, so that an application that nobody asks for costs no
// look-up at the start.
func (d *dialer) resolveFirst(ctx context.Context, t *targets) error {
	select {
	case <-t.first:
	case <-ctx.Done():
		return fmt.Errorf("looking up %s (a host in addrs): %w", t.host, ctx.Err())
	}
	defer func() { t.first <- struct{}{} }()
	if t.list.Load() != nil {
		return nil
	}
	_, err := t.lookup(ctx, d.resolver)
	return err
}

// maxLookups is how many names of a set are looked up at the same time.
const maxLookups = 8

// runResolver looks the peers' names up again every interval (0: 30 s) until
// ctx ends. It is to be run in a goroutine, for sets of which a peer has a name.
//
// A name that cannot be looked up keeps the addresses it had. onChange gets the
// addresses of a peer whenever they are others than before: requests in flight
// go on, idle connections to the rest should be closed. onError gets failures.
// Both may be nil; they are called one at a time.
func runResolver(ctx context.Context, peers func() []*peer, r resolver, interval time.Duration,
	onChange func(p *peer, addrs []netip.Addr), onError func(p *peer, err error)) {
	interval = positive(interval, resolveInterval)
	// Many sets that are built at once do not ask at once.
	timer := time.NewTimer(time.Duration(rand.Int64N(int64(interval))) + 1)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		var tell sync.Mutex
		var lookups errgroup.Group
		lookups.SetLimit(maxLookups)
		for _, p := range peers() {
			if p.dials.fixed {
				continue
			}
			lookups.Go(func() error {
				changed, err := p.dials.lookup(ctx, r)
				tell.Lock()
				defer tell.Unlock()
				switch {
				case ctx.Err() != nil:
				case err != nil && onError != nil:
					onError(p, err)
				case changed && onChange != nil:
					onChange(p, p.dials.ips())
				}
				return nil
			})
		}
		_ = lookups.Wait()
		timer.Reset(interval)
	}
}
