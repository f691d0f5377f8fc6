package docker

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"edgerouter/app"
	"edgerouter/discovery"
)

// watcher keeps what a source emits.
type watcher struct {
	t     *testing.T
	mu    sync.Mutex
	last  discovery.Update
	errs  []error
	count int
	// everProblem: an update had problems.
	everProblem bool
	change      chan struct{}
}

func watchSource(t *testing.T, s *Source) *watcher {
	w := &watcher{t: t, change: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, w.emit) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Error("Run did not return")
		}
	})
	return w
}

func (w *watcher) emit(u discovery.Update) {
	w.mu.Lock()
	if u.Err != nil {
		w.errs = append(w.errs, u.Err)
	} else {
		w.last = u
		w.everProblem = w.everProblem || len(u.Problems) > 0
		w.count++
	}
	w.mu.Unlock()
	select {
	case w.change <- struct{}{}:
	default:
	}
}

// addrs are the peers of an application in the last set, with their weights where
// these are not 1; nil when it is not there.
func (w *watcher) addrs(id string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.last.Apps {
		if a.ID == id {
			return peersOf(a)
		}
	}
	return nil
}

func peersOf(a app.Application) []string {
	out := []string{}
	for _, addr := range a.Backend.PeerSet.Addrs {
		if weight, ok := a.Backend.PeerSet.Weights[addr]; ok {
			addr += fmt.Sprintf("*%d", weight)
		}
		out = append(out, addr)
	}
	if len(out) == 0 {
		return []string{"none"} // it is there, and has no peer
	}
	return out
}

// until waits for a condition and returns how long it took.
func (w *watcher) until(what string, ok func() bool) time.Duration {
	w.t.Helper()
	began := time.Now()
	limit := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-w.change:
		case <-limit:
			w.mu.Lock()
			defer w.mu.Unlock()
			w.t.Fatalf("%s: not within 20 s; last set %v, problems %v, errors %v", what, w.last.Apps, w.last.Problems, w.errs)
		}
	}
	return time.Since(began)
}

func (w *watcher) untilPeers(id string, n int) time.Duration {
	w.t.Helper()
	return w.until(fmt.Sprintf("%d peers of %s", n, id), func() bool {
		a := w.addrs(id)
		return len(a) == n && !slices.Contains(a, "none")
	})
}
