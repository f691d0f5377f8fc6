package certs

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"time"
)

// A certificate with 10,000 names is served, takes no more room in log and metrics
// than one with five, and what is wrong with it is told.
func TestTenThousandNames(t *testing.T) {
	names := make([]string, 10_000)
	for i := range names {
		names[i] = fmt.Sprintf("n%d.example.com", i)
	}
	c := certificate(t, ecdsaKey(), 10*day, names...)
	s, ms, log := newTestStore(Options{})
	s.Set(SourceFile, []*Certificate{c}, nil)
	s.check(time.Now(), map[string]time.Time{})
	for _, name := range []string{names[0], names[9999]} {
		if s.Table().Lookup(name, nil) != c.TLS {
			t.Errorf("%s is not served", name)
		}
	}
	if state, err := handshake(t, s.TLSConfig(TLSOptions{}), insecure(names[5000])); err != nil || !state.PeerCertificates[0].Equal(c.TLS.Leaf) {
		t.Errorf("a handshake: %v", err)
	}
	complaints := strings.Join(c.Complaints(time.Now()), "\n")
	for _, part := range []string{"n0.example.com", "9995 more", "10000 names", "OpenSSL", "divide its names"} {
		if !strings.Contains(complaints, part) {
			t.Errorf("the complaint does not say %q: %s", part, complaints)
		}
	}
	if len(complaints) > 500 || len(log.String()) > 1000 || !strings.Contains(log.String(), "expires soon") {
		t.Errorf("%d bytes of complaint, log %s", len(complaints), log)
	}
	var text strings.Builder
	ms.WritePrometheus(&text)
	if n := strings.Count(text.String(), "er_cert_expiry_timestamp_seconds{"); n != 1 {
		t.Errorf("%d series of one certificate", n)
	}
	if few := certificate(t, ecdsaKey(), 90*day, names[:100]...); len(few.Complaints(time.Now())) > 0 {
		t.Errorf("a hundred names: %v", few.Complaints(time.Now()))
	}
}

// Server names that nobody can have end in an alert, and nothing of theirs but
// letters reaches the log. What has a name goes on being served.
func TestJunkServerNames(t *testing.T) {
	s, _, log := newTestStore(Options{})
	s.Set(SourceFile, []*Certificate{certificate(t, ecdsaKey(), 90*day, "a.example.com", "*.b.example.com")}, nil)
	server := s.TLSConfig(TLSOptions{Tickets: NewTickets()})
	for _, name := range []string{
		" ", "a b", "\x00", "a.example.com\x00", "a.example.com\n{\"level\":\"fake\"}", "\x1b[31m", "..", "a..example.com", ".a.example.com", "*.example.com",
		"é.example.com", "\xff\xfe", "x.y.b.example.com", ".b.example.com", "b.example.com", strings.Repeat("a", 254), strings.Repeat("a.", 2000) + "b",
		"../../etc/passwd", "a.example.com/", "a.example.com:443",
	} {
		s.quiet.SetLimit(1e9)
		if _, err := handshake(t, server, insecure(name)); err == nil {
			t.Errorf("the name %.40q is served", name)
		}
	}
	for _, bad := range []string{"\\u", "fake\"", "\x1b", "\\xff", "/etc"} {
		if strings.Contains(log.String(), bad) {
			t.Errorf("the log has %q: %s", bad, log)
		}
	}
	for line := range strings.Lines(log.String()) {
		if len(line) > 600 {
			t.Errorf("%d bytes of log for one name", len(line))
		}
	}
	if _, err := handshake(t, server, &tls.Config{ServerName: "a.example.com", InsecureSkipVerify: true}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}
