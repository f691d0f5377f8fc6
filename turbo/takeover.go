package turbo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"edgerouter/turbo/content"
	"edgerouter/wire"
)

const (
	// checkEvery is the default of Engine.CheckEvery.
	checkEvery = 5 * time.Second
	// checkTimeout bounds one.
	checkTimeout = 10 * time.Second
	// mostSubtrees bounds what one application can have taken over.
	mostSubtrees = 16
	// keptVersions is how many earlier versions are searched for what the current
	// one lacks.
	keptVersions = 3
	// A version that was left within the last settle comes back only after it was
	// named by returns checks in a row: while an application is rolled out, its
	// instances name the old and the new one in turn.
	settle  = 30 * time.Second
	returns = 3
)

// Origin is a backend that may advertise. Errors say that nobody answered.
type Origin interface {
	// Advertisement asks with HEAD on a path and returns status and value of the
	// header turbocharger.
	Advertisement(ctx context.Context, host, path string, secure bool) (status int, value string, err error)
}

// Takeover stands before an application and serves those of its subtrees that
// it advertises.
type Takeover struct {
	engine *Engine
	app    string
	log    zerolog.Logger
	ctx    context.Context
	stop   context.CancelFunc
	leave  func()                     // gives up what the next takeover of the application would go on with
	taken  atomic.Pointer[[]*subtree] // the longest prefix first; nil: none

	mu     sync.Mutex
	origin Origin
	// pending are prefixes that are being taken over, were refused or given back,
	// and until when they are not looked at again.
	pending map[string]time.Time
}

// subtree is what was taken over.
type subtree struct {
	prefix string // "/" or "/static"
	host   string // of the request that showed it
	secure bool
	site   atomic.Pointer[Site]

	checked  atomic.Int64 // when the origin was asked last
	checking atomic.Bool

	// What follows belongs to the check under way.
	left    map[content.ID]time.Time // versions that were left, and when
	seen    content.ID               // named by the last check
	row     int                      // in how many checks in a row
	warming *warmUp                  // of the version that is to follow; nil: none
	since   time.Time                // when it began
}

// NewTakeover makes the takeover of an application; SetOrigin completes it.
func (e *Engine) NewTakeover(app string) *Takeover {
	t := &Takeover{engine: e, app: app, log: e.log.With().Str("app", app).Logger(), pending: map[string]time.Time{}}
	t.ctx, t.stop = context.WithCancel(e.ctx)
	e.joinHeritage(app)
	t.leave = sync.OnceFunc(func() { e.leaveHeritage(app) })
	return t
}

// SetOrigin says whom to ask whether a takeover goes on.
func (t *Takeover) SetOrigin(o Origin) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.origin = o
}

// Close ends what goes on in the background. What was taken over is served on.
func (t *Takeover) Close() {
	t.stop()
	t.leave()
}

// Handler serves what was taken over; inner answers the rest, and what cannot be
// had from the store.
func (t *Takeover) Handler(direct bool, inner fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		all := t.taken.Load()
		if all == nil || !t.serve(ctx, direct, *all) {
			inner(ctx)
		}
	}
}

func (t *Takeover) serve(ctx *fasthttp.RequestCtx, direct bool, all []*subtree) (answered bool) {
	r, known := begin(ctx, direct)
	defer r.end()
	path, ok := content.RequestPath(r.room[:0], r.target)
	if !ok {
		return false
	}
	for _, sub := range all {
		rest, ok := sub.below(path)
		if !ok {
			continue
		}
		t.check(sub)
		s := sub.site.Load()
		switch {
		case !known:
			r.fail(405, "only GET and HEAD are answered here")
			return true
		case len(rest) == 0:
			if _, ok := s.find(append([]byte{'/'}, s.opts.Index...)); ok {
				r.redirectToFolder()
				return true
			}
			rest = path[:1]
		}
		r.path, r.prefix = rest, len(path)-len(rest)
		return s.serve(r)
	}
	return false
}

// below is the part of a path behind the prefix: "" or what begins with "/".
func (s *subtree) below(path []byte) ([]byte, bool) {
	if s.prefix == "/" {
		return path, true
	}
	n := len(s.prefix)
	if len(path) < n || string(path[:n]) != s.prefix || len(path) > n && path[n] != '/' {
		return nil, false
	}
	return path[n:], true
}

