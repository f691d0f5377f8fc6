package certs

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"
	"time"

	"edgerouter/metrics"
)

const (
	// WarnBefore is how long before a certificate ends the log starts to warn.
	WarnBefore = 14 * 24 * time.Hour
	// warnEvery is how often it warns of one certificate.
	warnEvery = 24 * time.Hour
	// checkEvery is how often certificates are looked at; one that expires yields
	// its names within this time.
	checkEvery = time.Hour
	// maxExpirySeries bounds er_cert_expiry_timestamp_seconds: the certificates
	// that end first are the ones that show.
	maxExpirySeries = 1000
)

// Run watches the clock until ctx ends: it warns of certificates that end
// within 14 days, and gives the names of those that ended to others that have them.
func (s *Store) Run(ctx context.Context) {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	warned := map[string]time.Time{} // fingerprint -> when last
	for {
		s.check(time.Now(), warned)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Store) check(now time.Time, warned map[string]time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refresh(now)
	seen := map[string]bool{}
	for _, src := range s.sources {
		for _, c := range src.certs {
			left := c.TLS.Leaf.NotAfter.Sub(now)
			if left > WarnBefore {
				continue
			}
			id := c.Fingerprint()
			seen[id] = true
			if last, ok := warned[id]; ok && now.Sub(last) < warnEvery {
				continue
			}
			warned[id] = now
			event := s.opts.Log.Warn().Strs("names", c.Names[:min(len(c.Names), 10)]).Str("source", src.name).
				Str("origin", c.Origin).Time("not_after", c.TLS.Leaf.NotAfter)
			if left < 0 {
				event.Msg("certificate has expired")
			} else {
				event.Int("days_left", int(left/(24*time.Hour))).Msg("certificate expires soon")
			}
		}
	}
	for id := range warned {
		if !seen[id] {
			delete(warned, id)
		}
	}
}

// refresh looks at the clock: certificates that began or ended to be valid since
// they were last looked at change places with others of their names. s.mu is held.
func (s *Store) refresh(now time.Time) {
	var without, with []*held
	for _, src := range s.sources {
		for i, h := range src.certs {
			if valid := h.ValidAt(now); valid != h.valid {
				fresh := *h
				fresh.valid = valid
				without, with = append(without, h), append(with, &fresh)
				src.certs[i] = &fresh
			}
		}
	}
	if len(with) > 0 {
		s.table.Store(s.table.Load().change(without, with))
	}
	s.expiry.update(s.sources)
}

// expiryGauges are the er_cert_expiry_timestamp_seconds series: one for the
// first name of each certificate.
type expiryGauges struct {
	metrics *metrics.Set
	series  map[string]*atomic.Int64 // first name -> unix seconds
}

func newExpiryGauges(ms *metrics.Set) expiryGauges {
	return expiryGauges{metrics: ms, series: map[string]*atomic.Int64{}}
}

// changed brings the series up to date after a change; of many certificates that
// is left to the clock, because it looks at all of them.
func (g *expiryGauges) changed(sources []sourceCerts) {
	n := 0
	for _, src := range sources {
		n += len(src.certs)
	}
	if n <= 2*maxExpirySeries {
		g.update(sources)
	}
}

// update makes the series those of the certificates that end first. Of several
// with one name the last to end counts: it is the one that serves.
func (g *expiryGauges) update(sources []sourceCerts) {
	ends := map[string]int64{}
	for _, src := range sources {
		for _, c := range src.certs {
			if len(c.Names) > 0 {
				ends[c.Names[0]] = max(ends[c.Names[0]], c.TLS.Leaf.NotAfter.Unix())
			}
		}
	}
	if len(ends) > maxExpirySeries {
		names := make([]string, 0, len(ends))
		for name := range ends {
			names = append(names, name)
		}
		slices.SortFunc(names, func(a, b string) int {
			return cmp.Or(cmp.Compare(ends[a], ends[b]), cmp.Compare(a, b))
		})
		for _, name := range names[maxExpirySeries:] {
			delete(ends, name)
		}
	}
	for name := range g.series {
		if _, still := ends[name]; !still {
			g.metrics.Unregister(expirySeries(name))
			delete(g.series, name)
		}
	}
	for name, end := range ends {
		value, there := g.series[name]
		if !there {
			value = new(atomic.Int64)
			g.series[name] = value
			value.Store(end)
			g.metrics.Gauge(expirySeries(name), func() float64 { return float64(value.Load()) })
			continue
		}
		value.Store(end)
	}
}

func expirySeries(name string) string {
	return metrics.Name("er_cert_expiry_timestamp_seconds", "name", name)
}
