package lambda

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"

	"edgerouter/internal/nowait"
	"edgerouter/wire"
)

// endpoint is where the API of one region is, and the connections to it. All
// functions of the region share them.
type endpoint struct {
	host string // Host field
	addr string // what is dialed
	base string // path before the API's own
	tls  *tls.Config

	mu     sync.Mutex
	idle   []*conn // the last one was used last
	users  int     // functions that are in service
	timer  *time.Timer
	opened uint64
}

// Times of connections. AWS closes idle ones after a minute or so.
const (
	dialTime  = 5 * time.Second
	idleTime  = 45 * time.Second
	idleLimit = 1024
)

// newEndpoint reads a URL such as https://lambda.eu-central-1.amazonaws.com.
func newEndpoint(u *url.URL, base *tls.Config) (*endpoint, error) {
	e := &endpoint{host: u.Host, addr: u.Host, base: u.EscapedPath()}
	if n := len(e.base); n > 0 && e.base[n-1] == '/' {
		e.base = e.base[:n-1]
	}
	port := "443"
	switch u.Scheme {
	case "https":
		e.tls = &tls.Config{}
		if base != nil {
			e.tls = base.Clone()
		}
		e.tls.ServerName = u.Hostname()
		e.tls.NextProtos = []string{"http/1.1"}
		if e.tls.MinVersion < tls.VersionTLS12 {
			e.tls.MinVersion = tls.VersionTLS12
		}
	case "http":
		port = "80"
	default:
		return nil, fmt.Errorf("the endpoint %s of the Lambda API is no http or https URL; look at AWS_ENDPOINT_URL_LAMBDA, AWS_ENDPOINT_URL and endpoint_url of the profile", u.Redacted())
	}
	if u.Port() == "" {
		e.addr = net.JoinHostPort(u.Hostname(), port)
	}
	return e, nil
}

// idleTrust is how long a kept connection is believed in without a look at it,
// where a mistake can be made good.
const idleTrust = time.Second

// take returns an idle connection, or nil. again: the request may be repeated.
func (e *endpoint) take(now int64, again bool) *conn {
	for {
		e.mu.Lock()
		n := len(e.idle)
		if n == 0 {
			e.mu.Unlock()
			return nil
		}
		c := e.idle[n-1]
		e.idle[n-1] = nil
		e.idle = e.idle[:n-1]
		e.mu.Unlock()
		switch age := time.Duration(now - c.idle); {
		case again && age < idleTrust, age < idleTime && !c.stale():
			return c
		}
		c.socket.Close()
	}
}

// put keeps a connection for another request.
func (e *endpoint) put(c *conn, now int64) {
	c.in.Release()
	c.used, c.idle = true, now
	e.mu.Lock()
	if e.users == 0 || len(e.idle) >= idleLimit {
		e.mu.Unlock()
		c.socket.Close()
		return
	}
	e.idle = append(e.idle, c)
	if e.timer == nil {
		e.timer = time.AfterFunc(idleTime, e.expire)
	}
	e.mu.Unlock()
}

// expire closes what has been idle for too long.
func (e *endpoint) expire() {
	now := wire.Now()
	e.mu.Lock()
	n := 0
	for n < len(e.idle) && now-e.idle[n].idle >= int64(idleTime) {
		n++
	}
	old := append([]*conn(nil), e.idle[:n]...)
	e.idle = append(e.idle[:0], e.idle[n:]...)
	if len(e.idle) > 0 {
		e.timer.Reset(idleTime)
	} else {
		e.timer = nil
	}
	e.mu.Unlock()
	for _, c := range old {
		c.socket.Close()
	}
}

// join and part count the functions that are in service; with the last one the
// idle connections go.
func (e *endpoint) join() {
	e.mu.Lock()
	e.users++
	e.mu.Unlock()
}

func (e *endpoint) part() {
	e.mu.Lock()
	var old []*conn
	if e.users--; e.users == 0 {
		old, e.idle = e.idle, nil
		if e.timer != nil {
			e.timer.Stop()
			e.timer = nil
		}
	}
	e.mu.Unlock()
	for _, c := range old {
		c.socket.Close()
	}
}

// dial opens a connection.
func (e *endpoint) dial(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", e.addr)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: nc, socket: nc}
	if tcp, ok := nc.(*net.TCPConn); ok {
		if c.raw, err = tcp.SyscallConn(); err == nil {
			nc, err = nowait.NewConn(tcp)
		}
		if err != nil {
			tcp.Close()
			return nil, err
		}
		c.Conn, c.socket = nc, nc
		c.look = c.lookAt
	}
	if e.tls != nil {
		t := tls.Client(nc, e.tls)
		if err := t.HandshakeContext(ctx); err != nil {
			nc.Close()
			return nil, err
		}
		c.Conn = t
	}
	c.in.Reset(c.Conn)
	e.mu.Lock()
	e.opened++
	e.mu.Unlock()
	return c, nil
}
