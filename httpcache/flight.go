package httpcache

import "time"

// patience is how long a request waits for others that ask the peers for the
// same.
const patience = 30 * time.Second

// unshared is for how long a response that could not be stored has requests for
// the same not wait for one another, and unsharedFailure the same after an error.
const (
	unshared        = time.Minute
	unsharedFailure = 5 * time.Second
)

// verdict is what a request to the peers came to, for those that wait for it.
type verdict uint8

const (
	alone     verdict = iota // each has to ask: it cannot be shared
	failed                   // so too: the peers fail
	stored                   // it is stored
	abandoned                // its client left before it was there
)

// flight is a request to the peers that others wait for.
type flight struct {
	done    chan struct{}
	verdict verdict // once done is closed
}

// lead returns a flight of the caller's own, who has to land it, or the one to
// wait for; neither when requests for the same do not wait for one another.
func (c *Cache) lead(q *query) (own, wait *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at, ok := c.unstored.get(q.key + "\x01" + q.edge); ok {
		if since := c.now().Sub(at); since >= 0 && since < unshared {
			return nil, nil
		}
	}
	return c.begin(q)
}

// begin is lead for who does not wait in any case. The lock is held.
func (c *Cache) begin(q *query) (own, wait *flight) {
	if f := c.flights[q.flight]; f != nil {
		return nil, f
	}
	f := &flight{done: make(chan struct{})}
	c.flights[q.flight] = f
	return f, nil
}

// land ends a flight. That it could not be shared is remembered for a while.
func (c *Cache) land(q *query, name string, f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flights[name] == f {
		delete(c.flights, name)
	}
	close(f.done)
	switch f.verdict {
	case alone:
		c.unstored.put(q.key+"\x01"+q.edge, c.now())
	case failed:
		c.unstored.put(q.key+"\x01"+q.edge, c.now().Add(unsharedFailure-unshared))
	case stored:
		c.unstored.forget(q.key + "\x01" + q.edge)
	}
}

// wait reports whether f landed in time.
func (f *flight) wait(until <-chan time.Time) bool {
	select {
	case <-f.done:
		return true
	case <-until:
		return false
	}
}
