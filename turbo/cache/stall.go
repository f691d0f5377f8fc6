package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// stalledAfter is how long a source may send nothing. One that accepts a request
// and never answers would hold the object for all who ask, for ever.
const stalledAfter = 30 * time.Second

var errStalled = errors.New("the store stopped sending")

// watch calls fetch with a context that ends when nothing came for a while. The
// caller calls end.
func (c *Cache) watch(fetch Fetch) (r *watched, end func(), err error) {
	ctx, cancel := context.WithCancelCause(c.ctx)
	w := &watched{ctx: ctx, patience: c.patience}
	w.timer = time.AfterFunc(w.patience, func() { cancel(fmt.Errorf("%w for %s", errStalled, w.patience)) })
	stop := func() {
		w.timer.Stop()
		cancel(nil)
	}
	if w.r, err = fetch(ctx); err != nil {
		defer stop()
		return nil, nil, w.explain(err)
	}
	return w, func() {
		w.r.Close()
		stop()
	}, nil
}

// watched is what is read under watch.
type watched struct {
	r        io.ReadCloser
	ctx      context.Context
	timer    *time.Timer
	patience time.Duration
}

// size is what the source says of it; 0: nothing.
func (w *watched) size() int64 {
	if s, ok := w.r.(interface{ Size() int64 }); ok {
		return s.Size()
	}
	return 0
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if n > 0 {
		w.timer.Reset(w.patience)
	}
	return n, w.explain(err)
}

// explain says what has ended the context.
func (w *watched) explain(err error) error {
	if cause := context.Cause(w.ctx); err != nil && err != io.EOF && errors.Is(cause, errStalled) {
		return cause
	}
	return err
}
