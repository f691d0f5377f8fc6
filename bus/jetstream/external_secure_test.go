package jetstream

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"

	"edgerouter/bus"
	"edgerouter/bus/bustest"
	"edgerouter/internal/testkit"
	"edgerouter/metrics"
)

// operator makes accounts and users with decentralized JWT credentials.
type operator struct {
	t   *testing.T
	key nkeys.KeyPair
	jwt string
	sys string // the system account's key
	all map[string]string
}

func newOperator(t *testing.T) *operator {
	o := &operator{t: t, key: newKey(t, nkeys.CreateOperator), all: map[string]string{}}
	_, o.sys = o.account("SYS", false)
	claims := jwt.NewOperatorClaims(public(t, o.key))
	claims.SystemAccount = o.sys
	o.jwt = o.encode(claims, o.key)
	return o
}

// account makes an account, which the server gets to know when it is started after.
func (o *operator) account(name string, jetstream bool) (key nkeys.KeyPair, id string) {
	o.t.Helper()
	key = newKey(o.t, nkeys.CreateAccount)
	claims := jwt.NewAccountClaims(public(o.t, key))
	claims.Name = name
	if jetstream {
		claims.Limits.DiskStorage, claims.Limits.MemoryStorage = jwt.NoLimit, jwt.NoLimit
	}
	id = public(o.t, key)
	o.all[id] = o.encode(claims, o.key)
	return key, id
}

// user makes a user's credentials file; seed is what nobody may see.
func (o *operator) user(account nkeys.KeyPair, expires time.Time) (file, seed string) {
	o.t.Helper()
	key := newKey(o.t, nkeys.CreateUser)
	claims := jwt.NewUserClaims(public(o.t, key))
	if !expires.IsZero() {
		claims.Expires = expires.Unix()
	}
	secret, err := key.Seed()
	if err != nil {
		o.t.Fatal(err)
	}
	content, err := jwt.FormatUserConfig(o.encode(claims, account), secret)
	if err != nil {
		o.t.Fatal(err)
	}
	return write(o.t, "user.creds", content), string(secret)
}

func (o *operator) encode(c jwt.Claims, by nkeys.KeyPair) string {
	o.t.Helper()
	text, err := c.Encode(by)
	if err != nil {
		o.t.Fatal(err)
	}
	return text
}

// config is the part of a server's configuration.
func (o *operator) config() string {
	var b strings.Builder
	fmt.Fprintf(&b, "operator: %s\nsystem_account: %s\nresolver: MEMORY\nresolver_preload: {\n", o.jwt, o.sys)
	for id, text := range o.all {
		fmt.Fprintf(&b, "  %s: %s\n", id, text)
	}
	return b.String() + "}\n"
}

