package docker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/docker/docker/client"
)

// The API versions between which one is agreed on: those that this client
// writes, and what engine 20.10 spoke, for a proxy that does not say.
const (
	newestAPI  = "1.51"
	assumedAPI = "1.41"
)

// dialTimeout bounds one attempt to reach the engine.
const dialTimeout = 5 * time.Second

// TLS is what an engine on tcp:// is spoken to with.
type TLS struct {
	// Cert and Key are PEM; the client's certificate, perhaps with its chain.
	Cert, Key []byte
	// CA is PEM: the authorities that the engine's certificate comes from. Without
	// it those in Cert are taken, and without any there the system's.
	CA []byte
}

// config is nil for no TLS.
func (t TLS) config() (*tls.Config, error) {
	if len(t.Cert)+len(t.Key)+len(t.CA) == 0 {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(t.Cert)+len(t.Key) > 0 {
		switch {
		case len(t.Key) == 0:
			return nil, errors.New("there is a client certificate and no key (DOCKER_CLIENTCERT_KEY)")
		case len(t.Cert) == 0:
			return nil, errors.New("there is a key and no client certificate (DOCKER_CLIENTCERT)")
		}
		pair, err := tls.X509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("the client certificate and its key (DOCKER_CLIENTCERT, DOCKER_CLIENTCERT_KEY): %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	roots := x509.NewCertPool()
	if len(t.CA) > 0 {
		if !roots.AppendCertsFromPEM(t.CA) {
			return nil, errors.New("the authorities of the engine's certificate: there is no PEM certificate in them")
		}
		c.RootCAs = roots
		return c, nil
	}
	found := false
	for block, rest := pem.Decode(t.Cert); block != nil; block, rest = pem.Decode(rest) {
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil && cert.IsCA {
			roots.AddCert(cert)
			found = true
		}
	}
	if found {
		c.RootCAs = roots
	}
	return c, nil
}

// endpoint is where the engine is.
type endpoint struct {
	shown   string // as given, for people
	network string // unix or tcp
	addr    string
	base    string // path before the API's
	tls     *tls.Config
	// dial opens a connection; nil: the network does. Tests set it.
	dial func(ctx context.Context) (net.Conn, error)
}

// parseHost reads unix:///path, tcp://host:port, http:// and https://.
func parseHost(host string, t TLS) (endpoint, error) {
	e := endpoint{shown: host}
	scheme, rest, ok := strings.Cut(host, "://")
	if !ok && strings.HasPrefix(host, "/") {
		scheme, rest, ok = "unix", host, true
	}
	if !ok || rest == "" {
		return e, fmt.Errorf("%q: want an address such as unix:///var/run/docker.sock or tcp://engine:2376", host)
	}
	var err error
	switch scheme {
	case "unix":
		e.network, e.addr = "unix", rest
		return e, nil
	case "tcp", "http", "https":
		u, parseErr := url.Parse("http://" + rest)
		if parseErr != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return e, fmt.Errorf("%q: want an address such as tcp://engine:2376", host)
		}
		if e.tls, err = t.config(); err != nil {
			return e, err
		}
		if scheme == "https" && e.tls == nil {
			e.tls = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		if scheme == "http" {
			e.tls = nil
		}
		port := u.Port()
		if port == "" {
			if port = "2375"; e.tls != nil {
				port = "2376"
			}
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return e, fmt.Errorf("%q: the port is not between 1 and 65535", host)
		}
		e.network, e.addr, e.base = "tcp", net.JoinHostPort(u.Hostname(), port), strings.TrimRight(u.Path, "/")
		return e, nil
	case "ssh":
		return e, fmt.Errorf("%q: ssh is not done; forward the socket with ssh -L and name that", host)
	}
	return e, fmt.Errorf("%q: unknown scheme %q; want unix://, tcp://, http:// or https://", host, scheme)
}

// engine is a connection to a Docker engine in a version that both speak.
type engine struct {
	api   *client.Client
	at    endpoint
	info  engineInfo
	clear func() // closes idle connections
}

// engineInfo is what an engine says of itself.
type engineInfo struct {
	name    string
	version string
	api     string
	node    string // id in the Swarm
	now     time.Time
}

// connect finds out which version of the API to speak, and makes the client.
func connect(ctx context.Context, at endpoint) (*engine, error) {
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	transport := &http.Transport{
		MaxIdleConns: 8, MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Minute, TLSClientConfig: at.tls,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			if at.dial != nil {
				return at.dial(ctx)
			}
			return dialer.DialContext(ctx, at.network, at.addr)
		},
	}
	scheme, host := "http", "docker"
	if at.network == "tcp" {
		host = at.addr
	}
	if at.tls != nil {
		scheme = "https"
		transport.TLSClientConfig = at.tls.Clone()
	}
	e := &engine{at: at, clear: transport.CloseIdleConnections}
	if err := e.negotiate(ctx, transport, scheme+"://"+host+at.base); err != nil {
		transport.CloseIdleConnections()
		return nil, err
	}
	api, err := client.NewClientWithOpts(
		client.WithHost("tcp://"+host+at.base),
		client.WithHTTPClient(&http.Client{Transport: transport, CheckRedirect: client.CheckRedirect}),
		client.WithScheme(scheme),
		client.WithVersion(e.info.api),
	)
	if err != nil {
		transport.CloseIdleConnections()
		return nil, err
	}
	e.api = api
	return e, nil
}

// negotiate asks for the engine's version, under the path without a version,
// which every engine answers and which read-only proxies let through. (The
// client's own way is /_ping, which such proxies may refuse.)
func (e *engine) negotiate(ctx context.Context, transport *http.Transport, base string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/version", nil)
	if err != nil {
		return err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	var said struct{ Version, APIVersion, MinAPIVersion string }
	switch resp.StatusCode {
	case http.StatusOK:
		if err := json.Unmarshal(body, &said); err != nil {
			return fmt.Errorf("GET /version: what answers is not a Docker engine: %w", err)
		}
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed:
		// A proxy that does not let it through.
	default:
		return fmt.Errorf("GET /version: %s: %s", resp.Status, firstLine(body))
	}
	if said.APIVersion == "" {
		said.APIVersion = resp.Header.Get("Api-Version") // proxies that refuse /version often leave it
	}
	if said.APIVersion == "" {
		said.APIVersion = assumedAPI
	}
	e.info.version, e.info.api = said.Version, said.APIVersion
	if older(newestAPI, said.APIVersion) {
		e.info.api = newestAPI
	}
	if said.MinAPIVersion != "" && older(e.info.api, said.MinAPIVersion) {
		return fmt.Errorf("the engine wants at least version %s of its API, and %s is the newest known here", said.MinAPIVersion, newestAPI)
	}
	return nil
}

// older compares versions such as 1.9 and 1.41.
func older(a, b string) bool {
	aMajor, aMinor := splitVersion(a)
	bMajor, bMinor := splitVersion(b)
	return aMajor < bMajor || aMajor == bMajor && aMinor < bMinor
}

func splitVersion(v string) (major, minor int) {
	first, second, _ := strings.Cut(strings.TrimPrefix(v, "v"), ".")
	major, _ = strconv.Atoi(first)
	minor, _ = strconv.Atoi(second)
	return major, minor
}

func firstLine(body []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(body)), "\n")
	return line[:min(len(line), 200)]
}

func (e *engine) close() {
	_ = e.api.Close()
	e.clear()
}
