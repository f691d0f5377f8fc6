package upstream_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgerouter/app"
)

// authority signs certificates for a test.
type authority struct {
	t    *testing.T
	dir  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	file string // PEM
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	a.cert, _ = x509.ParseCertificate(der)
	a.file = a.write("ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) write(name, kind string, der []byte) string {
	file := filepath.Join(a.dir, name)
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return file
}

// issue makes a certificate for a name or an IP address.
func (a *authority) issue(name string) (certFile, keyFile string) {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	keyDER, _ := x509.MarshalECPrivateKey(key)
	return a.write(name+".pem", "CERTIFICATE", der), a.write(name+"-key.pem", "EC PRIVATE KEY", keyDER)
}

// startTLS is startOrigin with a certificate for name. The connection that serve
// gets is the TLS connection.
func (a *authority) startTLS(name string, mutual bool, serve func(*peerConn)) *origin {
	pair, err := tls.LoadX509KeyPair(a.issue(name))
	if err != nil {
		a.t.Fatal(err)
	}
	conf := &tls.Config{Certificates: []tls.Certificate{pair}}
	if mutual {
		conf.ClientAuth, conf.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		conf.ClientCAs.AddCert(a.cert)
	}
	o := startOrigin(a.t, func(c *peerConn) {
		tc := tls.Server(c.Conn, conf)
		if tc.Handshake() != nil {
			return
		}
		serve(&peerConn{Conn: tc, in: newReader(tc), n: c.n})
		tc.Close()
	})
	o.url = "https" + strings.TrimPrefix(o.url, "http")
	return o
}

func TestTLSToPeers(t *testing.T) {
	noLeaks(t)
	ca := newAuthority(t)
	clientCert, clientKey := ca.issue("client.example")
	serve := answering(func(*http.Request, string) string { return ok("x") })
	byIP, byName := ca.startTLS("127.0.0.1", false, serve), ca.startTLS("inner.example", false, serve)
	mutual := ca.startTLS("127.0.0.1", true, serve)
	for _, test := range []struct {
		name   string
		peer   *origin
		conf   *app.TLSConfig
		status int
		log    string
	}{
		{"verified by default", byIP, nil, 502, "unknown authority"},
		{"ca_file", byIP, &app.TLSConfig{CAFile: ca.file}, 200, ""},
		{"another name", byName, &app.TLSConfig{CAFile: ca.file}, 502, "127.0.0.1"},
		{"server_name", byName, &app.TLSConfig{CAFile: ca.file, ServerName: "inner.example"}, 200, ""},
		{"wrong server_name", byName, &app.TLSConfig{CAFile: ca.file, ServerName: "outer.example"}, 502, "outer.example"},
		{"insecure_skip_verify", byName, &app.TLSConfig{InsecureSkipVerify: true}, 200, ""},
		{"no client certificate", mutual, &app.TLSConfig{CAFile: ca.file}, 502, ""},
		{"client certificate", mutual, &app.TLSConfig{CAFile: ca.file, ClientCertFile: clientCert, ClientKeyFile: clientKey}, 200, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := startProxy(t, app.PeerSetOpts{Addrs: []string{test.peer.url}, TLSConfig: test.conf})
			c := p.dial(t)
			for range 2 {
				if a := c.get("/"); a.StatusCode != test.status {
					t.Errorf("status %d, want %d", a.StatusCode, test.status)
				}
			}
			if !strings.Contains(p.log.String(), test.log) {
				t.Errorf("the log does not say %q: %s", test.log, p.log)
			}
		})
	}
}

// TestOverTLS repeats what is done differently on a TLS connection: streaming,
// stale connections, clients that leave, tunnels.
func TestOverTLS(t *testing.T) {
	noLeaks(t)
	ca := newAuthority(t)
	over := make(chan struct{}, 10)
	o := ca.startTLS("127.0.0.1", false, func(c *peerConn) {
		defer func() { over <- struct{}{} }()
		for {
			req, body := c.read()
			if req == nil {
				return
			}
			switch req.URL.Path {
			case "/close":
				c.write(ok("x"))
				return
			case "/hang":
				over <- struct{}{}
				io.Copy(io.Discard, c.in)
				return
			case "/switch":
				c.write(switched + "early")
				io.Copy(c.Conn, c.in)
				c.write("end")
				return
			case "/broken":
				c.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
				return
			default:
				c.write(ok(fmt.Sprint(len(body))))
			}
		}
	})
	p := startProxy(t, app.PeerSetOpts{Addrs: []string{o.url}, TLSConfig: &app.TLSConfig{CAFile: ca.file}})
	c := p.dial(t)
	for _, size := range []int{1, 10 << 10, 1 << 20} {
		if a := c.post("/", strings.Repeat("x", size)); a.text != fmt.Sprint(size) {
			t.Errorf("%d bytes: %d %q", size, a.StatusCode, a.text)
		}
	}
	if n := o.conns.Load(); n != 1 {
		t.Errorf("%d connections for 3 requests", n)
	}
	for _, method := range []string{"GET", "POST"} {
		c.get("/close")
		<-over
		o.quiet()
		c.send(method + " / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
		if a := c.answer(method); a.StatusCode != 200 {
			t.Errorf("%s on a stale connection: %d", method, a.StatusCode)
		}
	}
	c.send("GET /broken HTTP/1.1\r\nHost: a\r\n\r\n")
	if b, err := io.ReadAll(c.head("GET").Body); err == nil {
		t.Errorf("a part looks like the whole: %q", b)
	}
	<-over
	c = p.dial(t)
	c.send("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n")
	<-over
	c.gone()
	<-over
	c = p.dial(t)
	c.send("GET /switch HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo/1\r\n\r\n")
	if res := c.head("GET"); res.StatusCode != 101 {
		t.Fatalf("status %d", res.StatusCode)
	}
	c.send("hello")
	c.Conn.(*net.TCPConn).CloseWrite()
	if b, err := io.ReadAll(c.in); err != nil || string(b) != "earlyhelloend" {
		t.Errorf("%q, %v", b, err)
	}
}
