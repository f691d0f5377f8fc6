package file

import (
	"crypto/x509"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"edgerouter/certs"
)

// A renewal that comes file by file (cert.pem, chain.pem, privkey.pem,
// fullchain.pem, in any order and with any time between them) must not put a
// certificate into service whose intermediate clients do not have. A leaf that
// stands by itself gets its chain from the other files; one whose issuer is in
// none of them waits while something whole serves its names.

// pool holds the certificates of authorities that the files have, by subject.
type pool map[string][]*x509.Certificate

func (p pool) add(chain []*x509.Certificate) {
	for _, c := range chain {
		if c.IsCA {
			p[string(c.RawSubject)] = append(p[string(c.RawSubject)], c)
		}
	}
}

// issuerOf finds who issued a certificate; of several, such as an intermediate and
// the one with the same key that takes its place, the one that is valid longest.
func (p pool) issuerOf(c *x509.Certificate) (issuer *x509.Certificate) {
	for _, i := range p[string(c.RawIssuer)] {
		if (issuer == nil || i.NotAfter.After(issuer.NotAfter)) && c.CheckSignatureFrom(i) == nil {
			issuer = i
		}
	}
	return issuer
}

// longestChain bounds what is put together.
const longestChain = 8

// complete adds the intermediates to a leaf that stands by itself. issuer names who
// is missing, if somebody is: the issuer is in no file, and no root of this system.
// Roots are not added: clients have them, or do not believe them (RFC 8446 section
// 4.4.2).
func (p pool) complete(chain []*x509.Certificate) (whole []*x509.Certificate, issuer string) {
	if len(chain) != 1 {
		return chain, ""
	}
	for whole = chain; len(whole) < longestChain; {
		last := whole[len(whole)-1]
		if selfIssued(last) {
			break
		}
		next := p.issuerOf(last)
		if next == nil {
			if len(whole) == 1 && !issuedByRoot(last) {
				issuer = authority(last)
			}
			break
		}
		if selfIssued(next) {
			break
		}
		whole = append(slices.Clip(whole), next)
	}
	return whole, issuer
}

func selfIssued(c *x509.Certificate) bool { return string(c.RawIssuer) == string(c.RawSubject) }

// authority names the issuer of a certificate.
func authority(c *x509.Certificate) string {
	name := c.Issuer.CommonName
	if name == "" {
		name = c.Issuer.String()
	}
	return strconv.Quote(name)
}

var systemRoots = sync.OnceValue(func() *x509.CertPool {
	roots, err := x509.SystemCertPool()
	if err != nil {
		return x509.NewCertPool()
	}
	return roots
})

// issuedByRoot says whether a root that this system trusts issued a certificate
// itself: then nothing is between them.
func issuedByRoot(c *x509.Certificate) bool {
	_, err := c.Verify(x509.VerifyOptions{
		Roots: systemRoots(), Intermediates: x509.NewCertPool(), CurrentTime: c.NotBefore.Add(time.Second),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err == nil
}

// outlasts says whether what is served is worth more than a new certificate without
// its intermediate: it is whole, and has not expired.
func (g *served) outlasts(now time.Time) bool { return g.whole && !g.cert.Expired(now) }

// incomplete adds those of the certificates without intermediates to what is
// served whose names nothing else serves: many clients find their way all the same.
func (s *Source) incomplete(list []*certs.Certificate, bare []*pemFile, now time.Time) []*certs.Certificate {
	if len(bare) == 0 {
		return list
	}
	whole := map[string]bool{}
	for _, c := range list {
		if !c.ValidAt(now) {
			continue
		}
		for _, name := range c.Names {
			whole[name] = true
		}
	}
	for _, f := range bare {
		g := s.good[f.path]
		if !slices.ContainsFunc(f.made.Names, func(name string) bool { return !whole[name] }) && len(f.made.Names) > 0 {
			delete(s.good, f.path)
			continue
		}
		if g == nil || g.cert != f.made && !equal(g.cert, f.made) {
			g = s.serve(f.path, f.made)
		}
		g.wrong = time.Time{}
		list = append(list, g.cert)
	}
	slices.SortFunc(list, func(a, b *certs.Certificate) int { return strings.Compare(a.Origin, b.Origin) })
	return list
}