// Advertised takes the value of a response's header. The takeover begins when
// the manifest is here; until then the origin answers.
func (t *Takeover) Advertised(ctx *fasthttp.RequestCtx, direct bool, value []byte) {
	prefix, id, err := parseAdvertisement(string(value))
	r, _ := begin(ctx, direct)
	defer r.end()
	path, ok := content.RequestPath(r.room[:0], r.target)
	sub := &subtree{prefix: prefix, left: map[content.ID]time.Time{}}
	if err == nil && ok {
		if _, ok = sub.below(path); !ok {
			err = fmt.Errorf("the prefix %q is not that of the path %q", prefix, path)
		}
	}
	if !ok && err == nil {
		return
	}
	if all := t.taken.Load(); err == nil && all != nil {
		if slices.ContainsFunc(*all, func(s *subtree) bool { return s.prefix == prefix }) {
			return // the request was on its way when it was taken over
		}
		if len(*all) >= mostSubtrees {
			err = fmt.Errorf("%d subtrees are the most that an application can have", mostSubtrees)
		}
	}
	if !t.admit(prefix) {
		return
	}
	if err != nil {
		t.refuse(string(value), err)
		return
	}
	if r.x != nil {
		sub.host = string(r.x.Head.Host)
	} else {
		sub.host = string(ctx.Host())
	}
	sub.secure = ctx.IsTLS()
	t.engine.run(func() { t.begin(sub, id) })
}

// admit says whether an advertisement of a prefix is to be looked at now.
func (t *Takeover) admit(prefix string) bool {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if until, ok := t.pending[prefix]; ok && now.Before(until) {
		return false
	}
	if len(t.pending) >= 4*mostSubtrees { // an origin that makes them up
		clear(t.pending)
	}
	t.pending[prefix] = now.Add(t.engine.CheckEvery)
	return true
}

func (t *Takeover) refuse(value string, err error) {
	t.engine.Stats.Refused.Add(1)
	t.log.Warn().Err(err).Str("turbocharger", shorten(value)).Msg("an advertisement cannot be followed; the application serves itself")
}

func shorten(s string) string {
	if len(s) > 200 {
		return s[:200] + "..."
	}
	return s
}

// begin takes a subtree over.
func (t *Takeover) begin(sub *subtree, id content.ID) {
	m, err := t.engine.manifest(t.ctx, id)
	if err != nil {
		if t.ctx.Err() == nil {
			t.refuse(sub.prefix+" "+id.String(), err)
		}
		return
	}
	s := t.engine.manifestSite(m, takenOptions, t.engine.inherited(t.app, sub.prefix, id.String()))
	sub.site.Store(s)
	sub.checked.Store(wire.Now())
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []*subtree
	if old := t.taken.Load(); old != nil {
		if slices.ContainsFunc(*old, func(s *subtree) bool { return s.prefix == sub.prefix }) {
			return
		}
		all = slices.Clone(*old)
	}
	all = append(all, sub)
	slices.SortFunc(all, func(a, b *subtree) int { return len(b.prefix) - len(a.prefix) })
	t.taken.Store(&all)
	t.engine.bequeath(t.app, sub.prefix, s)
	t.engine.Stats.Takeovers.Add(1)
	t.log.Info().Str("prefix", sub.prefix).Str("manifest", id.String()).Int("files", m.Len()).Msg("a subtree was taken over")
}

var takenOptions = SiteOptions{NotFound: "/404.html"}

// check asks the origin in the background, if it was not asked for a while.
func (t *Takeover) check(sub *subtree) {
	now, last := wire.Now(), sub.checked.Load()
	if now-last < int64(t.engine.CheckEvery) || !sub.checked.CompareAndSwap(last, now) || !sub.checking.CompareAndSwap(false, true) {
		return
	}
	t.engine.run(func() {
		defer sub.checking.Store(false)
		t.ask(sub)
	})
}

// ask follows what the origin says now.
func (t *Takeover) ask(sub *subtree) {
	t.mu.Lock()
	origin := t.origin
	t.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.ctx, checkTimeout)
	defer cancel()
	status, value, err := origin.Advertisement(ctx, sub.host, sub.prefix, sub.secure)
	if err != nil {
		// Nobody answered: what is known stays in service.
		t.log.Warn().Err(err).Str("prefix", sub.prefix).Msg("the application cannot be asked for its version; the last one stays in service")
		return
	}
	prefix, id, err := parseAdvertisement(value)
	switch {
	case status >= 400:
		t.end(sub, fmt.Sprintf("HEAD %s is answered with status %d", sub.prefix, status))
	case value == "":
		t.end(sub, "the header is gone")
	case err != nil:
		t.end(sub, err.Error())
	case prefix != sub.prefix:
		t.end(sub, fmt.Sprintf("it names the prefix %q now", shorten(prefix)))
	default:
		t.follow(sub, id)
	}
}

