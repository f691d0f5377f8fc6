package upstream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/wire"
)

// Advertised is told of a response that carries the header turbocharger, with
// its value, before the response goes on. direct says where the request is
// found: on the wire or in ctx. The value is valid until it returns.
type Advertised func(ctx *fasthttp.RequestCtx, direct bool, value []byte)

const advertisement = "turbocharger"

// advertises reports whether a field is the advertisement, which is for the edge
// alone, and hands its value on.
func (c *call) advertises(status int, f *wire.Field) bool {
	if len(f.Name) != len(advertisement) || !wire.EqualFold(f.Name, advertisement) {
		return false
	}
	if c.s.advertised != nil && status < 400 {
		c.s.advertised(c.ctx, c.direct, f.Value)
	}
	return true
}

var errNoPeer = errors.New("no peer is available")

// Advertisement asks a peer with HEAD on a path, as for a client that asked for
// host, and returns the status and the value of the header turbocharger. Redirects
// are answers like others. An error says that nobody answered.
func (s *Set) Advertisement(ctx context.Context, host, path string, secure bool) (status int, value string, err error) {
	p := s.balancer.pick(&choice{Now: wire.Now()})
	if p == nil {
		return 0, "", errNoPeer
	}
	scheme, proto := "http", "http"
	if p.addr.TLS {
		scheme = "https"
	}
	if secure {
		proto = "https"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, scheme+"://"+p.addr.Authority+p.addr.Path+path, nil)
	if err != nil {
		return 0, "", err
	}
	for name, v := range s.opts.HeadersToOrigin {
		req.Header.Set(name, v)
	}
	req.Header.Set("User-Agent", "edgerouter-turbocharger")
	req.Header.Set("X-Forwarded-Proto", proto)
	req.Header.Set("X-Forwarded-Host", host)
	switch {
	case s.fixed.host != "":
		req.Host = s.fixed.host
	case s.opts.PassHostHeader:
		req.Host = host
	}
	transport := s.askTransport(p)
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(req)
	if err != nil {
		return 0, "", fmt.Errorf("HEAD %s: %w", req.URL, err)
	}
	res.Body.Close()
	return res.StatusCode, res.Header.Get(advertisement), nil
}

// askTransport opens a connection of its own to a peer.
func (s *Set) askTransport(p *peer) *http.Transport {
	t := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return s.dialer.connect(ctx, p.dials, s.times.connect)
		},
		DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: probeLimit,
		ResponseHeaderTimeout: 10 * time.Second, Protocols: new(http.Protocols),
	}
	t.Protocols.SetUnencryptedHTTP2(p.addr.H2C)
	t.Protocols.SetHTTP1(!p.addr.H2C)
	if p.addr.TLS {
		t.TLSClientConfig = p.conns.tls
	}
	return t
}
