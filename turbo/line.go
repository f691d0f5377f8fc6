package turbo

import "slices"

// line is what one application has in service. Its backends follow one another:
// for each change of the definition a new one is made, and the one before it is
// closed some time later, or the new one is, if it did not come into service.
// Each shows the version of its own once that is here, and until then the one that
// was in service when it was made.
type line struct {
	backends []*Backend // that are not closed, the oldest first
	site     *Site      // what the newest of them shows; nil: nothing yet
	past     []*Site    // what was in service before, the newest first
}

// put changes what is in service.
func (l *line) put(s *Site) {
	if l.site == s {
		return
	}
	l.past = l.before(s)
	l.site = s
}

// before lists the versions that s comes after.
func (l *line) before(s *Site) []*Site {
	if l.site == nil || l.site.name == s.name {
		return withoutName(l.past, s.name)
	}
	all := append([]*Site{l.site.alone()}, withoutName(withoutName(l.past, l.site.name), s.name)...)
	return all[:min(len(all), keptVersions)]
}

func withoutName(all []*Site, name string) []*Site {
	return slices.DeleteFunc(slices.Clone(all), func(s *Site) bool { return s.name == name })
}

// join adds a backend to its application's line. It shows what is in service.
func (e *Engine) join(b *Backend) (old *Site) {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := e.lines[b.app]
	if l == nil {
		l = &line{}
		e.lines[b.app] = l
	}
	l.backends = append(l.backends, b)
	if l.site != nil {
		b.show(l.site)
	}
	return l.site
}

// arrive has a backend show its own version. Only the newest backend changes what
// those after it begin with: one that was replaced while its version was on the
// way changes nothing but its own answers.
func (e *Engine) arrive(b *Backend, s *Site) {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := e.lines[b.app]
	if l == nil || !slices.Contains(l.backends, b) {
		return // it is closed
	}
	s.previous = slices.Clip(s.previous) // nobody sees s yet
	for _, p := range l.before(s) {
		if !slices.ContainsFunc(s.previous, func(have *Site) bool { return have.name == p.name }) {
			s.previous = append(s.previous, p)
		}
	}
	b.show(s)
	if l.backends[len(l.backends)-1] == b {
		l.put(s)
	}
}

// leave takes a backend that is closed out of its line. The last one takes the
// line with it.
func (e *Engine) leave(b *Backend) {
	e.mu.Lock()
	defer e.mu.Unlock()
	l := e.lines[b.app]
	if l == nil {
		return
	}
	l.backends = slices.DeleteFunc(l.backends, func(have *Backend) bool { return have == b })
	if len(l.backends) == 0 {
		delete(e.lines, b.app)
		return
	}
	if s := l.backends[len(l.backends)-1].site.Load(); s != nil {
		l.put(s) // the newest one has gone, and the one before it is in service
	}
}

// heritage is what the takeovers of one application served, by prefix: when its
// definition changes, the next one goes on with the same earlier versions.
type heritage struct {
	takeovers int // that are not closed
	sites     map[string]*Site
}

func (e *Engine) joinHeritage(app string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.heritages[app]
	if h == nil {
		h = &heritage{sites: map[string]*Site{}}
		e.heritages[app] = h
	}
	h.takeovers++
}

func (e *Engine) leaveHeritage(app string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.heritages[app]
	if h == nil {
		return
	}
	if h.takeovers--; h.takeovers <= 0 {
		delete(e.heritages, app)
	}
}

// inherited lists the versions of a subtree that a version with that name comes
// after.
func (e *Engine) inherited(app, prefix, name string) []*Site {
	e.mu.Lock()
	defer e.mu.Unlock()
	if h := e.heritages[app]; h != nil && h.sites[prefix] != nil {
		return h.sites[prefix].asPrevious(name)
	}
	return nil
}

func (e *Engine) bequeath(app, prefix string, s *Site) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if h := e.heritages[app]; h != nil && (h.sites[prefix] != nil || len(h.sites) < mostSubtrees) {
		h.sites[prefix] = s
	}
}