// end gives a subtree back to the application.
func (t *Takeover) end(sub *subtree, reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := slices.Clone(*t.taken.Load())
	all = slices.DeleteFunc(all, func(s *subtree) bool { return s == sub })
	if len(all) == 0 {
		t.taken.Store(nil)
	} else {
		t.taken.Store(&all)
	}
	// Responses may carry the header still; that is no reason to turn about at once.
	t.pending[sub.prefix] = time.Now().Add(t.engine.CheckEvery)
	t.engine.Stats.Ended.Add(1)
	t.log.Info().Str("prefix", sub.prefix).Str("reason", reason).Msg("a takeover has ended; the application serves itself")
}

// follow changes to another version.
func (t *Takeover) follow(sub *subtree, id content.ID) {
	old := sub.site.Load()
	if id == sub.seen {
		sub.row++
	} else {
		sub.seen, sub.row = id, 1
	}
	if old.name == id.String() {
		return
	}
	now := time.Now()
	for other, when := range sub.left {
		if now.Sub(when) > settle {
			delete(sub.left, other)
		}
	}
	if _, justLeft := sub.left[id]; justLeft && sub.row < returns {
		return
	}
	if sub.warming == nil || sub.warming.site.name != id.String() {
		m, err := t.engine.manifest(t.ctx, id)
		if err != nil {
			if t.ctx.Err() == nil {
				t.refuse(sub.prefix+" "+id.String(), err)
			}
			return
		}
		sub.warming, sub.since = newWarmUp(t.engine.manifestSite(m, takenOptions, old.asPrevious(id.String())), old), now
	}
	w := sub.warming
	if err := t.warm(w, now.Sub(sub.since)); t.ctx.Err() != nil {
		return
	} else if err != nil {
		if time.Since(sub.since) < t.engine.WarmUp {
			// The version that is here is whole, and the next check, which goes on with
			// what is missing, is not far.
			t.refuse(sub.prefix+" "+id.String(), fmt.Errorf("of %d files that are hot %d are here: %w", len(w.paths), w.files(), err))
			return
		}
		t.log.Warn().Err(err).Str("prefix", sub.prefix).Int("files", w.files()).Int("of", len(w.paths)).Msg("not all files that were hot are here; the version is served nevertheless (--turbocharger-warm-up)")
	}
	s, files := w.site, w.files()
	sub.warming = nil
	sub.site.Store(s)
	if was, err := content.ParseID(old.name); err == nil {
		sub.left[was] = now
	}
	t.engine.bequeath(t.app, sub.prefix, s)
	t.engine.Stats.Switches.Add(1)
	t.log.Info().Str("prefix", sub.prefix).Str("manifest", id.String()).Int("warm", files).Msg("a version of a subtree is in service")
}

// warmRound bounds how long files are fetched before the origin is asked again
// which version it names.
const warmRound = time.Minute

// warm goes on with a warm-up that has taken that long.
func (t *Takeover) warm(w *warmUp, took time.Duration) error {
	left := t.engine.WarmUp - took
	if left <= 0 {
		if t.engine.WarmUp == 0 {
			return nil // it is not waited for
		}
		return context.DeadlineExceeded
	}
	ctx, cancel := context.WithTimeout(t.ctx, min(left, warmRound))
	defer cancel()
	return w.round(ctx)
}

var errAdvertisement = errors.New("want a prefix and the id of a manifest, such as \"/static EaTUYaox...\"")

// parseAdvertisement reads "/prefix ID", or the two in the other order.
func parseAdvertisement(value string) (prefix string, id content.ID, err error) {
	parts := strings.Fields(value)
	if len(parts) != 2 {
		return "", id, errAdvertisement
	}
	prefix, text := parts[0], parts[1]
	if strings.HasPrefix(text, "/") {
		prefix, text = text, prefix
	}
	if id, err = content.ParseID(text); err != nil {
		return "", id, fmt.Errorf("the manifest %q: %w", shorten(text), err)
	}
	if prefix == "/" {
		return prefix, id, nil
	}
	prefix = strings.TrimSuffix(prefix, "/")
	if err := content.CheckPath(prefix); err != nil {
		return "", id, fmt.Errorf("the prefix %q: %w", shorten(prefix), err)
	}
	return prefix, id, nil
}
