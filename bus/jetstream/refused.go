package jetstream

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
)

// checkCredentials says what is wrong with the credentials file, which is read
// again at each connection. The client would send a file of another form to the
// server as it is, with the key in it.
func checkCredentials(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("--bus-credentials: %w", err)
	}
	key, err := nkeys.ParseDecoratedUserNKey(content)
	if err != nil {
		return fmt.Errorf("--bus-credentials %s has no key of a user: want a file as nsc generate creds makes it", path)
	}
	key.Wipe()
	if token, err := nkeys.ParseDecoratedJWT(content); err != nil || token == string(content) {
		return fmt.Errorf("--bus-credentials %s has no JWT of a user: want a file as nsc generate creds makes it", path)
	}
	return nil
}

// hint says which setting to look at when a server of an external bus refuses
// this node, or the reverse; empty when it is none of those.
func (o *Options) hint(err error) string {
	var remote *net.OpError
	told := errors.As(err, &remote) && remote.Op == "remote error" // a TLS alert of the server
	switch {
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return "; the server's certificate is of another authority than --bus-tls-ca names (without it: than the system trusts)"
	case errors.As(err, new(x509.HostnameError)):
		return "; the server's certificate is for other names than --bus has"
	case errors.As(err, new(x509.CertificateInvalidError)):
		return "; the server's certificate is not good; --bus-tls-ca has the authority it has to be from"
	case errors.Is(err, nats.ErrSecureConnWanted):
		return "; the server has no TLS, and --bus-tls-ca, --bus-tls-cert or tls:// in --bus asks for it"
	// With TLS 1.3 the server looks at the certificate after this side is done, and
	// its reason may be lost with the connection.
	case told || errors.Is(err, nats.ErrTLS):
		if o.TLS == nil || len(o.TLS.Certificates) == 0 {
			return "; does the server ask for a certificate? --bus-tls-cert and --bus-tls-key have this node's, and none is given"
		}
		return "; does the server take the certificate of --bus-tls-cert? It may have expired, or be of another authority than the server wants"
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked), errors.Is(err, nats.ErrAccountAuthExpired):
		if o.Credentials != "" {
			return "; the server does not take the credentials in --bus-credentials " + o.Credentials + ": are they expired, revoked or of another operator?"
		}
		return "; the server does not take this node: --bus-credentials names a credentials file, or --bus has user and password"
	case errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return "; the account of --bus-credentials (or of the user in --bus) may not use JetStream"
	}
	return ""
}
