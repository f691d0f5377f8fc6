package tickets

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/bus"
	"edgerouter/certs"
	"edgerouter/certs/vault"
	"edgerouter/internal/testkit"
	"edgerouter/metrics"
)

// testNode is what one node of a cluster has.
type testNode struct {
	*Shared
	config *tls.Config
}

func start(t *testing.T, ctx context.Context, log bus.Log, name string, c *certs.Certificate) *testNode {
	t.Helper()
	v, err := vault.New(vault.Options{Log: log, Stream: "/t-1/vault", Secret: make([]byte, 32), Owner: name, Metrics: metrics.NewSet(), Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	n := &testNode{Shared: New(v, certs.NewTickets(), zerolog.Nop())}
	store := certs.NewStore(certs.Options{Metrics: metrics.NewSet(), Log: zerolog.Nop()})
	store.Set(certs.SourceFile, []*certs.Certificate{c}, nil)
	n.config = store.TLSConfig(certs.TLSOptions{Tickets: n.tickets})
	go v.Run(ctx)
	return n
}

func certificate(t *testing.T) *certs.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour), DNSNames: []string{"a.example"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	c, err := certs.New([]*x509.Certificate{leaf}, key)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// resumed says whether a handshake with a node resumes a session of the cache.
func (n *testNode) resumed(t *testing.T, client *tls.Config) bool {
	t.Helper()
	a, b := testkit.Pair(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer b.Close()
		s := tls.Server(b, n.config)
		if s.Handshake() == nil {
			_, _ = s.Write([]byte("x"))
		}
	}()
	c := tls.Client(a, client)
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	_, _ = c.Read(make([]byte, 1)) // the tickets of TLS 1.3 come before it
	state := c.ConnectionState()
	a.Close()
	<-done
	return state.DidResume
}

func TestSessionOfOneNodeResumesOnAnother(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	log, c := &bus.Memory{}, certificate(t)
	a, b := start(t, ctx, log, "a", c), start(t, ctx, log, "b", c)
	now := time.Now()
	a.rotate(ctx, now)
	follow := func() {
		if err := b.vault.Sync(ctx); err != nil {
			t.Fatal(err)
		}
		b.use()
	}
	follow()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client := &tls.Config{ServerName: "a.example", InsecureSkipVerify: true, MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
		if a.resumed(t, client) || !b.resumed(t, client) || !a.resumed(t, client) {
			t.Errorf("version %x: a session of node a does not resume on node b", version)
		}
		now = now.Add(certs.TicketRotation)
		a.rotate(ctx, now)
		follow()
		if !b.resumed(t, client) {
			t.Errorf("version %x: not after a rotation", version)
		}
	}
	keys, _, err := a.load()
	if err != nil || len(keys.Keys) != certs.TicketKeys {
		t.Errorf("%d keys after two rotations: %v", len(keys.Keys), err)
	}
}

// Of several nodes one makes the key when it is time.
func TestOneNodeRotates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		log, c := &bus.Memory{}, certificate(t)
		for _, name := range []string{"a", "b", "c"} {
			n := start(t, ctx, log, name, c)
			go n.Run(ctx)
		}
		for rotations := int64(1); rotations <= 3; rotations++ {
			synctest.Wait()
			if last, err := log.Last(ctx, "/t-1/vault"); err != nil || last.Version != rotations {
				t.Errorf("%d entries after %d keys: %v", last.Version, rotations, err)
			}
			time.Sleep(certs.TicketRotation + 2*checkEvery)
		}
		cancel()
		synctest.Wait()
	})
}
