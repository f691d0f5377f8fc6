package upstream

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"edgerouter/app"
)

// probeLimit bounds what one check reads: so much of a header, so much of a body.
const probeLimit = 64 << 10

// newProbe makes the check of one peer: a GET on a connection of its own, by
// HTTP/1.1, or HTTP/2 for h2c. It fails when there is no answer before ctx ends
// or the status is not among those in opts.Status. Redirects are answers like
// others and are not followed; the body does not matter, but is read up to
// 64 KiB so that the peer does not see a reset.
//
// dial opens the connection; tlsFor gives the TLS configuration of an https
// peer, as for requests. Both get a peer of its own for the check when opts asks
// another port or in another scheme.
func newProbe(opts app.HealthCheck, dial func(ctx context.Context, p *peer) (net.Conn, error),
	tlsFor func(p *peer) *tls.Config) (func(ctx context.Context, p *peer) error, error) {
	if !strings.HasPrefix(opts.Path, "/") {
		return nil, fmt.Errorf("health_check.path: %q does not begin with /", opts.Path)
	}
	if _, err := url.ParseRequestURI(opts.Path); err != nil {
		return nil, fmt.Errorf("health_check.path: %q is not the path of a URL", opts.Path)
	}
	wanted, err := parseStatuses(opts.Status)
	if err != nil {
		return nil, fmt.Errorf("health_check.status: %w", err)
	}
	elsewhere := opts.Port != 0 || opts.Scheme != ""
	return func(ctx context.Context, p *peer) error {
		if elsewhere {
			p = newPeer(checkedAddress(p.addr, opts))
		}
		scheme := "http"
		if p.addr.TLS {
			scheme = "https"
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+p.addr.Authority+p.addr.Path+opts.Path, nil)
		if err != nil {
			return err
		}
		if opts.Host != "" {
			req.Host = opts.Host
		}
		req.Header.Set("User-Agent", "edgerouter-health-check")
		transport := &http.Transport{
			DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, p) },
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: probeLimit,
			Protocols:              new(http.Protocols),
		}
		transport.Protocols.SetUnencryptedHTTP2(p.addr.H2C)
		transport.Protocols.SetHTTP1(!p.addr.H2C)
		if p.addr.TLS {
			transport.TLSClientConfig = tlsFor(p)
		}
		defer transport.CloseIdleConnections()
		res, err := transport.RoundTrip(req)
		if err != nil {
			return fmt.Errorf("GET %s: %w", req.URL, err)
		}
		_, _ = io.CopyN(io.Discard, res.Body, probeLimit)
		res.Body.Close()
		if !wanted.has(res.StatusCode) {
			return fmt.Errorf("GET %s: status %d is not in %s", req.URL, res.StatusCode, wanted)
		}
		return nil
	}, nil
}

// checkedAddress is where the checks of a peer go.
func checkedAddress(a address, opts app.HealthCheck) address {
	if opts.Scheme != "" {
		a.Scheme, a.TLS, a.H2C = opts.Scheme, opts.Scheme == "https", opts.Scheme == "h2c"
	}
	if opts.Port != 0 {
		a.Port = uint16(opts.Port)
	}
	port, host := strconv.Itoa(int(a.Port)), a.Host
	if a.IP.IsValid() {
		host = a.IP.WithZone("").String()
	}
	a.Dial, a.Authority = net.JoinHostPort(a.Host, port), net.JoinHostPort(host, port)
	return a
}

// statuses are ranges of status codes, both ends included.
type statuses [][2]int

// parseStatuses reads codes and ranges such as "200,204,300-399"; "" is 200-399.
func parseStatuses(s string) (statuses, error) {
	if s == "" {
		s = defaultCheckStatus
	}
	var all statuses
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		from, to, ranged := strings.Cut(part, "-")
		if !ranged {
			to = from
		}
		low, err1 := strconv.Atoi(strings.TrimSpace(from))
		high, err2 := strconv.Atoi(strings.TrimSpace(to))
		if err1 != nil || err2 != nil || low < 100 || high > 599 || low > high {
			return nil, fmt.Errorf("%q: %q is neither a code in 100-599 nor a range such as 200-399", s, part)
		}
		all = append(all, [2]int{low, high})
	}
	return all, nil
}

func (s statuses) has(code int) bool {
	for _, r := range s {
		if code >= r[0] && code <= r[1] {
			return true
		}
	}
	return false
}

// String is the form that parseStatuses reads.
func (s statuses) String() string {
	var b strings.Builder
	for i, r := range s {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(r[0]))
		if r[1] != r[0] {
			b.WriteString("-" + strconv.Itoa(r[1]))
		}
	}
	return b.String()
}
