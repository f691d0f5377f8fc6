package certs

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// Status is one row of /api/v1/certs: a certificate that a source has, whether
// or not another one wins its names.
type Status struct {
	Names       []string  `json:"names"`
	IPs         []string  `json:"ips,omitempty"`
	Source      string    `json:"source"`
	Origin      string    `json:"origin,omitempty"`
	Default     bool      `json:"default,omitempty"`
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	Expired     bool      `json:"expired"`
	DaysLeft    int       `json:"days_left"` // whole days; below 0 when it has expired
	Serial      string    `json:"serial"`
	KeyType     string    `json:"key_type"`
	Issuer      string    `json:"issuer"`
	Fingerprint string    `json:"fingerprint"` // SHA-256 of the leaf, hex
}

// NewStatus describes a certificate of a source.
func NewStatus(source string, c *Certificate, now time.Time) Status {
	leaf := c.TLS.Leaf
	st := Status{
		Names: c.Names, Source: source, Origin: c.Origin, Default: c.Default,
		NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter, Expired: c.Expired(now),
		Serial: leaf.SerialNumber.String(), KeyType: c.KeyType(),
		Issuer: leaf.Issuer.String(), Fingerprint: c.Fingerprint(),
	}
	st.DaysLeft = daysLeft(leaf.NotAfter, now)
	if st.Names == nil {
		st.Names = []string{}
	}
	for _, ip := range leaf.IPAddresses {
		st.IPs = append(st.IPs, ip.String())
	}
	return st
}

// daysLeft is rounded down, also below 0.
func daysLeft(end, now time.Time) int {
	return int(math.Floor(end.Sub(now).Hours() / 24))
}

// Left tells how long the certificate is valid, for people.
func (s Status) Left(now time.Time) string {
	switch left := daysLeft(s.NotAfter, now); {
	case s.Expired || now.After(s.NotAfter):
		return "expired"
	case now.Before(s.NotBefore):
		return "not valid yet"
	case left == 1:
		return "1 day left"
	default:
		return fmt.Sprintf("%d days left", left)
	}
}

// List describes every certificate of every source: by source in order, then by
// first name, then the one that expires first.
func (s *Store) List() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	out := []Status{}
	for _, src := range s.sources {
		start := len(out)
		for _, c := range src.certs {
			out = append(out, NewStatus(src.name, c.Certificate, now))
		}
		slices.SortStableFunc(out[start:], func(a, b Status) int {
			return cmp.Or(slices.Compare(a.Names, b.Names), a.NotAfter.Compare(b.NotAfter))
		})
	}
	return out
}

// Problems are what the sources found wrong, by source name; sources without
// problems are left out.
func (s *Store) Problems() map[string][]Problem {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string][]Problem{}
	for _, src := range s.sources {
		if len(src.problems) > 0 {
			out[src.name] = slices.Clone(src.problems)
		}
	}
	return out
}
