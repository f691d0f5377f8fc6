package cli

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"edgerouter/certs"
	"edgerouter/certs/certbus"
)

// certSettings are the flags of where certificates come from and of what clients
// have to speak.
type certSettings struct {
	certbusKey                           string
	acmeEmail, acmeDirectory, acmeCARoot string
	tlsMin                               string
	tlsCurves                            []string
	tlsDefault                           string
	certbusKeys                          []*rsa.PrivateKey
	acmeRoots                            *x509.CertPool
	minVersion                           uint16
	curves                               []tls.CurveID
}

var certEnvironment = []setting{
	{flag: "certbus-key", env: []string{"CERTBUS_CLIENT_PRIVKEY"}},
	{flag: "acme-email"},
	{flag: "acme-directory"},
	{flag: "acme-ca-root"},
	{flag: "tls-min"},
	{flag: "tls-curves"},
	{flag: "tls-default"},
}

func (s *certSettings) addFlags(f *pflag.FlagSet) {
	addCertbusKey(f, &s.certbusKey)
	f.StringVar(&s.acmeEmail, "acme-email", "", "`address` of the ACME account; turns ACME on")
	f.StringVar(&s.acmeDirectory, "acme-directory", "", "directory `URL` of the ACME CA (default Let's Encrypt); turns ACME on")
	f.StringVar(&s.acmeCARoot, "acme-ca-root", "", "PEM `file` with the root that the ACME CA's own server is trusted by (default the system's)")
	f.StringVar(&s.tlsMin, "tls-min", "1.2", "least TLS `version` of clients: 1.2 or 1.3")
	f.StringSliceVar(&s.tlsCurves, "tls-curves", nil, "key exchanges, by `name`: "+strings.Join(certs.CurveNames(), ", ")+" (default all of them)")
	f.StringVar(&s.tlsDefault, "tls-default", "", "`host` whose certificate is shown to clients that send no server name")
}

// addCertbusKey adds the flag that serve and cert put have in common.
func addCertbusKey(f *pflag.FlagSet, to *string) {
	f.StringVar(to, "certbus-key", "", "RSA `key` of this client of CertBus: base64 of PEM, or file:PATH; several with commas; turns CertBus on")
}

// acme says whether certificates are to be obtained.
func (s *certSettings) acme() bool { return s.acmeEmail != "" || s.acmeDirectory != "" }

// resolve reads what the flags name. Keys never get into an error.
func (s *certSettings) resolve() (err error) {
	if s.certbusKeys, err = certbusKeys(s.certbusKey); err != nil {
		return err
	}
	if s.acmeCARoot != "" {
		content, err := os.ReadFile(s.acmeCARoot)
		if err != nil {
			return fmt.Errorf("--acme-ca-root: %w", err)
		}
		s.acmeRoots = x509.NewCertPool()
		if !s.acmeRoots.AppendCertsFromPEM(content) {
			return fmt.Errorf("--acme-ca-root %s: there is no certificate in PEM form in it", s.acmeCARoot)
		}
	}
	switch s.tlsMin {
	case "1.2":
		s.minVersion = tls.VersionTLS12
	case "1.3":
		s.minVersion = tls.VersionTLS13
	default:
		return usagef("--tls-min %q: want 1.2 or 1.3", s.tlsMin)
	}
	if s.curves, err = certs.ParseCurves(s.tlsCurves); err != nil {
		return usagef("--tls-curves: %w", err)
	}
	return nil
}

func certbusKeys(text string) (keys []*rsa.PrivateKey, err error) {
	for i, one := range strings.Split(text, ",") {
		if one = strings.TrimSpace(one); one == "" {
			continue
		}
		where := "--certbus-key (CERTBUS_CLIENT_PRIVKEY)"
		if path, isFile := strings.CutPrefix(one, "file:"); isFile {
			content, err := os.ReadFile(path)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", where, err)
			}
			one, where = string(content), where+" "+path
		}
		key, err := certbus.ParseClientKey(one)
		if err != nil {
			return nil, usagef("%s, key %d: %w", where, i+1, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}
