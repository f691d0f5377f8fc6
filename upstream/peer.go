package upstream

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// address is one parsed entry of addrs. It is a plain value and never changes.
type address struct {
	Raw    string // as the operator wrote it; weights and logs use it
	Scheme string // http, https, h2c
	Host   string // lower case; a name, or an IP without brackets
	Port   uint16
	Dial   string // "host:port", brackets around IPv6
	// Authority is what the Host field says when the client's is not passed
	// on: without the port when it is the scheme's own (RFC 9110, 7.2).
	Authority string
	Path      string     // put before the request's path; "" or "/a/b", never with a slash at the end
	IP        netip.Addr // valid when Host is an IP: nothing to resolve then
	TLS       bool
	H2C       bool
}

// parseAddress reads "http://host[:port][/path]", likewise https and h2c.
// The error names the address and what is wrong with it.
func parseAddress(s string) (address, error) {
	bad := func(format string, args ...any) (address, error) {
		return address{}, fmt.Errorf("addrs: %q: %s", s, fmt.Sprintf(format, args...))
	}
	scheme, rest, found := strings.Cut(s, "://")
	if !found {
		return bad("no scheme: write http://, https:// or h2c:// before it")
	}
	a := address{Raw: s, Scheme: strings.ToLower(scheme)}
	switch a.Scheme {
	case "http":
		a.Port = 80
	case "https":
		a.Port, a.TLS = 443, true
	case "h2c":
		a.Port, a.H2C = 80, true
	default:
		return bad("scheme %q is none of http, https, h2c", scheme)
	}
	const plain = "has a space, a control character or a character beyond ASCII (write names in their A-label form, xn--...)"
	if !printable(rest) {
		return bad(plain)
	}
	u, err := url.Parse(a.Scheme + "://" + rest)
	if err != nil {
		var parse *url.Error
		if errors.As(err, &parse) {
			err = parse.Err
		}
		return bad("%v", err)
	}
	switch {
	case u.User != nil:
		return bad("has a user name; use headers_to_origin for credentials")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(rest, "#"):
		return bad("has a query or a fragment; only host, port and path are allowed")
	case u.Hostname() == "":
		return bad("has no host")
	case !printable(u.Hostname()): // percent escapes are decoded in it
		return bad(plain)
	}
	own := a.Port
	if port := u.Port(); port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return bad("port %q is not in 1-65535", port)
		}
		a.Port = uint16(n)
	} else if strings.HasSuffix(u.Host, ":") {
		return bad("has a colon without a port")
	}
	a.Host = strings.ToLower(u.Hostname())
	bare := a.Host
	if ip, err := netip.ParseAddr(a.Host); err == nil {
		a.IP = ip.Unmap()
		a.Host = a.IP.String()
		bare = a.IP.WithZone("").String()
	} else if strings.ContainsAny(a.Host, ":%[]") {
		return bad("%q is not an IP address", a.Host)
	}
	a.Dial = net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port)))
	if strings.Contains(bare, ":") {
		bare = "[" + bare + "]"
	}
	a.Authority = bare
	if a.Port != own {
		a.Authority += ":" + strconv.Itoa(int(a.Port))
	}
	a.Path = strings.TrimRight(u.EscapedPath(), "/")
	return a, nil
}

