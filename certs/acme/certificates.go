package acme

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"edgerouter/certs"
	"edgerouter/certs/vault"
)

// certsFolder is where certmagic keeps certificates: CA/NAME/NAME.crt and .key.
const certsFolder = "certificates/"

// loaded is a certificate of the vault as it was last read.
type loaded struct {
	cert      *certs.Certificate // the last good one; nil: none yet
	crt, key  int64              // versions of its two parts
	err       error
	triedCert int64 // what err is of
	triedKey  int64
}

// collect lists what is served, by key, and what is wrong.
func (m *Manager) collect(now time.Time) (list []*certs.Certificate, problems []certs.Problem) {
	m.mu.Lock()
	defer m.mu.Unlock()
	infos := map[string]vault.Info{}
	for _, i := range m.opts.Vault.List(certsFolder) {
		infos[i.Key] = i
	}
	for key := range m.loaded {
		if _, there := infos[key]; !there {
			delete(m.loaded, key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(infos)) {
		stem, isCert := strings.CutSuffix(key, ".crt")
		if !isCert {
			continue
		}
		l := m.loaded[key]
		m.load(&l, key, stem+".key", infos)
		m.loaded[key] = l
		if l.cert != nil {
			list = append(list, l.cert)
			for _, complaint := range l.cert.Complaints(now) {
				problems = append(problems, certs.Problem{Message: "ACME: " + complaint})
			}
		}
		if l.err != nil {
			problems = append(problems, certs.Problem{Message: fmt.Sprintf("ACME: the certificate of %s in the vault: %v", path.Base(stem), l.err)})
		}
	}
	m.settle()
	for _, host := range slices.Sorted(maps.Keys(m.trouble)) {
		problems = append(problems, certs.Problem{Message: m.trouble[host].text})
	}
	return list, problems
}

// load reads a certificate if it has changed. Its parts are written one after
// another: while they do not fit the old one stays.
func (m *Manager) load(l *loaded, certKey, keyKey string, infos map[string]vault.Info) {
	crt, key := infos[certKey].Version, infos[keyKey].Version
	if l.cert != nil && l.crt == crt && l.key == key || l.err != nil && l.triedCert == crt && l.triedKey == key {
		return
	}
	l.triedCert, l.triedKey = crt, key
	var c *certs.Certificate
	if c, l.err = m.read(certKey, keyKey); l.err != nil {
		return
	}
	if l.cert == nil || l.cert.Fingerprint() != c.Fingerprint() {
		m.opts.Logger.Info().Str("source", certs.SourceACME).Strs("names", c.Names).Str("serial", c.TLS.Leaf.SerialNumber.String()).
			Time("not_after", c.TLS.Leaf.NotAfter).Msg("certificate loaded")
		l.cert = c
	}
	l.crt, l.key = crt, key
}

func (m *Manager) read(certKey, keyKey string) (*certs.Certificate, error) {
	chain, err := m.opts.Vault.Get(certKey)
	if err != nil {
		return nil, err
	}
	private, err := m.opts.Vault.Get(keyKey)
	if err != nil {
		return nil, err
	}
	public, err := certs.ParsePEM(chain)
	if err != nil {
		return nil, err
	}
	key, err := certs.ParsePEM(private)
	if err != nil {
		return nil, err
	}
	c, err := certs.New(public.Chain, key.Key)
	if err != nil {
		return nil, err
	}
	// Of one name the one that was issued last wins.
	c.Origin, c.Rank = "ACME "+strings.Split(certKey, "/")[1], c.TLS.Leaf.NotBefore.Unix()
	return c, nil
}

// clean removes certificates that ended long ago and whose hosts are not
// configured any more.
func (m *Manager) clean(ctx context.Context, now time.Time) {
	var folders []string
	m.mu.Lock()
	for key, l := range m.loaded {
		host := strings.TrimSuffix(path.Base(key), ".crt")
		if l.cert != nil && m.managed[host] == nil && now.Sub(l.cert.TLS.Leaf.NotAfter) > keepExpired {
			folders = append(folders, path.Dir(key))
		}
	}
	m.mu.Unlock()
	for _, folder := range folders {
		if err := m.storage.Delete(ctx, folder); err != nil {
			m.opts.Logger.Warn().Err(err).Str("folder", folder).Msg("ACME: an expired certificate could not be removed from the vault")
		}
	}
}
