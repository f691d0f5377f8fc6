package server

import (
	"bytes"
	"net/netip"
	"strconv"
	"time"

	"edgerouter/router"
	"edgerouter/wire"
)

// handle tells one request's way: match, redirect, rules, handler, observe, log.
func (c *conn) handle() {
	s, x := c.srv, &c.x
	now := wire.Now()
	c.claim(now)
	c.requests++
	x.Begin(now)
	c.patience = bodyPatience(s.Limits.BodyTimeout)
	if s.draining.Load() {
		x.Close = true
	}
	c.dispatch()
	c.answer()
	if x.Body.Err() == wire.ErrBodyLimit {
		s.limited(limitBody, c.client)
	}

	end := x.Ended
	if end == 0 {
		end = wire.Now()
	}
	c.observe(end)
	c.received += uint64(x.Body.Total())
	c.sent += uint64(x.Sent)
	if c.requests%accountEvery == 0 {
		c.account()
	}
	c.idleFrom = end
	c.resetCtx()
}

// observe tells metrics and access log of the request.
func (c *conn) observe(end int64) {
	s, x := c.srv, &c.x
	observer, app := s.Unmatched, ""
	if c.entry != nil {
		observer, app = c.entry.Observer, c.entry.App
		c.entry = nil // it would keep a table that is no longer in service
	}
	observer.Observe(x.Head.Method, x.Status, time.Duration(end-x.Began))
	if s.AccessLog != nil {
		c.logAccess(app, end)
	}
}

// accountEvery is after how many requests a connection's bytes are added to the
// server's: counters that all cores write to are dear.
const accountEvery = 64

// account adds what the connection has counted to the server's figures.
func (c *conn) account() {
	c.srv.Stats.BytesReceived.Add(c.received)
	c.srv.Stats.BytesSent.Add(c.sent)
	c.received, c.sent = 0, 0
}

// dispatch finds the entry and lets its handler work.
func (c *conn) dispatch() {
	s, x := c.srv, &c.x
	secure := c.identify()
	c.secure = secure
	x.ClientIP = c.client
	if x.Head.Overrides && !s.AllowOverrides {
		s.limited(limitOverrides, c.client)
	}
	if !s.AllowTrace && len(x.Head.Method) == 5 && wire.EqualFold(x.Head.Method, "trace") {
		c.refuseTrace()
		return
	}
	path, err := c.matchPath()
	if err != nil {
		c.fail(400, err.Error())
		return
	}
	if s.MetricsPath != "" && c.tls == nil && string(path) == s.MetricsPath {
		c.serveMetrics()
		return
	}
	if s.Challenge != nil && c.tls == nil && bytes.HasPrefix(path, challengePath) && c.serveChallenge(path) {
		return
	}
	entry := s.Lookup(x.Head.Host, path, c)
	if entry == nil {
		c.fail(404, "no website for hostname: "+string(hostOnly(x.Head.Host)))
		return
	}
	if entry == router.Ambiguous {
		c.fail(400, "servers read this path in different ways, which lead to different applications")
		return
	}
	c.entry = entry
	if s.Admit != nil {
		if denial := s.Admit(c.client, entry.App); denial != "" {
			c.fail(403, "your IP ("+addressText(c.client)+") is not allowed ("+denial+")")
			return
		}
	}
	if !secure && !entry.AllowPlain {
		c.redirectToTLS()
		return
	}
	if !entry.LimitsBody && s.Limits.Body > 0 {
		if x.Head.Length > s.Limits.Body {
			s.limited(limitBody, c.client)
			c.fail(413, wire.ErrBodyLimit.Reason)
			return
		}
		x.Body.Limit(s.Limits.Body, wire.ErrBodyLimit)
	}
	prefix := ""
	if entry.StripPrefix != "" {
		stripped, ok := router.StripPrefix(c.target[:0], x.Head.Target, entry.StripPrefix)
		if ok {
			x.Target, prefix = stripped, entry.StripPrefix
			if !sameMemory(stripped, x.Head.Target) {
				c.target = stripped
			}
		}
	}
	c.forwardLines(secure, prefix)
	ctx := c.context()
	if !entry.Direct {
		c.fill()
	}
	entry.Handler(ctx)
}

// sameMemory tells whether two slices are parts of one array, as long as neither
// was cut off at its capacity.
func sameMemory(a, b []byte) bool {
	return cap(a) > 0 && cap(b) > 0 && &a[:cap(a)][cap(a)-1] == &b[:cap(b)][cap(b)-1]
}

