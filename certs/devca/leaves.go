package devca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"edgerouter/certs"
)

const (
	leafValid = 30 * 24 * time.Hour
	// renewBefore is how much of a leaf's life is left when it is made anew.
	renewBefore = 10 * 24 * time.Hour
	// maxLeaves bounds the leaves in memory; the least recently used of a few go.
	maxLeaves = 4096
	// evictAmong is how many leaves are looked at to find one to give up.
	evictAmong = 16
	maxName    = 253
)

// leaves holds what was made, by name.
type leaves struct {
	mu      sync.RWMutex
	entries map[string]*leaf
}

// leaf is a certificate that exists or is being made; done is closed then.
type leaf struct {
	done chan struct{}
	cert *certs.Certificate
	err  error
	used atomic.Int64 // unix seconds
}

// Get returns the certificate for a server name; the empty name, of a client
// that sent none, gets the one of localhost. nil, nil: the name is not allowed.
// It is a certs.Options.OnDemand.
func (c *CA) Get(name string) (*tls.Certificate, error) {
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	if name == "" {
		name = "localhost"
	}
	now := time.Now()
	if l := c.find(name, now); l != nil {
		return l.wait()
	}
	if !c.allowed(name) {
		return nil, nil
	}
	l, mine := c.claim(name, now)
	if mine {
		l.cert, l.err = c.sign(name, now)
		if l.err != nil {
			c.drop(name, l) // the next handshake tries again
		}
		close(l.done)
	}
	return l.wait()
}

// allowed says whether the CA signs for a name.
func (c *CA) allowed(name string) bool {
	if len(name) > maxName || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789.-_") != "" {
		return false
	}
	if name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return !strings.HasPrefix(name, ".") && !strings.Contains(name, "..")
	}
	return c.opts.Allowed != nil && c.opts.Allowed(name)
}

// find returns the leaf of a name when it is there and not due for renewal.
func (c *CA) find(name string, now time.Time) *leaf {
	c.mu.RLock()
	l := c.entries[name]
	c.mu.RUnlock()
	if l == nil || l.due(now) {
		return nil
	}
	if second := now.Unix(); l.used.Load() != second {
		l.used.Store(second)
	}
	return l
}

// claim returns the leaf of a name, and whether it is the caller who has to make it.
func (c *CA) claim(name string, now time.Time) (l *leaf, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.entries[name]; l != nil && !l.due(now) {
		return l, false
	}
	if len(c.entries) >= maxLeaves {
		c.evict()
	}
	l = &leaf{done: make(chan struct{})}
	l.used.Store(now.Unix())
	c.entries[name] = l
	return l, true
}

func (c *CA) drop(name string, l *leaf) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries[name] == l {
		delete(c.entries, name)
	}
}

// evict gives up the least recently used of a few leaves; c.mu is held.
func (c *CA) evict() {
	oldest, seen := "", 0
	for name, l := range c.entries { // in random order
		if oldest == "" || l.used.Load() < c.entries[oldest].used.Load() {
			oldest = name
		}
		if seen++; seen == evictAmong {
			break
		}
	}
	delete(c.entries, oldest)
}

// due says whether the leaf has to be made anew. One that is being made is not.
func (l *leaf) due(now time.Time) bool {
	select {
	case <-l.done:
		return l.cert == nil || l.cert.TLS.Leaf.NotAfter.Sub(now) < renewBefore
	default:
		return false
	}
}

func (l *leaf) wait() (*tls.Certificate, error) {
	<-l.done
	if l.err != nil {
		return nil, l.err
	}
	return l.cert.TLS, nil
}

// sign makes a certificate for a name.
func (c *CA) sign(name string, now time.Time) (*certs.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key for %s: %w", name, err)
	}
	template := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{Organization: []string{"edgerouter development"}},
		NotBefore:    now.Add(-backdated),
		NotAfter:     now.Add(leafValid),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     []string{name},
	}
	if name == "localhost" {
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, c.cert, key.Public(), c.key)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate for %s: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading back the certificate for %s: %w", name, err)
	}
	made, err := certs.New([]*x509.Certificate{cert}, key)
	if err != nil {
		return nil, err
	}
	made.Origin = c.dir
	return made, nil
}

// List describes the certificates that are in memory, by name, for /api/v1/certs.
func (c *CA) List() []certs.Status {
	c.mu.RLock()
	var made []*certs.Certificate
	for _, l := range c.entries {
		select {
		case <-l.done:
			if l.cert != nil {
				made = append(made, l.cert)
			}
		default:
		}
	}
	c.mu.RUnlock()
	slices.SortFunc(made, func(a, b *certs.Certificate) int { return slices.Compare(a.Names, b.Names) })
	out := make([]certs.Status, len(made))
	for i, m := range made {
		out[i] = certs.NewStatus(certs.SourceDevCA, m, time.Now())
	}
	return out
}
