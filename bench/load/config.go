package load

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Request is one request, ready to be written.
type Request struct {
	Head []byte // up to and with the empty line
	Body int64  // bytes of filling written after the head
}

// NewRequest builds a request for target (path and query) on host. fields are
// further header lines without their line ends.
func NewRequest(method, host, target string, body int64, fields ...string) Request {
	b := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: edgerouter-bench\r\nAccept: */*\r\n", method, target, host)
	if body > 0 {
		b = fmt.Appendf(b, "Content-Length: %d\r\n", body)
	}
	for _, f := range fields {
		b = append(append(b, f...), "\r\n"...)
	}
	return Request{Head: append(b, "\r\n"...), Body: body}
}

// Config is one run of the generator.
type Config struct {
	Target netip.AddrPort
	// TLS, when set, is used on every connection.
	TLS *tls.Config
	// Requests are sent in turn, each connection starting where the one before
	// it left off. At least one.
	Requests []Request
	// Status is what every response must have; 0 means 200.
	Status int
	// Length is what every body must have; -1 takes any.
	Length int64
	// Connections is how many are open at the same time; default 1.
	Connections int
	// Rate is requests per second, due at even distances whatever the answers
	// do. 0 is the closed loop: each connection sends as soon as it is answered.
	Rate float64
	// Churn opens a new connection for each request, which says Connection:
	// close: the request must carry that field (NewRequest's fields).
	Churn bool
	// From are local addresses to connect from, in turn; nil lets the system
	// choose. One source address has about 28,000 ports.
	From []netip.Addr
	// Warmup goes before the measured window and is not counted.
	Warmup time.Duration
	// Duration of the measured window; required.
	Duration time.Duration
	// MaxRequests ends the run early when the window has seen as many, failed ones
	// included; 0 no limit.
	MaxRequests int64
	// Hold changes what MaxRequests means: nothing more is sent after so many, and
	// the connections stay open and idle until the window ends.
	Hold bool
	// Spin keeps the loop awake through the run, so that latencies hold none of our
	// own wake-ups. It takes the whole core: nothing else should need it.
	Spin bool
	// Timeout of one request; default 10 s.
	Timeout time.Duration
	// OnStart and OnEnd run on the loop at the edges of the measured window: they
	// must be quick.
	OnStart, OnEnd func()
}

// Limits of one run: whatever is asked for, it ends.
const (
	MaxDuration    = time.Hour
	MaxConnections = 200_000
)

// ErrNotLoopback is returned for a target or a listener outside 127.0.0.0/8 and
// ::1: the generator is for measuring on one machine and refuses anything else.
var ErrNotLoopback = errors.New("only loopback addresses are allowed (127.0.0.0/8 or ::1)")

func checkLoopback(what string, addr netip.AddrPort) error {
	if !addr.IsValid() || !addr.Addr().Unmap().IsLoopback() {
		return fmt.Errorf("%s %s: %w", what, addr, ErrNotLoopback)
	}
	return nil
}

func (c *Config) check() error {
	if err := checkLoopback("target", c.Target); err != nil {
		return err
	}
	for _, a := range c.From {
		if err := checkLoopback("source", netip.AddrPortFrom(a, 1)); err != nil {
			return err
		}
	}
	if len(c.Requests) == 0 {
		return errors.New("load: no request to send")
	}
	if c.Duration <= 0 || c.Duration+c.Warmup > MaxDuration {
		return fmt.Errorf("load: duration %s (with a warm-up of %s): more than 0 and at most %s in all", c.Duration, c.Warmup, MaxDuration)
	}
	if c.Connections == 0 {
		c.Connections = 1
	}
	if c.Connections < 0 || c.Connections > MaxConnections {
		return fmt.Errorf("load: %d connections: between 1 and %d", c.Connections, MaxConnections)
	}
	if c.Rate < 0 || c.Rate > 10e6 {
		return fmt.Errorf("load: rate %g: between 0 and ten million a second", c.Rate)
	}
	if c.Hold && (c.MaxRequests <= 0 || c.Rate <= 0 || c.Churn) {
		return errors.New("load: Hold needs MaxRequests and a Rate, and kept connections")
	}
	if c.Status == 0 {
		c.Status = 200
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	return nil
}
