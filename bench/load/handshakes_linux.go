package load

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// RunHandshakes makes a TLS connection for each request: connect, handshake, one
// request that says Connection: close, and its response. With resume each worker
// offers the session of its last connection, and a handshake that was not
// resumed counts as an error (ErrConnect).
//
// It uses goroutines and crypto/tls, of which Config's Requests[0], TLS, Target,
// Connections, Warmup, Duration, MaxRequests, Status, Length, Timeout, OnStart
// and OnEnd matter: a handshake costs both sides a hundred times what a request does, so
// that the cost of the load's plumbing does not. Latency begins with the connect.
func RunHandshakes(ctx context.Context, cfg Config, resume bool) (*Result, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.TLS == nil {
		return nil, errors.New("load: handshakes need a TLS configuration")
	}
	h := &handshakes{cfg: cfg, resume: resume, enough: make(chan struct{})}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make([]Result, cfg.Connections)
	var wg sync.WaitGroup
	for i := range results {
		results[i].Latency = NewHistogram()
		wg.Go(func() { h.work(ctx, &results[i]) })
	}
	err := h.clock(ctx)
	from, to := h.from, time.Now()
	h.measuring.Store(false)
	if err == nil && cfg.OnEnd != nil {
		cfg.OnEnd()
	}
	cancel()
	wg.Wait()
	if err != nil {
		return nil, err
	}
	sum := &Result{Duration: to.Sub(from), Latency: NewHistogram()}
	for i := range results {
		sum.Add(&results[i]) // whose durations are 0
	}
	return sum, nil
}

type handshakes struct {
	cfg       Config
	resume    bool
	measuring atomic.Bool
	requests  atomic.Int64 // in the window, failed ones included
	enough    chan struct{}
	from      time.Time
}

// counted ends the window when there have been enough requests.
func (h *handshakes) counted() {
	if h.measuring.Load() && h.requests.Add(1) == h.cfg.MaxRequests {
		close(h.enough)
	}
}

// clock waits through the warm-up and the window.
func (h *handshakes) clock(ctx context.Context) error {
	if err := wait(ctx, h.cfg.Warmup); err != nil {
		return err
	}
	if h.cfg.OnStart != nil {
		h.cfg.OnStart()
	}
	h.from = time.Now()
	h.measuring.Store(true)
	t := time.NewTimer(h.cfg.Duration)
	defer t.Stop()
	select {
	case <-t.C:
	case <-h.enough:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// handshakeError says at which step a connection failed.
type handshakeError struct {
	kind  ErrorKind
	cause error
}

func (e *handshakeError) Error() string { return fmt.Sprintf("%s: %v", e.kind, e.cause) }

func (h *handshakes) work(ctx context.Context, r *Result) {
	cfg := h.cfg.TLS.Clone()
	if h.resume {
		cfg.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	}
	for first := true; ctx.Err() == nil; first = false {
		began := time.Now()
		n, err := h.once(ctx, cfg, h.resume && !first)
		took := time.Since(began)
		if ctx.Err() != nil {
			return
		}
		h.counted()
		var failed *handshakeError
		switch {
		case errors.As(err, &failed):
			r.Errors[failed.kind]++
			if r.FirstError == "" {
				r.FirstError = failed.Error()
			}
			// A dead target is not hammered.
			if wait(ctx, 10*time.Millisecond) != nil {
				return
			}
		case h.measuring.Load():
			r.Requests++
			r.Connections++
			r.Bytes += n
			record(r.Latency, int64(took))
		}
	}
}

// once is one connection with one request; it returns the length of the body.
func (h *handshakes) once(ctx context.Context, cfg *tls.Config, mustResume bool) (int64, error) {
	fail := func(kind ErrorKind, err error) (int64, error) { return 0, &handshakeError{kind, err} }
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Timeout)
	defer cancel()
	var dialer net.Dialer
	raw, err := dialer.DialContext(ctx, "tcp", h.cfg.Target.String())
	if err != nil {
		return fail(ErrConnect, err)
	}
	defer raw.Close()
	deadline, _ := ctx.Deadline()
	_ = raw.SetDeadline(deadline)
	conn := tls.Client(raw, cfg)
	if err := conn.HandshakeContext(ctx); err != nil {
		return fail(ErrConnect, err)
	}
	if resumed := conn.ConnectionState().DidResume; mustResume && !resumed {
		return fail(ErrConnect, errors.New("the handshake was not resumed"))
	}
	if _, err := conn.Write(h.cfg.Requests[0].Head); err != nil {
		return fail(ErrWrite, err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return fail(ErrRead, err)
	}
	n, err := io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	switch {
	case err != nil:
		return fail(ErrRead, err)
	case resp.StatusCode != h.cfg.Status:
		return fail(ErrStatus, fmt.Errorf("status %d instead of %d", resp.StatusCode, h.cfg.Status))
	case h.cfg.Length >= 0 && n != h.cfg.Length:
		return fail(ErrLength, fmt.Errorf("a body of %d bytes instead of %d", n, h.cfg.Length))
	}
	return n, nil
}
