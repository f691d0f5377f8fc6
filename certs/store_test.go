package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/internal/testkit"
	"edgerouter/metrics"
)

func newTestStore(opts Options) (*Store, *metrics.Set, *bytes.Buffer) {
	var log bytes.Buffer
	opts.Metrics, opts.Log = metrics.NewSet(), zerolog.New(&log)
	return NewStore(opts), opts.Metrics, &log
}

func metric(ms *metrics.Set, name string) string {
	var b bytes.Buffer
	ms.WritePrometheus(&b)
	for line := range strings.Lines(b.String()) {
		if v, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// handshake does a real TLS handshake and says what the server showed.
func handshake(t *testing.T, server, client *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	a, b := testkit.Pair(t)
	deadline := time.Now().Add(10 * time.Second)
	_ = a.SetDeadline(deadline)
	_ = b.SetDeadline(deadline)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s := tls.Server(b, server)
		if s.Handshake() == nil {
			_, _ = s.Write([]byte("x")) // carries the session tickets of TLS 1.3
		}
		b.Close()
	}()
	c := tls.Client(a, client)
	err := c.Handshake()
	if err == nil {
		_, _ = io.ReadAll(c)
	}
	state := c.ConnectionState()
	a.Close()
	<-done
	return state, err
}

func insecure(name string) *tls.Config {
	return &tls.Config{ServerName: name, InsecureSkipVerify: true}
}

func TestHandshake(t *testing.T) {
	s, ms, log := newTestStore(Options{})
	ec := certificate(t, ecdsaKey(), 90*day, "both.example.com", "*.wild.example.com")
	rs := certificate(t, rsaKey(), 90*day, "both.example.com")
	s.Set(SourceFile, []*Certificate{ec, rs}, nil)
	server := s.TLSConfig(TLSOptions{Tickets: NewTickets()})

	state, err := handshake(t, server, insecure("Both.example.com"))
	if err != nil || !state.PeerCertificates[0].Equal(ec.TLS.Leaf) || state.Version != tls.VersionTLS13 {
		t.Errorf("a modern client: %v", err)
	}
	rsaOnly := insecure("both.example.com")
	rsaOnly.MaxVersion = tls.VersionTLS12
	rsaOnly.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	if state, err = handshake(t, server, rsaOnly); err != nil || !state.PeerCertificates[0].Equal(rs.TLS.Leaf) {
		t.Errorf("a client that can do RSA only: %v", err)
	}
	if state, err = handshake(t, server, insecure("x.wild.example.com")); err != nil || !state.PeerCertificates[0].Equal(ec.TLS.Leaf) {
		t.Errorf("a wildcard: %v", err)
	}
	alpn := insecure("both.example.com")
	alpn.NextProtos = []string{"h2", "http/1.1"}
	if state, err = handshake(t, server, alpn); err != nil || state.NegotiatedProtocol != "http/1.1" {
		t.Errorf("ALPN: %q %v", state.NegotiatedProtocol, err)
	}
	old := insecure("both.example.com")
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if _, err = handshake(t, server, old); err == nil {
		t.Error("TLS 1.1 is accepted")
	}
	tls12 := insecure("both.example.com")
	tls12.MaxVersion = tls.VersionTLS12
	if _, err = handshake(t, s.TLSConfig(TLSOptions{MinVersion: tls.VersionTLS13}), tls12); err == nil {
		t.Error("TLS 1.2 is accepted where 1.3 is the least")
	}

	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		client := insecure("both.example.com")
		client.MaxVersion, client.CipherSuites = tls.VersionTLS12, []uint16{suite.ID}
		_, err := handshake(t, server, client)
		if want := strings.HasPrefix(suite.Name, "TLS_ECDHE_") && !strings.Contains(suite.Name, "_CBC_") && !suite.Insecure; (err == nil) != want {
			t.Errorf("TLS 1.2 with %s alone: %v", suite.Name, err)
		}
	}

	for _, maxVersion := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, name := range []string{"unknown.example.com", ""} {
			client := insecure(name)
			client.MaxVersion = maxVersion
			_, err = handshake(t, server, client)
			if err == nil || !strings.Contains(err.Error(), "remote error: tls: unrecognized name") {
				t.Errorf("name %q, version %x: error %v, want the alert unrecognized_name", name, maxVersion, err)
			}
		}
	}
	if got := metric(ms, "er_tls_unknown_names_total"); got != "4" {
		t.Errorf("er_tls_unknown_names_total is %s, want 4", got)
	}
	if n := strings.Count(log.String(), "no certificate for this server name"); n != 1 {
		t.Errorf("%d log lines for four unknown names in a moment: %s", n, log)
	}
}

func TestUnknownNameIsLoggedClean(t *testing.T) {
	s, _, log := newTestStore(Options{})
	if c, err := s.GetCertificate(&tls.ClientHelloInfo{ServerName: "evil\x1b[2J\"\n.example.com"}); c != nil || err != nil {
		t.Fatal("found")
	}
	if !strings.Contains(log.String(), `"server_name":"evil??2J??.example.com"`) {
		t.Errorf("log: %s", log)
	}
}