// matchPath returns the path in the form that frontends are matched on. The
// target of "OPTIONS *" is matched as "/".
func (c *conn) matchPath() ([]byte, error) {
	raw := c.x.Head.Path
	if len(raw) == 1 && raw[0] == '*' {
		raw = raw[:0]
	}
	if len(raw) == 0 {
		return rootPath, nil
	}
	path, err := router.NormalizePath(c.path[:0], raw)
	if err == nil && cap(path) > cap(c.path) && !sameMemory(path, raw) {
		c.path = path
	}
	return path, err
}

var rootPath = []byte("/")

// redirectToTLS answers a plain request of an application that wants TLS: 307,
// with method and query kept.
func (c *conn) redirectToTLS() {
	x := &c.x
	if len(x.Head.Host) == 0 {
		c.fail(400, "a request without a Host cannot be redirected to https")
		return
	}
	c.forwardLines(false, "")
	ctx := c.context()
	to := append(x.Scratch[:0], "https://"...)
	to = append(to, hostOnly(x.Head.Host)...)
	if port := c.srv.HTTPSPort; port != 443 && port != 0 {
		to = append(to, ':')
		to = strconv.AppendInt(to, int64(port), 10)
	}
	if x.Head.Target[0] != '*' {
		to = append(to, x.Head.Target...)
	}
	x.Scratch = to
	ctx.Response.Header.SetBytesV("Location", to)
	ctx.Response.SetStatusCode(307)
}

// refuseTrace answers TRACE, which would show a page what the browser or a proxy
// has added to a request (RFC 9110 section 9.3.8).
func (c *conn) refuseTrace() {
	c.srv.limited(limitTrace, c.client)
	c.fail(405, "TRACE is not answered here")
	c.context().Response.Header.Set("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
}

func (c *conn) serveMetrics() {
	ctx := c.context()
	switch string(c.x.Head.Method) {
	case "GET", "HEAD":
		ctx.Response.Header.SetContentType("text/plain; version=0.0.4; charset=utf-8")
		ctx.Response.SetBodyRaw(c.srv.Metrics())
	default:
		c.fail(405, "only GET and HEAD are answered here")
	}
}

var challengePath = []byte("/.well-known/acme-challenge/")

// serveChallenge answers for a CA that validates a host, if that is what it is.
func (c *conn) serveChallenge(path []byte) bool {
	if m := string(c.x.Head.Method); m != "GET" && m != "HEAD" {
		return false
	}
	answer := c.srv.Challenge(string(c.x.Head.Host), string(path))
	if answer == "" {
		return false
	}
	ctx := c.context()
	ctx.Response.Header.SetContentType("text/plain")
	ctx.Response.SetBodyString(answer)
	return true
}

func (c *conn) fail(status int, reason string) {
	if len(c.x.RequestID) == 0 {
		c.forwardLines(c.tls != nil, "")
	}
	wire.Fail(c.context(), status, reason)
}

// addressText is an address for people; the client may be unknown.
func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return "unknown"
	}
	return a.String()
}

// hostOnly takes the port off a Host.
func hostOnly(host []byte) []byte {
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && bytes.IndexByte(host[i:], ']') < 0 {
		return host[:i]
	}
	return host
}

// What rules ask of a request: conn is a router.Attributes.

// Method is part of router.Attributes.
func (c *conn) Method() []byte { return c.x.Head.Method }

// RawPath makes conn a router.RawPather.
func (c *conn) RawPath() []byte { return c.x.Head.Path }

// Header is part of router.Attributes; name in any case. The fields that this
// proxy writes are those that it will send: what a client says of where it comes
// from is not believed here either.
func (c *conn) Header(name string, from int) (value []byte, next int) {
	if wire.KindOf([]byte(name)) == wire.Forwarding {
		return c.forwarded(name, from)
	}
	fields := c.x.Head.Fields
	for i := from; i < len(fields); i++ {
		if wire.EqualNames(fields[i].Name, name) {
			return fields[i].Value, i + 1
		}
	}
	return nil, 0
}

func (c *conn) forwarded(name string, from int) (value []byte, next int) {
	if from > 0 {
		return nil, 0
	}
	if len(c.x.Forward) == 0 {
		c.forwardLines(c.identify(), "")
	}
	wire.EachLine(c.x.Forward, func(n, v []byte) {
		if wire.EqualNames(n, name) {
			value = v
		}
	})
	return value, 1
}

// Query is part of router.Attributes.
func (c *conn) Query() []byte { return c.x.Head.Query }

// Secure reports whether the request came over TLS, to the edge or to a proxy that
// is trusted; rules may ask.
func (c *conn) Secure() bool { return c.secure }

// ClientIP is part of router.Attributes.
func (c *conn) ClientIP() netip.Addr { return c.client }
