package file

import (
	"crypto"
	"crypto/x509"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"edgerouter/certs"
)

// assemble pairs certificates with keys and says what is wrong, sorted by file.
// The result is by the path of the certificate.
func (s *Source) assemble() (map[string]*certs.Certificate, []certs.Problem) {
	found := map[string]*certs.Certificate{}
	var problems []certs.Problem
	folders := map[string][]*pemFile{}
	for _, path := range slices.Sorted(maps.Keys(s.files)) {
		f := s.files[path]
		if f.err != nil {
			problems = append(problems, s.problem(f, f.err.Error()))
			continue
		}
		folders[filepath.Dir(path)] = append(folders[filepath.Dir(path)], f)
	}
	for _, files := range folders {
		p := pairing{files: files, used: map[*pemFile]bool{}}
		for _, f := range files {
			if len(f.material.Chain) == 0 || p.superseded(f) {
				continue
			}
			cert, err := p.pair(f)
			switch {
			case err != nil:
				problems = append(problems, s.problem(f, err.Error()))
			case cert != nil:
				found[f.path] = cert
				problems = append(problems, validity(f.path, cert, time.Now())...)
			}
		}
		for _, f := range files {
			if len(f.material.Chain) == 0 && !p.used[f] {
				problems = append(problems, certs.Problem{File: f.path, Message: "there is no certificate for this private key in its folder"})
			}
		}
	}
	slices.SortStableFunc(problems, func(a, b certs.Problem) int { return strings.Compare(a.File, b.File) })
	return found, problems
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
	files []*pemFile
	used  map[*pemFile]bool // keys that belong to something
}

// superseded says whether another file of the folder has the same certificate
// with more of its chain, as fullchain.pem has beside cert.pem.
func (p *pairing) superseded(f *pemFile) bool {
	for _, o := range p.files {
		if o != f && f.material.Key == nil && len(o.material.Chain) > len(f.material.Chain) &&
			o.material.Chain[0].Equal(f.material.Chain[0]) {
			return true
		}
	}
	return false
}

// pair makes the certificate of a file. nil without an error: it is an issuer's
// certificate, which is there for others to use.
func (p *pairing) pair(f *pemFile) (*certs.Certificate, error) {
	chain, key := f.material.Chain, f.material.Key
	if key == nil {
		keyFile := p.named(f)
		if keyFile == nil {
			keyFile = p.fitting(chain[0])
		}
		if keyFile == nil {
			if chain[0].IsCA {
				return nil, nil
			}
			stem := strings.TrimSuffix(filepath.Base(f.path), filepath.Ext(f.path))
			return nil, fmt.Errorf("there is no private key for it: put it into the same file or into %s.key", stem)
		}
		p.used[keyFile] = true
		c, err := certs.New(chain, keyFile.material.Key)
		if err != nil {
			return nil, fmt.Errorf("with the key in %s: %w", filepath.Base(keyFile.path), err)
		}
		return p.finish(f, c), nil
	}
	// In a bundle the leaf is the one that the key belongs to, wherever it stands.
	if i := slices.IndexFunc(chain, func(c *x509.Certificate) bool { return fits(c, key) }); i > 0 {
		chain = append([]*x509.Certificate{chain[i]}, slices.Delete(slices.Clone(chain), i, i+1)...)
	}
	c, err := certs.New(chain, key)
	if err != nil {
		return nil, err
	}
	return p.finish(f, c), nil
}

func (p *pairing) finish(f *pemFile, c *certs.Certificate) *certs.Certificate {
	c.Origin = f.path
	c.Default = strings.TrimSuffix(filepath.Base(f.path), filepath.Ext(f.path)) == "default"
	return c
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
		for _, o := range p.files {
			if filepath.Base(o.path) == name && o.material.Key != nil && len(o.material.Chain) == 0 {
				return o
			}
		}
	}
	return nil
}

// fitting finds a key that belongs to a certificate.
func (p *pairing) fitting(leaf *x509.Certificate) *pemFile {
	for _, o := range p.files {
		if o.material.Key != nil && len(o.material.Chain) == 0 && fits(leaf, o.material.Key) {
			return o
		}
	}
	return nil
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
