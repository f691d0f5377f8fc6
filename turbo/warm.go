package turbo

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"edgerouter/internal/pace"
	"edgerouter/turbo/cache"
	"edgerouter/turbo/content"
)

const (
	// DefaultWarmUp is that of Engine.WarmUp.
	DefaultWarmUp = 10 * time.Minute
	// warmParallel is how many files are fetched at a time: with a store that takes
	// 30 ms for each, 2,000 are here within 2 s.
	warmParallel = 32
	// toldEvery is how often a warm-up that goes on is told.
	toldEvery = 10 * time.Second
)

// warmUp is one version on the way into the place of another.
type warmUp struct {
	site      *Site
	paths     []string
	objects   []*cache.Object
	done      []bool // by path; not looked at again
	here      atomic.Int64
	dealt     atomic.Int64
	mu        sync.Mutex
	firstFail error
}

// newWarmUp lists what was hot in the old version; nil is none.
func newWarmUp(s, old *Site) *warmUp {
	w := &warmUp{site: s}
	if old != nil {
		w.paths, w.objects = old.hot()
	}
	w.done = make([]bool, len(w.paths))
	return w
}

// files is how many files are here.
func (w *warmUp) files() int { return int(w.here.Load()) }

// round brings here what is not: the files under the same paths. Encodings that
// were in use are made in the background. It returns the first error of a store
// that may do better later; what is not in the store at all, or is damaged there,
// is told when it is asked for.
func (w *warmUp) round(ctx context.Context) error {
	w.firstFail = nil
	work := make(chan int)
	var workers sync.WaitGroup
	for range min(warmParallel, len(w.paths)) {
		workers.Go(func() {
			for i := range work {
				w.one(ctx, i)
			}
		})
	}
	room := pace.New()
	for i := range w.paths {
		if w.done[i] {
			continue
		}
		room.Block()
		if ctx.Err() != nil {
			break
		}
		work <- i
	}
	close(work)
	workers.Wait()
	if w.firstFail != nil {
		return w.firstFail
	}
	return ctx.Err()
}

// one brings one file here.
func (w *warmUp) one(ctx context.Context, i int) {
	now, ok := w.site.find([]byte(w.paths[i]))
	if !ok {
		w.settle(i)
		return
	}
	o, err := now.bring(ctx)
	var damaged *content.Mismatch
	switch {
	case err == nil:
		w.here.Add(1)
		w.settle(i)
		if o != w.objects[i] {
			for _, e := range []cache.Encoding{cache.Gzip, cache.Brotli, cache.Zstd} {
				if w.objects[i].Copy(e) != nil {
					o.Want(e)
				}
			}
		}
	case errors.Is(err, cache.ErrGone), errors.Is(err, cache.ErrTooLarge), errors.As(err, &damaged):
		w.settle(i)
	default:
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.firstFail == nil {
			w.firstFail = err
		}
	}
}

func (w *warmUp) settle(i int) {
	w.done[i] = true
	w.dealt.Add(1)
}

// bring sees to it that the identity copy is here, however long the store takes.
func (f file) bring(ctx context.Context) (*cache.Object, error) {
	o := f.object()
	if o == nil {
		return nil, errUnavailable
	}
	if o.Copy(cache.Identity) != nil {
		return o, nil
	}
	_, err := o.Load(ctx, f.site.fetch(f.i))
	return o, err
}

// run repeats rounds, with pauses, until all is here or ctx ends. told is called
// every ten seconds with how far it is.
func (w *warmUp) run(ctx context.Context, told func(dealt, all int)) error {
	if len(w.paths) == 0 {
		return ctx.Err()
	}
	over := make(chan struct{})
	var telling sync.WaitGroup
	telling.Go(func() {
		ticker := time.NewTicker(toldEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				told(int(w.dealt.Load()), len(w.paths))
			case <-over:
				return
			}
		}
	})
	defer telling.Wait()
	defer close(over)
	pause := retryFirst
	for {
		err := w.round(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
		pause = min(2*pause, retryMost)
	}
}