func TestDefaultCertificate(t *testing.T) {
	s, _, _ := newTestStore(Options{})
	c := certificate(t, ecdsaKey(), 90*day, "example.com")
	c.Default = true
	s.Set(SourceFile, []*Certificate{certificate(t, ecdsaKey(), 90*day, "other.example.com"), c}, nil)
	server := s.TLSConfig(TLSOptions{})
	state, err := handshake(t, server, insecure(""))
	if err != nil || !state.PeerCertificates[0].Equal(c.TLS.Leaf) {
		t.Errorf("without a server name: %v", err)
	}
	if _, err = handshake(t, server, insecure("unknown.example.com")); err == nil {
		t.Error("the default certificate is shown for a name that it does not have")
	}
}

// An address as server name counts as none.
func TestAddressAsServerName(t *testing.T) {
	s, _, _ := newTestStore(Options{DefaultName: "example.com"})
	c := certificate(t, ecdsaKey(), 90*day, "example.com")
	s.Set(SourceFile, []*Certificate{certificate(t, ecdsaKey(), 90*day, "other.example.com"), c}, nil)
	for _, name := range []string{"", "192.0.2.1", "2001:db8::1", "[2001:db8::1]"} {
		if got, err := s.GetCertificate(&tls.ClientHelloInfo{ServerName: name}); got != c.TLS || err != nil {
			t.Errorf("%q gets %v, %v", name, got, err)
		}
	}
}

func TestOnDemand(t *testing.T) {
	made := certificate(t, ecdsaKey(), 90*day, "made.example.com")
	s, _, log := newTestStore(Options{OnDemand: func(name string) (*tls.Certificate, error) {
		switch name {
		case "made.example.com":
			return made.TLS, nil
		case "broken.example.com":
			return nil, errors.New("out of entropy")
		}
		return nil, nil
	}})
	server := s.TLSConfig(TLSOptions{})
	if state, err := handshake(t, server, insecure("made.example.com")); err != nil || !state.PeerCertificates[0].Equal(made.TLS.Leaf) {
		t.Errorf("made: %v", err)
	}
	for _, name := range []string{"broken.example.com", "other.example.com"} {
		if _, err := handshake(t, server, insecure(name)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if !strings.Contains(log.String(), "out of entropy") {
		t.Errorf("log: %s", log)
	}
}

// Sessions are resumed, also after a rotation of the keys and over a clone of
// the Config, and not after their key is gone.
func TestTickets(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s, _, _ := newTestStore(Options{})
		s.Set(SourceFile, []*Certificate{certificate(t, ecdsaKey(), 90*day, "example.com")}, nil)
		tickets := NewTickets()
		server := s.TLSConfig(TLSOptions{Tickets: tickets}).Clone()
		client := insecure("example.com")
		client.MaxVersion = version
		client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		resumed := func() bool {
			state, err := handshake(t, server, client)
			if err != nil {
				t.Fatal(err)
			}
			return state.DidResume
		}
		if resumed() || !resumed() {
			t.Errorf("version %x: the second connection does not resume the first", version)
		}
		tickets.Rotate()
		if !resumed() {
			t.Errorf("version %x: not resumed after a rotation", version)
		}
		client.ClientSessionCache = &frozenCache{ClientSessionCache: client.ClientSessionCache}
		for range TicketKeys {
			tickets.Rotate()
		}
		if resumed() {
			t.Errorf("version %x: resumed with a key that is gone", version)
		}

		off := s.TLSConfig(TLSOptions{})
		client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		for range 2 {
			if state, err := handshake(t, off, client); err != nil || state.DidResume {
				t.Errorf("version %x: tickets are off: resumed %v, error %v", version, state.DidResume, err)
			}
		}
	}
}

// frozenCache keeps the session it has.
type frozenCache struct{ tls.ClientSessionCache }

func (*frozenCache) Put(string, *tls.ClientSessionState) {}

func TestTicketRotationRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tickets := NewTickets()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			tickets.Run(ctx)
		}()
		tickets.mu.Lock()
		first := tickets.current[0]
		tickets.mu.Unlock()
		time.Sleep(TicketRotation + time.Second)
		synctest.Wait()
		tickets.mu.Lock()
		if len(tickets.current) != 2 || tickets.current[0] == first || tickets.current[1] != first {
			t.Error("after 12 hours there is no new key before the old one")
		}
		tickets.mu.Unlock()
		cancel()
		<-done
	})
}

