package upstream

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgerouter/app"
)

// testCert writes a self-signed certificate for name and its key.
func testCert(t *testing.T, name string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// handshake is between a peer with a certificate for peer.test, that asks for
// a client's certificate of clientCA if that is not nil, and us.
func handshake(t *testing.T, cert tls.Certificate, clientCA *x509.CertPool, client *tls.Config) error {
	t.Helper()
	server := &tls.Config{Certificates: []tls.Certificate{cert}}
	if clientCA != nil {
		server.ClientAuth, server.ClientCAs = tls.RequireAndVerifyClientCert, clientCA
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	failed := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			failed <- err
			return
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		_, err = tls.Server(conn, server).Write([]byte("x"))
		failed <- err
	}()
	conn, err := net.DialTimeout("tcp", l.Addr().String(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	c := tls.Client(conn, client)
	// With TLS 1.3 a client learns from its first read that it was refused.
	_, err = c.Read(make([]byte, 1))
	conn.Close()
	return errors.Join(err, <-failed)
}

func TestClientTLS(t *testing.T) {
	certFile, keyFile := testCert(t, "peer.test")
	clientCert, clientKey := testCert(t, "edge.test")
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	clientCA := x509.NewCertPool()
	pemBytes, _ := os.ReadFile(clientCert)
	clientCA.AppendCertsFromPEM(pemBytes)
	for _, tt := range []struct {
		name, addr string
		conf       *app.TLSConfig
		asks, ok   bool
	}{
		{"verified by default", "https://peer.test", nil, false, false},
		{"verified with options", "https://peer.test", &app.TLSConfig{}, false, false},
		{"ca_file", "https://peer.test", &app.TLSConfig{CAFile: certFile}, false, true},
		{"another name", "https://other.test", &app.TLSConfig{CAFile: certFile}, false, false},
		{"an address", "https://10.0.0.1", &app.TLSConfig{CAFile: certFile}, false, false},
		{"server_name", "https://10.0.0.1", &app.TLSConfig{CAFile: certFile, ServerName: "peer.test"}, false, true},
		{"not verified", "https://10.0.0.1", &app.TLSConfig{InsecureSkipVerify: true}, false, true},
		{"no client certificate", "https://peer.test", &app.TLSConfig{CAFile: certFile}, true, false},
		{"client certificate", "https://peer.test", &app.TLSConfig{CAFile: certFile, ClientCertFile: clientCert, ClientKeyFile: clientKey}, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			base, err := newClientTLS(tt.conf)
			if err != nil {
				t.Fatal(err)
			}
			a, err := parseAddress(tt.addr)
			if err != nil {
				t.Fatal(err)
			}
			var pool *x509.CertPool
			if tt.asks {
				pool = clientCA
			}
			if err := handshake(t, cert, pool, tlsForPeer(base, a, "http/1.1")); (err == nil) != tt.ok {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestClientTLSRefuses(t *testing.T) {
	certFile, keyFile := testCert(t, "a")
	_, otherKey := testCert(t, "b")
	for want, conf := range map[string]app.TLSConfig{
		"tls_config.ca_file: open /nonexistent":      {CAFile: "/nonexistent"},
		"tls_config.ca_file: " + keyFile:             {CAFile: keyFile},
		"tls_config.client_key_file: missing":        {ClientCertFile: certFile},
		"tls_config.client_cert_file: missing":       {ClientKeyFile: keyFile},
		"tls_config.client_cert_file " + certFile:    {ClientCertFile: certFile, ClientKeyFile: otherKey},
		"tls_config.client_cert_file /nonexistent a": {ClientCertFile: "/nonexistent", ClientKeyFile: keyFile},
	} {
		if _, err := newClientTLS(&conf); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestTLSForPeer(t *testing.T) {
	base, err := newClientTLS(nil)
	if err != nil {
		t.Fatal(err)
	}
	for addr, name := range map[string]string{
		"https://A.test:8443": "a.test", "https://[::1]": "::1", "https://[fe80::1%25eth0]": "fe80::1",
	} {
		a, err := parseAddress(addr)
		if err != nil {
			t.Fatal(err)
		}
		conf := tlsForPeer(base, a, "h2", "http/1.1")
		if conf.ServerName != name || len(conf.NextProtos) != 2 || conf.MinVersion != tls.VersionTLS12 || conf.ClientSessionCache == nil {
			t.Errorf("%s: %q %v", addr, conf.ServerName, conf.NextProtos)
		}
	}
	if base.ServerName != "" || base.NextProtos != nil {
		t.Error("the base was changed")
	}
}
