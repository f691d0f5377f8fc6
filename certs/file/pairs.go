package file

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"edgerouter/certs"
)

// assemble pairs certificates with keys, in made of their files, and says what is
// wrong, sorted by file.
func (s *Source) assemble() (problems []certs.Problem) {
	folders := map[string]*pairing{}
	issuers := pool{}
	s.keyless = map[string]bool{}
	for _, path := range s.paths {
		s.pace.Step()
		f := s.files[path]
		f.used, f.superseded = false, false
		if f.err != nil {
			problems = append(problems, s.problem(f, f.err.Error()))
			continue
		}
		dir := filepath.Dir(path)
		if folders[dir] == nil {
			folders[dir] = &pairing{keys: map[string]*pemFile{}, longest: map[[sha256.Size]byte]int{}}
		}
		folders[dir].add(f)
		issuers.add(f.material.Chain)
		if len(f.material.Chain) > 0 && f.material.Key == nil {
			s.keyless[dir] = true
		}
	}
	for _, p := range folders {
		for _, f := range p.files {
			s.pace.Step()
			if len(f.material.Chain) == 0 {
				continue
			}
			if p.longer(f) {
				f.tried, f.made, f.issuer = false, nil, ""
				continue
			}
			cert, err := p.pair(f, issuers)
			switch {
			case err != nil:
				problems = append(problems, s.problem(f, err.Error()))
			case cert != nil && f.issuer != "":
				problems = append(problems, s.problem(f, fmt.Sprintf("the chain of %s is not whole: the certificate of %s, who issued it, is neither in the file nor in another one of the folder; append it, or clients that have only its root cannot verify the name", cert.Title(), f.issuer)))
				problems = append(problems, validity(f.path, cert, time.Now())...)
			case cert != nil:
				problems = append(problems, validity(f.path, cert, time.Now())...)
			}
		}
		for _, f := range p.files {
			s.pace.Step()
			f.superseded = f.made == nil && len(f.material.Chain) > 0 && p.longer(f) && p.servedLonger(f)
			if len(f.material.Chain) == 0 && !f.used {
				problems = append(problems, certs.Problem{File: f.path, Message: "there is no certificate for this private key in its folder"})
			}
		}
	}
	slices.SortStableFunc(problems, func(a, b certs.Problem) int { return strings.Compare(a.File, b.File) })
	return problems
}

// problem tells what is wrong with a file, and that its old certificate stays.
func (s *Source) problem(f *pemFile, message string) certs.Problem {
	if s.good[f.path] != nil {
		message += "; the certificate that it held before stays in service"
	}
	return certs.Problem{File: f.path, Message: message}
}

// pairing finds the keys for the certificates of one folder.
type pairing struct {
	files   []*pemFile
	keys    map[string]*pemFile       // files with a key alone, by name
	longest map[[sha256.Size]byte]int // certificates of the longest chain of each leaf, where it is longer than one
	public  map[string]*pemFile       // of keys, by public key; made when it is needed
}

func (p *pairing) add(f *pemFile) {
	p.files = append(p.files, f)
	switch n := len(f.material.Chain); {
	case n == 0:
		p.keys[filepath.Base(f.path)] = f
	case n > 1:
		p.longest[f.leaf] = max(p.longest[f.leaf], n)
	}
}

// longer says whether another file of the folder has the same certificate
// with more of its chain, as fullchain.pem has beside cert.pem.
func (p *pairing) longer(f *pemFile) bool {
	return f.material.Key == nil && p.longest[f.leaf] > len(f.material.Chain)
}

// servedLonger says whether such a file makes a certificate, so that f is not needed.
func (p *pairing) servedLonger(f *pemFile) bool {
	return slices.ContainsFunc(p.files, func(o *pemFile) bool {
		return o.made != nil && o.leaf == f.leaf && len(o.material.Chain) > len(f.material.Chain)
	})
}

