package cli

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/admin"
	"edgerouter/auth"
	"edgerouter/discovery/watch"
)

// checkIPRules says what is wrong with rules of the event stream.
func checkIPRules(text string) error {
	_, err := auth.ParseIPRules("IpRulesUpdated", []byte(text))
	return err
}

// ipRules are the IP rules of a node: those of --ip-rules, which is watched, or
// else those of the event stream. Rules that cannot be used change nothing.
type ipRules struct {
	path   string // of --ip-rules; empty: the stream's
	log    zerolog.Logger
	reload chan struct{}

	current            atomic.Pointer[auth.IPRules] // nil: everybody may enter
	implicit, explicit atomic.Uint64                // requests that were refused

	mu      sync.Mutex
	source  string    // of current
	since   time.Time // current is in service
	text    string    // that was looked at last
	problem string    // of text; empty: it is in service
}

// newIPRules reads the file, if there is one. At the start there is nothing to
// keep, so that rules which cannot be used are an error: without them everybody
// could enter.
func newIPRules(path string, log zerolog.Logger) (*ipRules, error) {
	r := &ipRules{path: path, log: log, reload: make(chan struct{}, 1)}
	if path == "" {
		return r, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--ip-rules: %w", err)
	}
	return r, r.take(path, string(text))
}

// take puts rules into service. Those that cannot be used are told once; the same
// text again changes nothing.
func (r *ipRules) take(source, text string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.source == source && r.text == text {
		return nil
	}
	rules, err := auth.ParseIPRules(source, []byte(text))
	if err != nil {
		r.fail(text, err)
		return err
	}
	r.current.Store(rules)
	r.source, r.text, r.problem, r.since = source, text, "", time.Now()
	r.log.Info().Str("from", source).Int("rules", rules.Len()).Msg("IP rules are in service")
	return nil
}

// fail notes why a text is not in service; r.mu is held.
func (r *ipRules) fail(text string, err error) {
	if problem := err.Error(); r.problem != problem || r.text != text {
		r.text, r.problem = text, problem
		if r.current.Load() != nil {
			r.log.Error().Err(err).Msg("the IP rules cannot be used; those that were in service stay")
		}
	}
}

// fromStream takes the rules of the event stream; empty: it has none.
func (r *ipRules) fromStream(text string) {
	if r.path != "" {
		if text != "" {
			r.log.Warn().Str("file", r.path).Msg("the event stream has IP rules too; those of --ip-rules stay in service on this node")
		}
		return
	}
	if text != "" {
		_ = r.take("event stream", text) // it is told, and was good to the stream
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current.Swap(nil) != nil {
		r.source, r.text, r.problem = "", "", ""
		r.log.Warn().Msg("the IP rules of the event stream were taken away: everybody may enter")
	}
}

// run follows the file.
func (r *ipRules) run(ctx context.Context) {
	watch.Run(ctx, watch.Options{Path: r.path, Now: r.reload, Log: r.log}, func(watch.Look) time.Duration {
		text, err := os.ReadFile(r.path)
		if err != nil {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.fail("", fmt.Errorf("--ip-rules: %w", err))
			return 0
		}
		_ = r.take(r.path, string(text))
		return 0
	})
}

// readAgain looks at the file again, for SIGHUP.
func (r *ipRules) readAgain() {
	select {
	case r.reload <- struct{}{}:
	default:
	}
}

// admit is server.Config.Admit.
func (r *ipRules) admit(client netip.Addr, app string) (denial string) {
	rules := r.current.Load()
	if rules == nil {
		return ""
	}
	switch d := rules.Check(client, app); d {
	case "":
		return ""
	case auth.ExplicitDeny:
		r.explicit.Add(1)
		return string(d)
	default:
		r.implicit.Add(1)
		return string(d)
	}
}

// status is for the API.
func (r *ipRules) status() admin.IPRules {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := admin.IPRules{Source: r.source, Problem: r.problem}
	if rules := r.current.Load(); rules != nil {
		s.Rules, s.Since = rules.Len(), &r.since
	}
	return s
}

// write writes the metrics.
func (r *ipRules) write(w io.Writer) {
	s := r.status()
	broken := 0
	if s.Problem != "" {
		broken = 1
	}
	for _, m := range []struct {
		name, labels, kind, help string
		value                    any
	}{
		{"er_ip_rules", "", "gauge", "IP rules in service; 0: everybody may enter.", s.Rules},
		{"er_ip_rules_broken", "", "gauge", "1 while newer rules cannot be used and the old ones stay.", broken},
		{"er_ip_denied_total", `{reason="implicit"}`, "counter", "Requests that the IP rules refused.", r.implicit.Load()},
		{"er_ip_denied_total", `{reason="explicit"}`, "", "", r.explicit.Load()},
	} {
		if m.kind != "" {
			fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", m.name, m.help, m.name, m.kind)
		}
		fmt.Fprintf(w, "%s%s %v\n", m.name, m.labels, m.value)
	}
}