func TestSourceOrderAndList(t *testing.T) {
	s, ms, _ := newTestStore(Options{})
	file := certificate(t, ecdsaKey(), 30*day, "a.example.com")
	acme := certificate(t, rsaKey(), 90*day, "a.example.com", "b.example.com")
	s.Set(SourceACME, []*Certificate{acme}, nil)
	s.Set("later", []*Certificate{certificate(t, ecdsaKey(), 90*day, "b.example.com")}, nil)
	if s.Table().Lookup("a.example.com", nil) != acme.TLS {
		t.Error("the only certificate of a name is not served")
	}
	s.Set(SourceFile, []*Certificate{file}, []Problem{{File: "x.pem", Message: "bad"}})
	if s.Table().Lookup("a.example.com", nil) != file.TLS || s.Table().Lookup("b.example.com", nil) != acme.TLS {
		t.Error("sources are out of order")
	}
	list := s.List()
	if len(list) != 3 || list[0].Source != SourceFile || list[1].Source != SourceACME || list[2].Source != "later" {
		t.Fatalf("list %+v", list)
	}
	if st := list[1]; st.KeyType != "RSA 2048" || st.Serial == "" || len(st.Fingerprint) != 64 || !st.NotAfter.Equal(acme.TLS.Leaf.NotAfter) || st.Expired {
		t.Errorf("status %+v", st)
	}
	if p := s.Problems(); len(p) != 1 || len(p[SourceFile]) != 1 {
		t.Errorf("problems %v", p)
	}
	if metric(ms, `er_cert_expiry_timestamp_seconds{name="a.example.com"}`) == "" {
		t.Error("no expiry metric")
	}
	s.Set(SourceFile, nil, nil)
	s.Set(SourceACME, nil, nil)
	if got := metric(ms, `er_cert_expiry_timestamp_seconds{name="a.example.com"}`); got != "" {
		t.Errorf("the metric of a certificate that is gone is %s", got)
	}
	if metric(ms, `er_cert_expiry_timestamp_seconds{name="b.example.com"}`) == "" {
		t.Error("the metric of another certificate is gone")
	}
}

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, log := newTestStore(Options{})
		soon := certificate(t, ecdsaKey(), 15*day, "soon.example.com")
		late := certificate(t, ecdsaKey(), 300*day, "soon.example.com", "late.example.com")
		s.Set(SourceFile, []*Certificate{soon}, nil)
		s.Set(SourceACME, []*Certificate{late}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.Run(ctx)
		}()
		warnings := func() int {
			synctest.Wait()
			s.mu.Lock()
			defer s.mu.Unlock()
			return strings.Count(log.String(), "certificate expires soon")
		}
		if warnings() != 0 {
			t.Error("warned 15 days before")
		}
		time.Sleep(day + time.Hour)
		if n := warnings(); n != 1 {
			t.Errorf("%d warnings on the first day", n)
		}
		time.Sleep(3 * day)
		if n := warnings(); n != 4 {
			t.Errorf("%d warnings after four days, want one a day", n)
		}
		if s.Table().Lookup("soon.example.com", nil) != soon.TLS {
			t.Error("the earlier source does not win before it expires")
		}
		time.Sleep(12 * day)
		synctest.Wait()
		if s.Table().Lookup("soon.example.com", nil) != late.TLS {
			t.Error("an expired certificate is served though another source has a valid one")
		}
		cancel()
		<-done
		if !strings.Contains(log.String(), "certificate has expired") {
			t.Error("the end is not logged")
		}
	})
}

func TestExpirySeriesAreBounded(t *testing.T) {
	s, ms, _ := newTestStore(Options{})
	base := certificate(t, ecdsaKey(), 90*day, "x.example.com")
	var list []*Certificate
	for i := range maxExpirySeries + 50 {
		c := *base
		c.Names = []string{strings.Repeat("a", i/50) + string(rune('a'+i%26)) + strings.Repeat("b", i%50) + ".example.com"}
		list = append(list, &c)
	}
	s.Set(SourceFile, list, nil)
	var b bytes.Buffer
	ms.WritePrometheus(&b)
	if n := strings.Count(b.String(), "er_cert_expiry_timestamp_seconds{"); n != maxExpirySeries {
		t.Errorf("%d series, want %d", n, maxExpirySeries)
	}
}

func TestSwapBreaksNoConnection(t *testing.T) {
	s, _, _ := newTestStore(Options{})
	first := certificate(t, ecdsaKey(), 90*day, "example.com")
	s.Set(SourceFile, []*Certificate{first}, nil)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", s.TLSConfig(TLSOptions{Tickets: NewTickets()}))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	pool := x509.NewCertPool()
	pool.AddCert(first.TLS.Leaf)
	conn, err := tls.Dial("tcp", ln.Addr().String(), &tls.Config{ServerName: "example.com", RootCAs: pool})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	second := certificate(t, ecdsaKey(), 90*day, "example.com")
	s.Set(SourceFile, []*Certificate{second}, nil)
	buf := make([]byte, 4)
	if _, err := conn.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, buf); err != nil || string(buf) != "ping" {
		t.Errorf("after the swap: %q %v", buf, err)
	}
	next, err := tls.Dial("tcp", ln.Addr().String(), insecure("example.com"))
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if !next.ConnectionState().PeerCertificates[0].Equal(second.TLS.Leaf) {
		t.Error("a new connection sees the old certificate")
	}
}