// pair makes the certificate of a file, or finds it made. nil without an error: it
// is an issuer's certificate, which is there for others to use.
func (p *pairing) pair(f *pemFile, issuers pool) (*certs.Certificate, error) {
	var key *pemFile
	if f.material.Key == nil {
		if key = p.named(f); key == nil {
			key = p.fitting(f.material.Chain[0])
		}
		if key != nil {
			key.used = true
		}
	}
	if !f.tried || f.key != key || f.issuer != "" {
		f.tried, f.key = true, key
		before := f.made
		f.made, f.issuer, f.madeErr = combine(f, key, issuers)
		if f.issuer != "" && before != nil && equal(before, f.made) {
			f.made = before // still not whole
		}
	}
	return f.made, f.madeErr
}

// combine makes the certificate of a file with its own key, or with that of
// another file; key may be nil. A leaf by itself gets the rest of its chain from
// issuers; issuer names who is missing.
func combine(f, key *pemFile, issuers pool) (made *certs.Certificate, issuer string, err error) {
	chain, own := f.material.Chain, f.material.Key
	switch {
	case own != nil:
		// In a bundle the leaf is the one that the key belongs to, wherever it stands.
		if i := slices.IndexFunc(chain, func(c *x509.Certificate) bool { return fits(c, own) }); i > 0 {
			chain = append([]*x509.Certificate{chain[i]}, slices.Delete(slices.Clone(chain), i, i+1)...)
		}
	case key != nil:
		own = key.material.Key
	case chain[0].IsCA:
		return nil, "", nil
	default:
		stem := strings.TrimSuffix(filepath.Base(f.path), filepath.Ext(f.path))
		return nil, "", fmt.Errorf("there is no private key for it: put it into the same file or into %s.key", stem)
	}
	chain, issuer = issuers.complete(chain)
	c, err := certs.New(chain, own)
	if err != nil {
		if key != nil {
			err = fmt.Errorf("with the key in %s: %w", filepath.Base(key.path), err)
		}
		return nil, "", err
	}
	c.Origin = f.path
	c.Default = strings.TrimSuffix(filepath.Base(f.path), filepath.Ext(f.path)) == "default"
	return c, issuer, nil
}

// named finds the file with the key by its name.
func (p *pairing) named(f *pemFile) *pemFile {
	base := filepath.Base(f.path)
	stem := strings.TrimSuffix(base, filepath.Ext(base))
	names := []string{stem + ".key", stem + "-key.pem"}
	if number, ok := strings.CutPrefix(stem, "fullchain"); ok {
		names = append(names, "privkey"+number+".pem")
	}
	for _, name := range names {
		if key := p.keys[name]; key != nil {
			return key
		}
	}
	return nil
}

// fitting finds a key that belongs to a certificate.
func (p *pairing) fitting(leaf *x509.Certificate) *pemFile {
	if p.public == nil {
		p.public = map[string]*pemFile{}
		for _, f := range p.files {
			if len(f.material.Chain) > 0 {
				continue
			}
			if f.public == "" {
				f.public = publicOf(f.material.Key)
			}
			if p.public[f.public] == nil {
				p.public[f.public] = f
			}
		}
	}
	der, err := x509.MarshalPKIXPublicKey(leaf.PublicKey)
	if err != nil {
		return nil
	}
	return p.public[string(der)]
}

// publicOf is the public key of a private one, in a form that can be compared.
func publicOf(key crypto.PrivateKey) string {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return "none"
	}
	der, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		return "none"
	}
	return string(der)
}

func fits(c *x509.Certificate, key crypto.PrivateKey) bool {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return false
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(c.PublicKey)
}

// validity says what is wrong with a certificate that is served nevertheless.
func validity(path string, c *certs.Certificate, now time.Time) (problems []certs.Problem) {
	for _, complaint := range c.Complaints(now) {
		problems = append(problems, certs.Problem{File: path, Message: complaint})
	}
	return problems
}
