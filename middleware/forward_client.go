package middleware

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
)

const (
	authConnectTimeout = 5 * time.Second
	authTimeout        = 30 * time.Second // for all of question and answer
	authIdle           = time.Minute
	authConns          = 1024
	maxAuthAnswer      = 1 << 20 // bytes of the body of an answer
)

// authClient asks one authentication server. It follows no redirects, for these
// are the client's.
type authClient struct {
	http fasthttp.HostClient
	url  string
}

func newAuthClient(u *url.URL, opts *app.TLSConfig, refuseLocal bool) (*authClient, error) {
	dialer := net.Dialer{Timeout: authConnectTimeout}
	if refuseLocal {
		dialer.Control = refuseLocalAddress
	}
	port := u.Port()
	if port == "" {
		port = "80"
		if u.Scheme == "https" {
			port = "443"
		}
	}
	address := net.JoinHostPort(u.Hostname(), port)
	c := &authClient{url: u.String(), http: fasthttp.HostClient{
		Addr: address, IsTLS: u.Scheme == "https",
		Dial:     func(string) (net.Conn, error) { return dialer.Dial("tcp", address) },
		MaxConns: authConns, MaxConnWaitTimeout: authConnectTimeout,
		MaxIdleConnDuration: authIdle, MaxIdemponentCallAttempts: 3,
		MaxResponseBodySize:      maxAuthAnswer,
		NoDefaultUserAgentHeader: true, DisablePathNormalizing: true, SecureErrorLogMessage: true,
	}}
	if c.http.IsTLS {
		var err error
		if c.http.TLSConfig, err = authTLS(opts); err != nil {
			return nil, err
		}
		if c.http.TLSConfig.ServerName == "" {
			c.http.TLSConfig.ServerName = u.Hostname()
		}
	}
	return c, nil
}

// address fills in where a question goes.
func (c *authClient) address(req *fasthttp.Request) {
	req.SetRequestURI(c.url)
	req.URI().DisablePathNormalizing = true
}

func (c *authClient) do(req *fasthttp.Request, resp *fasthttp.Response) error {
	return c.http.DoTimeout(req, resp, authTimeout)
}

// authTLS says how the authentication server is verified, as tls_config of a
// peer_set does for peers. It reads the files once.
func authTLS(c *app.TLSConfig) (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(16)}
	if c == nil {
		return conf, nil
	}
	conf.ServerName, conf.InsecureSkipVerify = c.ServerName, c.InsecureSkipVerify
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("tls_config.ca_file: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls_config.ca_file: %s holds no certificate in PEM form", c.CAFile)
		}
	}
	if c.ClientCertFile == "" && c.ClientKeyFile == "" {
		return conf, nil
	}
	pair, err := tls.LoadX509KeyPair(c.ClientCertFile, c.ClientKeyFile)
	if err != nil {
		return nil, fmt.Errorf("tls_config.client_cert_file %q and client_key_file %q: %w", c.ClientCertFile, c.ClientKeyFile, err)
	}
	conf.Certificates = []tls.Certificate{pair}
	return conf, nil
}
