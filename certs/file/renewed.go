package file

import (
	"path/filepath"
	"slices"
	"strings"
	"time"

	"edgerouter/certs"
)

// renewed is the short way for the change that is most frequent: one file with
// certificate and key has taken another one's place, and nothing is wrong with
// either. It touches no other file, however many there are. false: it is not that
// change, and nothing has happened but that the file was read.
func (s *Source) renewed(path string, now time.Time, set func([]*certs.Certificate, []certs.Problem)) bool {
	old := s.files[path]
	at, known := slices.BinarySearchFunc(s.last, path, func(c *certs.Certificate, path string) int { return strings.Compare(c.Origin, path) })
	about := func(p certs.Problem) bool { return p.File == path }
	if old == nil || old.made == nil || old.material.Key == nil || !known || s.keyless[filepath.Dir(path)] ||
		slices.ContainsFunc(s.problems, about) || len(s.since) != len(s.problems) || s.waiting {
		return false
	}
	s.read(path, now, true)
	f := s.files[path]
	if f.err != nil || f.material.Key == nil || len(f.material.Chain) == 0 {
		return false
	}
	c, issuer, err := combine(f, nil, nil)
	f.tried, f.made, f.madeErr, f.issuer = true, c, err, issuer
	if err != nil || issuer != "" || len(c.Complaints(now)) > 0 {
		return false
	}
	g := s.good[path]
	if g == nil || equal(g.cert, c) {
		return false
	}
	before := s.last[at]
	s.serve(path, c)
	// A list of 100,000 would be copied three times and looked through as often.
	if s.replace != nil && s.replace(before, c) {
		s.last[at] = c
		return true
	}
	list := slices.Clone(s.last)
	list[at] = c
	s.hand(list, s.problems, set)
	return true
}

// serve puts a certificate that was made of a file into service.
func (s *Source) serve(path string, c *certs.Certificate) *served {
	g := &served{cert: c, whole: s.files[path].issuer == ""}
	s.good[path] = g
	s.log.Info().Str("file", path).Strs("names", c.Names[:min(len(c.Names), 10)]).
		Time("not_after", c.TLS.Leaf.NotAfter).Msg("certificate loaded")
	return g
}
