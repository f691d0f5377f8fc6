package acme

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"edgerouter/certs"
)

// trouble is what went wrong for a host the last time.
type trouble struct {
	text string
	at   time.Time
}

// pause is what the vault has of a CA's limit, so that no node asks before its end.
type pause struct {
	Until  time.Time
	Detail string
}

const (
	pauseFolder = "pauses/"
	// defaultPause is for a CA that does not say how long its limit lasts.
	defaultPause = time.Hour
	maxPause     = 7 * 24 * time.Hour
)

// errPaused ends an attempt before the CA is asked.
var errPaused = errors.New("the CA's limit is not over yet")

// event is certmagic's hook: an error before the obtaining ends the attempt.
func (m *Manager) event(ctx context.Context, name string, data map[string]any) error {
	host, _ := data["identifier"].(string)
	switch name {
	case "cert_obtaining":
		if p, ok := m.paused(host, time.Now()); ok {
			return fmt.Errorf("%w: %s; until %s", errPaused, p.Detail, p.Until.UTC().Format(time.RFC3339))
		}
	case "cert_obtained":
		m.obtained.Inc()
		m.mu.Lock()
		delete(m.trouble, host)
		m.mu.Unlock()
		m.opts.Logger.Info().Str("source", certs.SourceACME).Str("name", host).Str("ca", m.opts.Directory).Any("renewal", data["renewal"]).
			Msg("certificate obtained")
		m.wake()
	case "cert_failed":
		err, _ := data["error"].(error)
		m.remember(ctx, host, err)
		m.fail(host, err)
	}
	return nil
}

// paused says whether the CA's limit for a host is still in force.
func (m *Manager) paused(host string, now time.Time) (p pause, ok bool) {
	value, err := m.opts.Vault.Get(pauseFolder + host)
	return p, err == nil && json.Unmarshal(value, &p) == nil && now.Before(p.Until)
}

// remember tells the cluster of a CA's limit.
func (m *Manager) remember(ctx context.Context, host string, err error) {
	var problem acme.Problem
	if !errors.As(err, &problem) || problem.Type != acme.ProblemTypeRateLimited {
		return
	}
	value, _ := json.Marshal(pause{Until: retryAfter(problem.Detail, time.Now()), Detail: problem.Detail}) // always encodes
	if err := m.storage.Store(ctx, pauseFolder+host, value); err != nil {
		m.opts.Logger.Warn().Err(err).Str("name", host).Msg("ACME: the CA's limit could not be told to the other nodes")
	}
}

// afterTime finds when a CA wants to be asked again: Let's Encrypt says it in the
// text of the problem.
var afterTime = regexp.MustCompile(`retry after (\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)`)

func retryAfter(detail string, now time.Time) time.Time {
	until := now.Add(defaultPause)
	if found := afterTime.FindStringSubmatch(detail); found != nil {
		if at, err := time.Parse(time.DateTime, found[1]+" "+found[2]); err == nil {
			until = at
		}
	}
	if latest := now.Add(maxPause); until.After(latest) {
		return latest
	}
	return until
}

// fail notes and tells what went wrong.
func (m *Manager) fail(host string, err error) {
	m.failed.Inc()
	text := fmt.Sprintf("ACME: no certificate for %s from %s: %s; it is tried again by itself, and certificates in service stay", certs.Clean(host), m.opts.Directory, explain(host, err))
	m.mu.Lock()
	m.trouble[host] = trouble{text, time.Now()}
	m.mu.Unlock()
	m.opts.Logger.Warn().Str("source", certs.SourceACME).Str("name", host).Msg("certificate: " + text)
	m.wake()
}

// explain says what happened and what to look at.
func explain(host string, err error) string {
	var problem acme.Problem
	var refused *net.OpError
	var unreachable *url.Error
	switch {
	case errors.As(err, &problem) && problem.Type == acme.ProblemTypeRateLimited:
		return fmt.Sprintf("the CA limits how many it issues, and is not asked again before %s: %s",
			retryAfter(problem.Detail, time.Now()).UTC().Format(time.RFC3339), detail(problem))
	case errors.As(err, &problem):
		return fmt.Sprintf("the CA refuses: %s; see that the DNS record of %s leads to these nodes, and that the CA can reach port 80 (HTTP-01) or 443 (TLS-ALPN-01)",
			detail(problem), host)
	case errors.As(err, &unreachable), errors.As(err, &refused):
		return fmt.Sprintf("the CA cannot be reached: %v; see --acme-directory, --acme-ca-root and what this node may connect to", err)
	case err == nil:
		return "the reason is not known"
	}
	return err.Error()
}

// detail is a problem in one line.
func detail(p acme.Problem) string {
	text := p.Detail
	for _, sub := range p.Subproblems {
		text += "; " + sub.Detail
	}
	return fmt.Sprintf("%s (%s)", text, p.Type)
}

// settle forgets the trouble of hosts that have got a certificate since, from
// whichever node. m.mu is held.
func (m *Manager) settle() {
	for host, t := range m.trouble {
		if m.issuedAfter(host, t.at) {
			delete(m.trouble, host)
		}
	}
}

// issuedAfter says whether a certificate of the host was written after a time.
func (m *Manager) issuedAfter(host string, at time.Time) bool {
	for key, l := range m.loaded {
		if l.cert == nil || !slices.Contains(l.cert.Names, host) {
			continue
		}
		if info, err := m.opts.Vault.Stat(key); err == nil && info.Modified.After(at) {
			return true
		}
	}
	return false
}
