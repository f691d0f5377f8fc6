package acme

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"path"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"edgerouter/certs"
)

// PathPrefix is where HTTP-01 challenges are asked for (RFC 8555 section 8.3).
const PathPrefix = "/.well-known/acme-challenge/"

const (
	// maxWaiting bounds the challenges that wait for the bus at once, and
	// waitForBus how long each does: the CA may be quicker than the bus.
	maxWaiting = 16
	waitForBus = time.Second
)

// HTTPChallenge answers an HTTP-01 challenge for a host, which may have a port;
// "" when there is none. It may take a second when the host is one that is being
// validated now.
func (m *Manager) HTTPChallenge(host, target string) string {
	token, ok := strings.CutPrefix(target, PathPrefix)
	if !ok || token == "" {
		return ""
	}
	c, ok := m.challenge(host, func(c acme.Challenge) bool { return c.Token == token })
	if !ok {
		return ""
	}
	return c.KeyAuthorization
}

// TLSChallenge is a certs.Options.Challenge: it answers a TLS-ALPN-01 challenge;
// nil when there is none.
func (m *Manager) TLSChallenge(name string) *tls.Certificate {
	c, ok := m.challenge(name, func(c acme.Challenge) bool { return c.Type == acme.ChallengeTypeTLSALPN01 })
	if !ok {
		return nil
	}
	made, err := acmez.TLSALPN01ChallengeCert(c)
	if err != nil {
		m.opts.Logger.Error().Err(err).Str("server_name", certs.Clean(name)).Msg("ACME: making the certificate of a challenge")
		return nil
	}
	return made
}

// challenge finds the challenge that a host was given, whichever node asked for it.
func (m *Manager) challenge(host string, fits func(acme.Challenge) bool) (acme.Challenge, bool) {
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		host = host[:i]
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if !certs.ValidName(host) {
		return acme.Challenge{}, false
	}
	if c, ok := m.find(host, fits); ok {
		return c, true
	}
	// Somebody is about to obtain a certificate of the host: the challenge may be
	// on its way to this node.
	if m.opts.Vault.Holder(lockName(host)) == "" {
		return acme.Challenge{}, false
	}
	select {
	case m.waiting <- struct{}{}:
		defer func() { <-m.waiting }()
	default:
		return acme.Challenge{}, false
	}
	ctx, cancel := context.WithTimeout(context.Background(), waitForBus)
	defer cancel()
	if m.opts.Vault.Sync(ctx) != nil {
		return acme.Challenge{}, false
	}
	return m.find(host, fits)
}

// lockName is the lock that certmagic takes to obtain or renew a certificate.
func lockName(host string) string { return "issue_cert_" + host }

func (m *Manager) find(host string, fits func(acme.Challenge) bool) (acme.Challenge, bool) {
	name := certmagic.StorageKeys.Safe(host) + ".json"
	for _, folder := range m.tokens {
		var c acme.Challenge
		value, err := m.opts.Vault.Get(folder + name)
		if err == nil && json.Unmarshal(value, &c) == nil && c.Identifier.Value == host && fits(c) {
			return c, true
		}
	}
	return acme.Challenge{}, false
}

// tokenFolders are where certmagic's solvers put what they are to answer: one for
// the CA, one for the CA that failed attempts are tried again with.
func tokenFolders(directories ...string) (out []string) {
	for _, d := range directories {
		if d != "" {
			key := (&certmagic.ACMEIssuer{CA: d}).IssuerKey()
			out = append(out, path.Join("acme", certmagic.StorageKeys.Safe(key), "challenge_tokens")+"/")
		}
	}
	return out
}