func newKey(t *testing.T, create func() (nkeys.KeyPair, error)) nkeys.KeyPair {
	t.Helper()
	key, err := create()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func public(t *testing.T, key nkeys.KeyPair) string {
	t.Helper()
	id, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func write(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// serverTLS is the part of a server's configuration with a certificate of ours.
func (a *authority) serverTLS(t *testing.T, verify bool) string {
	t.Helper()
	pair := a.node(nil)
	key, err := x509.MarshalECPrivateKey(pair.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	file := func(name, kind string, der []byte) string {
		return write(t, name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return fmt.Sprintf("tls { cert_file: %q, key_file: %q, ca_file: %q, verify: %t }\n",
		file("cert.pem", "CERTIFICATE", pair.Certificate[0]), file("key.pem", "EC PRIVATE KEY", key), file("ca.pem", "CERTIFICATE", a.cert.Raw), verify)
}

// trust is what --bus-tls-ca alone makes of this authority.
func (a *authority) trust() *tls.Config {
	c := a.config(tls.Certificate{})
	c.Certificates = nil
	return c
}

// applied is a state that is the list of what was applied.
type applied struct {
	mu  sync.Mutex
	all []string
}

func (l *applied) Restore([]byte) error      { return nil }
func (l *applied) Snapshot() ([]byte, error) { return nil, nil }
func (l *applied) Apply(e bus.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, e.Events...)
}

func (l *applied) are(want []string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Equal(l.all, want)
}

// roundTrip appends to a bus, and reads and follows what was appended.
func roundTrip(t *testing.T, b *Bus, stream string) {
	t.Helper()
	got := &applied{}
	f := bus.NewFollower(bus.FollowerOptions{
		Log: b, Stream: stream, State: got, Changed: func(bus.Cursor) {}, Metrics: metrics.NewSet(), Logger: zerolog.Nop(),
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	var want []string
	for i := range 5 {
		want = append(want, bustest.Event(i))
		if _, err := b.Append(deadline(t), stream, want[i]); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := b.Read(deadline(t), bus.Start(stream), 100)
	if err != nil || len(entries) != len(want)+1 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
	until(t, "the follower has it", func() bool { return got.are(want) })
}

// A server with TLS and decentralized credentials is a bus as any other, and what
// does not fit is told with the setting it comes from, and without a secret.
func TestExternalSecure(t *testing.T) {
	ours, foreign := newAuthority(t), newAuthority(t)
	op, other := newOperator(t), newOperator(t)
	account, _ := op.account("EDGE", true)
	without, _ := op.account("PLAIN", false)
	stranger, _ := other.account("EDGE", true)
	good, goodSeed := op.user(account, time.Time{})
	wrong, wrongSeed := other.user(stranger, time.Time{})
	expired, expiredSeed := op.user(account, time.Now().Add(-time.Hour))
	poor, poorSeed := op.user(without, time.Time{})
	seeds := []string{goodSeed, wrongSeed, expiredSeed, poorSeed}

	run := func(config string) string {
		addr := testkit.FreeAddr(t)
		startNATS(t, addr, "-c", write(t, "nats.conf", []byte(config)))
		return "nats://" + addr
	}
	oneWay, mutual := run(op.config()+ours.serverTLS(t, false)), run(op.config()+ours.serverTLS(t, true))
	plain := run(op.config())
	pair := ours.config(ours.node(nil))
	for name, o := range map[string]Options{
		"ca":      {URLs: []string{oneWay}, TLS: ours.trust(), Credentials: good},
		"mutual":  {URLs: []string{mutual}, TLS: pair, Credentials: good},
		"no tls":  {URLs: []string{plain}, Credentials: good},
		"tls url": {URLs: []string{strings.Replace(oneWay, "nats:", "tls:", 1)}, TLS: ours.trust(), Credentials: good},
	} {
		t.Run(name, func(t *testing.T) {
			b, log := start(t, o)
			roundTrip(t, b, "/t-9/"+strings.ReplaceAll(name, " ", "-"))
			checkSecrets(t, log.String(), seeds)
		})
	}
	for _, c := range []struct {
		name string
		o    Options
		says string
	}{
		{"another operator's user", Options{URLs: []string{oneWay}, TLS: ours.trust(), Credentials: wrong}, "--bus-credentials " + wrong},
		{"expired", Options{URLs: []string{oneWay}, TLS: ours.trust(), Credentials: expired}, "--bus-credentials " + expired},
		{"no credentials", Options{URLs: []string{oneWay}, TLS: ours.trust()}, "--bus-credentials"},
		{"no file", Options{URLs: []string{plain}, Credentials: good + ".gone"}, "--bus-credentials: open " + good + ".gone"},
		{"only a key", Options{URLs: []string{plain}, Credentials: write(t, "seed", []byte(goodSeed+"\n"))}, "no JWT of a user"},
		{"no key", Options{URLs: []string{plain}, Credentials: write(t, "text", []byte("hello"))}, "no key of a user"},
		{"no JetStream", Options{URLs: []string{plain}, Credentials: poor}, "--bus-credentials"},
		{"a foreign authority", Options{URLs: []string{oneWay}, TLS: foreign.trust(), Credentials: good}, "--bus-tls-ca"},
		{"the system's authorities", Options{URLs: []string{oneWay}, Credentials: good}, "--bus-tls-ca"},
		{"no certificate", Options{URLs: []string{mutual}, TLS: ours.trust(), Credentials: good}, "--bus-tls-cert and --bus-tls-key"},
		{"a foreign certificate", Options{URLs: []string{mutual}, TLS: ours.config(foreign.node(nil)), Credentials: good}, "--bus-tls-cert"},
		{"the server has no TLS", Options{URLs: []string{plain}, TLS: ours.trust(), Credentials: good}, "the server has no TLS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // each waits for its connection
			b, log := start(t, c.o)
			var err error
			until(t, "Last says "+c.says, func() bool {
				if _, err = b.Last(deadline(t), "/t-9/ca"); err == nil {
					t.Fatal("the bus takes it")
				}
				return strings.Contains(err.Error(), c.says)
			})
			if c.name != "no JetStream" { // which is refused when it is used
				until(t, "the log says "+c.says, func() bool { return strings.Contains(log.String(), c.says) })
			}
			checkSecrets(t, log.String()+err.Error(), seeds)
		})
	}
}

// A server that comes back with another certificate or other users is told, and
// followed again when it is as it was.
func TestExternalSecureAgain(t *testing.T) {
	testkit.Long(t)
	ours, foreign, op, other := newAuthority(t), newAuthority(t), newOperator(t), newOperator(t)
	account, _ := op.account("EDGE", true)
	good, seed := op.user(account, time.Time{})
	right := op.config() + ours.serverTLS(t, false)
	file := write(t, "nats.conf", []byte(right))
	addr := testkit.FreeAddr(t)
	server := startNATS(t, addr, "-c", file)
	restart := func(config string) {
		t.Helper()
		server.kill()
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		server.start()
	}
	b, log := start(t, Options{URLs: []string{"nats://" + addr}, TLS: ours.trust(), Credentials: good})
	roundTrip(t, b, "/t-9/before")
	for i, c := range []struct{ config, says string }{
		{op.config() + foreign.serverTLS(t, false), "--bus-tls-ca"},
		{other.config() + ours.serverTLS(t, false), "--bus-credentials " + good},
	} {
		restart(c.config)
		until(t, "the log says "+c.says, func() bool { return strings.Contains(log.String(), c.says) })
		restart(right)
		roundTrip(t, b, fmt.Sprintf("/t-9/after-%d", i))
	}
	checkSecrets(t, log.String(), []string{seed})
}

// checkSecrets looks for keys and tokens.
func checkSecrets(t *testing.T, text string, seeds []string) {
	t.Helper()
	for _, s := range append(seeds, "eyJ", "BEGIN") {
		if strings.Contains(text, s) {
			t.Errorf("a secret is in the log: %s", text)
		}
	}
}
