package upstream

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"edgerouter/app"
)

// tlsSessions is how many sessions a set keeps for resumption.
const tlsSessions = 64

// newClientTLS makes the configuration by which peers are verified: by the
// system's roots, or only by those in ca_file. It reads the files once. A nil
// c is the default. tlsForPeer completes it for one peer.
func newClientTLS(c *app.TLSConfig) (*tls.Config, error) {
	conf := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ClientSessionCache: tls.NewLRUClientSessionCache(tlsSessions),
	}
	if c == nil {
		return conf, nil
	}
	conf.ServerName = c.ServerName
	conf.InsecureSkipVerify = c.InsecureSkipVerify
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
	switch {
	case c.ClientCertFile == "" && c.ClientKeyFile == "":
	case c.ClientCertFile == "":
		return nil, fmt.Errorf("tls_config.client_cert_file: missing, while client_key_file is %s", c.ClientKeyFile)
	case c.ClientKeyFile == "":
		return nil, fmt.Errorf("tls_config.client_key_file: missing, while client_cert_file is %s", c.ClientCertFile)
	default:
		pair, err := tls.LoadX509KeyPair(c.ClientCertFile, c.ClientKeyFile)
		if err != nil {
			return nil, fmt.Errorf("tls_config.client_cert_file %s and client_key_file %s: %w", c.ClientCertFile, c.ClientKeyFile, err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return conf, nil
}

// tlsForPeer is base with the name that a's certificate must have: server_name
// if given, else the address's host. protocols are offered by ALPN (RFC 7301).
func tlsForPeer(base *tls.Config, a address, protocols ...string) *tls.Config {
	conf := base.Clone()
	if conf.ServerName == "" {
		conf.ServerName = a.Host
		if a.IP.IsValid() {
			conf.ServerName = a.IP.WithZone("").String()
		}
	}
	conf.NextProtos = protocols
	return conf
}
