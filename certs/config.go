package certs

import (
	"crypto/tls"
	"slices"
)

// TLSOptions are the settings of the TLS listener.
type TLSOptions struct {
	// MinVersion is tls.VersionTLS12 (also when 0) or tls.VersionTLS13.
	MinVersion uint16
	// NextProtos are offered by ALPN (RFC 7301); nil means http/1.1 alone.
	NextProtos []string
	// Curves are the key exchanges that are offered; nil: those of crypto/tls, with
	// X25519MLKEM768 first.
	Curves []tls.CurveID
	// AskForCertificate says for which server names clients are asked for a
	// certificate, which is not verified here; nil: for none. It is called in
	// handshakes and must not wait.
	AskForCertificate func(name string) bool
	// Tickets encrypt sessions for resumption; nil turns session tickets off.
	Tickets *Tickets
}

// suites are the cipher suites of TLS 1.2: those with forward secrecy and
// authenticated encryption. crypto/tls has CBC ones as well, for clients of before
// 2014, and chooses the order. TLS 1.3 has no others, and no setting for them.
func suites() []uint16 {
	return []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}
}

// TLSConfig is the configuration of a TLS listener that takes its certificates
// from the store. It may be cloned; its Certificates must stay empty.
func (s *Store) TLSConfig(opts TLSOptions) *tls.Config {
	if opts.MinVersion == 0 {
		opts.MinVersion = tls.VersionTLS12
	}
	if opts.NextProtos == nil {
		opts.NextProtos = []string{"http/1.1"}
	}
	if s.opts.Challenge != nil {
		opts.NextProtos = append(slices.Clone(opts.NextProtos), ProtoChallenge)
	}
	cfg := &tls.Config{
		MinVersion:             opts.MinVersion,
		CipherSuites:           suites(),
		CurvePreferences:       opts.Curves,
		NextProtos:             opts.NextProtos,
		GetCertificate:         s.GetCertificate,
		SessionTicketsDisabled: opts.Tickets == nil,
	}
	if opts.Tickets != nil {
		// The hooks stay good in a clone, where keys set on the Config itself
		// would stay behind and never be rotated.
		cfg.WrapSession = opts.Tickets.keys.EncryptTicket
		cfg.UnwrapSession = opts.Tickets.keys.DecryptTicket
	}
	if opts.AskForCertificate != nil {
		asking := cfg.Clone()
		asking.ClientAuth = tls.RequestClientCert
		cfg.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if opts.AskForCertificate(hello.ServerName) {
				return asking, nil
			}
			return nil, nil
		}
	}
	return cfg
}
