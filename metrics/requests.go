package metrics

import (
	"runtime"
	"slices"
	"strings"
	"sync"
)

// requests is the part of a Set that counts the requests of applications.
type requests struct {
	appsMu sync.Mutex
	apps   map[string]*App // by label value
	// sorted are the apps in order, nil after a change; never written to once
	// it is made.
	sorted []appCounts
	// gone counts in the totals alone: applications that were dropped and may
	// still be counting.
	gone map[*counts]struct{}
	// past is the sum of what has been gone for good.
	past totals
	// all is the App of AllApps.
	all *App
}

type appCounts struct {
	label string // value, escaped
	*counts
}

func (r *requests) init() {
	r.apps = map[string]*App{}
	r.all = &App{counts: &counts{}}
	r.gone = map[*counts]struct{}{r.all.counts: {}}
	r.past.requests = map[key]uint64{}
}

// App returns the App with that id and makes it when it is not there. Its series
// show once it has counted a request.
func (s *Set) App(id string) *App { return s.requests.app(escapeLabel(id)) }

// DropApp removes the series of an application for good: whoever still has the
// App may go on with it, and counts in the totals alone. An App that is asked
// for later starts at zero. NotFound and AllApps stay.
func (s *Set) DropApp(id string) {
	if id != NotFound && id != AllApps {
		s.requests.drop(escapeLabel(id))
	}
}

func (r *requests) app(label string) *App {
	r.appsMu.Lock()
	defer r.appsMu.Unlock()
	if label == AllApps {
		return r.all
	}
	a := r.apps[label]
	if a == nil {
		a = &App{counts: &counts{}}
		r.apps[label] = a
		r.sorted = nil
	}
	return a
}

// drop hands the counts over to the totals. They are kept as they are until the
// garbage collector finds that nobody has the App any more: only then is it
// certain that no request adds to them, and that is known without requests
// having to say so.
func (r *requests) drop(label string) {
	r.appsMu.Lock()
	defer r.appsMu.Unlock()
	a := r.apps[label]
	if a == nil {
		return
	}
	delete(r.apps, label)
	r.sorted = nil
	r.gone[a.counts] = struct{}{}
	runtime.AddCleanup(a, r.fold, a.counts)
}

func (r *requests) fold(c *counts) {
	r.appsMu.Lock()
	defer r.appsMu.Unlock()
	delete(r.gone, c)
	r.past.add(c)
}

// snapshot returns the apps in order, and the totals without those of the apps.
func (r *requests) snapshot() ([]appCounts, totals) {
	r.appsMu.Lock()
	defer r.appsMu.Unlock()
	if r.sorted == nil {
		r.sorted = make([]appCounts, 0, len(r.apps))
		for label, a := range r.apps {
			r.sorted = append(r.sorted, appCounts{label, a.counts})
		}
		slices.SortFunc(r.sorted, func(a, b appCounts) int { return strings.Compare(a.label, b.label) })
	}
	t := r.past.clone()
	for c := range r.gone {
		t.add(c)
	}
	return r.sorted, t
}