// printable tells whether s is ASCII without spaces and control characters.
func printable(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// parseAddresses reads addrs. An address that is given twice counts once.
func parseAddresses(addrs []string) ([]address, error) {
	list := make([]address, 0, len(addrs))
	known := make(map[string]bool, len(addrs))
	for _, s := range addrs {
		a, err := parseAddress(s)
		if err != nil {
			return nil, err
		}
		if !known[a.identity()] {
			known[a.identity()] = true
			list = append(list, a)
		}
	}
	return list, nil
}

// identity is the address in one spelling: what sticky values and hashing are
// made from, so that "http://A" and "http://a:80/" are the same peer.
func (a address) identity() string { return a.Scheme + "://" + a.Dial + a.Path }

// outcome says how a request to a peer ended.
type outcome uint8

const (
	outcomeOK       outcome = iota
	outcomeFailed           // the peer's fault: counts for passive health
	outcomeCanceled         // the client went away: says nothing about the peer
)

// What keeps a peer from new requests, in peer.flags.
const (
	flagDown     uint32 = 1 << iota // by active checks
	flagDraining                    // not of the set any more: nobody new gets in
	flagHeld                        // an operator drains it: its weight is 0
	flagJoining                     // new, and not known to be well yet: only for want of others
)

// peer is one address of a set. What is above the pads is written when it is
// built or its health changes; what is below is written by every request.
type peer struct {
	addr  address
	conns *pool
	dials *targets // where connections go; see resolve.go
	gate  *gate    // max_requests and its queue; nil: no limit

	key       uint64 // rendezvous hashing
	cookie    []byte // value of the sticky cookie
	setCookie []byte // value of the Set-Cookie field
	ejector   *ejector
	record    failureRecord
	adopted   bool      // a balancer has given it its weight, gate and cookie
	leftAt    time.Time // guarded by Set.mu

	weight       atomic.Int32  // 0 drains
	flags        atomic.Uint32 // flagDown, flagDraining, flagJoining
	ejectedUntil atomic.Int64  // unix nanoseconds; 0: not ejected
	probation    atomic.Int64  // unix nanoseconds; a success after it lowers the next ejection's length; 0: none to lower
	reason       atomic.Pointer[string]
	windowEnd    atomic.Int64 // of passive health, unix nanoseconds; see ejector.roll
	failing      atomic.Int32 // 1: the last request that ended failed
	canceled     atomic.Uint64
	ejections    atomic.Uint64
	returns      atomic.Uint64

	_        [64]byte
	inFlight atomic.Int64
	requests atomic.Uint64
	failures atomic.Uint64
	latency  atomic.Int64 // moving average of successful requests, nanoseconds
	_        [64]byte
}

// newPeer makes a peer of weight 1 that is up.
func newPeer(a address) *peer {
	p := &peer{addr: a, key: hashBytes([]byte(a.identity())), dials: newTargets(a)}
	p.weight.Store(1)
	return p
}

// begin counts a request that is handed to the peer; end must follow.
func (p *peer) begin() {
	p.inFlight.Add(1)
	p.requests.Add(1)
}

// latencyShare is how much of a new sample goes into the average: 1/8 follows
// a change within about twenty requests and shrugs off a single slow one.
const latencyShare = 8

// end is begin's counterpart. latencyNanos counts only when o is outcomeOK: a
// refused connection is quick, which says nothing good. now is unix nanoseconds.
func (p *peer) end(o outcome, latencyNanos int64, now int64) {
	if p.ejector != nil && now >= p.windowEnd.Load() {
		p.ejector.roll(p, now)
	}
	p.inFlight.Add(-1)
	switch o {
	case outcomeOK:
		if p.failing.Load() != 0 {
			p.failing.Store(0)
		}
		old := p.latency.Load()
		if old == 0 {
			old = latencyNanos
		}
		p.latency.Store(old + (latencyNanos-old)/latencyShare)
		if t := p.probation.Load(); t != 0 && now >= t {
			p.ejector.succeeded(p, now)
		}
	case outcomeCanceled:
		p.canceled.Add(1)
	case outcomeFailed:
		p.failures.Add(1)
		if p.ejector != nil {
			p.ejector.failed(p, now)
		}
	}
}

// ejected tells whether passive health keeps the peer out at now, and clears
// an ejection that is over so that later calls need no clock.
func (p *peer) ejected(now int64) bool {
	until := p.ejectedUntil.Load()
	if until == 0 {
		return false
	}
	if now < until {
		return true
	}
	p.comeBack(until)
	return false
}

// setDown takes the peer out because active checks failed.
func (p *peer) setDown(reason string) {
	p.reason.Store(&reason)
	p.flags.Or(flagDown)
}

// setUp puts the peer back. An ejection that stands from before is lifted: the
// checks have just seen it answer again, most likely as a new process.
func (p *peer) setUp() {
	if p.flags.And(^flagDown)&flagDown != 0 && p.ejector != nil {
		p.ejector.pardon(p)
	}
}

// setDraining takes the peer out for good, or back in.
func (p *peer) setDraining(on bool) { p.set(flagDraining, on) }

// setJoining makes the peer one that is asked only for want of others, or ends that.
func (p *peer) setJoining(on bool) { p.set(flagJoining, on) }

func (p *peer) set(flag uint32, on bool) {
	if on {
		p.flags.Or(flag)
	} else {
		p.flags.And(^flag)
	}
}

// PeerStatus is what the admin page and the API tell of a peer.
type PeerStatus struct {
	Addr         string     `json:"addr"`
	State        string     `json:"state" enum:"up,joining,down,ejected,draining"`
	Reason       string     `json:"reason,omitempty"`  // why it is down, ejected or drained
	Drained      bool       `json:"drained,omitempty"` // by an operator, on this node
	InFlight     int64      `json:"in_flight"`
	Weight       int        `json:"weight"`
	Requests     uint64     `json:"requests"` // since it was built
	Failures     uint64     `json:"failures"`
	Ejections    uint64     `json:"ejections,omitempty"` // by passive health
	Returns      uint64     `json:"returns,omitempty"`   // of those, that are over
	LatencyMS    float64    `json:"latency_ms"`          // moving average of successful requests
	EjectedUntil *time.Time `json:"ejected_until,omitempty"`
}

// The states of a peer in PeerStatus.
const (
	stateUp       = "up"
	stateJoining  = "joining" // new in a running set, and not known to be well yet
	stateDown     = "down"
	stateEjected  = "ejected"
	stateDraining = "draining"
)

// status is a snapshot; its numbers are read one by one. A peer that has left is
// draining whatever else it is; else down goes before draining (weight 0), that
// before ejected, and joining comes last.
func (p *peer) status(now time.Time) PeerStatus {
	s := PeerStatus{
		Addr:      p.addr.Raw,
		State:     stateUp,
		InFlight:  p.inFlight.Load(),
		Weight:    int(p.weight.Load()),
		Requests:  p.requests.Load(),
		Failures:  p.failures.Load(),
		Ejections: p.ejections.Load(),
		Returns:   p.returns.Load(),
		LatencyMS: float64(p.latency.Load()) / float64(time.Millisecond),
	}
	flags, until := p.flags.Load(), p.ejectedUntil.Load()
	s.Drained = flags&flagHeld != 0
	out := until > now.UnixNano()
	if out {
		t := time.Unix(0, until).UTC()
		s.EjectedUntil = &t
	}
	switch {
	case flags&flagDraining != 0:
		s.State = stateDraining
		return s
	case flags&flagDown != 0:
		s.State = stateDown
	case s.Weight == 0:
		s.State = stateDraining
		if flags&flagHeld != 0 {
			s.Reason = "an operator drains it"
		}
		return s
	case out:
		s.State = stateEjected
	case flags&flagJoining != 0:
		s.State = stateJoining
		return s
	default:
		return s
	}
	if r := p.reason.Load(); r != nil {
		s.Reason = *r
	}
	return s
}
