package httpcache

import (
	"container/list"
	"slices"
	"strings"
)

// target is what is stored for one URL.
type target struct {
	shapes []*shape   // the last stored into at the end
	recent *list.List // of *entry, the last used first
}

// shape holds the responses of a target whose Vary names the same fields, by the
// values that these had (RFC 9111 section 4.1).
type shape struct {
	names   []string // in lower case and order, none twice
	entries map[string]*entry
}

// variant is the key of a response within a shape.
func variant(edge string, names []string, field func(name string) string) string {
	if len(names) == 0 {
		return edge
	}
	var b strings.Builder
	b.WriteString(edge)
	for _, name := range names {
		b.WriteByte('\x01')
		b.WriteString(field(name))
	}
	return b.String()
}

// find returns the stored response that a request selects, the newest of several,
// and whether there are others that differ by Vary. It sets q.flight.
func (c *Cache) find(q *query) (found *entry, others bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.targets[q.key]
	if t == nil {
		q.flight = q.key + "\x01" + q.edge
		return nil, false
	}
	for _, s := range t.shapes {
		name := variant(q.edge, s.names, q.field)
		if e := s.entries[name]; e != nil && (found == nil || e.received.After(found.received)) {
			found = e
		}
		q.flight = q.key + "\x01" + name // in the end that of the last shape
		others = others || len(s.names) > 0
	}
	if found != nil {
		c.recent.MoveToFront(found.place)
		t.recent.MoveToFront(found.near)
	}
	return found, others
}

// put stores a response in the place of the one that the same requests select.
// False: what it may say was dropped after it was asked for.
func (c *Cache) put(key string, e *entry) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if dropped, ok := c.dropped.get(key); ok && e.asked.Before(dropped) || e.asked.Before(c.purged) {
		return false
	}
	t := c.targets[key]
	if t == nil {
		t = &target{recent: list.New()}
		c.targets[key] = t
	}
	i := slices.IndexFunc(t.shapes, func(s *shape) bool { return slices.Equal(s.names, e.vary) })
	if i < 0 {
		if len(t.shapes) >= mostShapes {
			c.dropShape(t, t.shapes[0])
		}
		i, t.shapes = len(t.shapes), append(t.shapes, &shape{names: e.vary, entries: map[string]*entry{}})
	}
	s := t.shapes[i]
	t.shapes = append(slices.Delete(t.shapes, i, i+1), s)
	if old := s.entries[e.variant]; old != nil {
		c.unlink(t, old)
	}
	e.key, e.shape = key, s
	s.entries[e.variant] = e
	e.place, e.near = c.recent.PushFront(e), t.recent.PushFront(e)
	c.bytes += e.cost()
	if t.recent.Len() > mostVariants {
		c.forget(t.recent.Back().Value.(*entry))
	}
	most := c.opts.MaxDisk.Or(defaultMost)
	for c.recent.Len() > 1 && (c.bytes > most || c.recent.Len() > mostEntries) {
		c.forget(c.recent.Back().Value.(*entry))
	}
	return true
}

// remove forgets one response, unless it was replaced already.
func (c *Cache) remove(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.forget(e)
}

// forget is remove with the lock held.
func (c *Cache) forget(e *entry) {
	t := c.targets[e.key]
	if t == nil || e.shape == nil || e.shape.entries[e.variant] != e {
		return
	}
	c.unlink(t, e)
	if len(e.shape.entries) == 0 {
		t.shapes = slices.DeleteFunc(t.shapes, func(s *shape) bool { return s == e.shape })
	}
	if len(t.shapes) == 0 {
		delete(c.targets, e.key)
	}
}

func (c *Cache) unlink(t *target, e *entry) {
	delete(e.shape.entries, e.variant)
	c.recent.Remove(e.place)
	t.recent.Remove(e.near)
	c.bytes -= e.cost()
}

func (c *Cache) dropShape(t *target, s *shape) {
	for _, e := range s.entries {
		c.unlink(t, e)
	}
	t.shapes = slices.DeleteFunc(t.shapes, func(o *shape) bool { return o == s })
}

// drop forgets a target, and what is asked for it now is not stored. The lock is
// held.
func (c *Cache) drop(key string) (n int) {
	c.dropped.put(key, c.now())
	t := c.targets[key]
	if t == nil {
		return 0
	}
	n = t.recent.Len()
	for _, s := range t.shapes {
		c.dropShape(t, s)
	}
	delete(c.targets, key)
	return n
}

// Purge drops what is stored for a host and every target that begins with
// prefix, and says how many responses that were. An empty host is every host.
func (c *Cache) Purge(host, prefix string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.purged = c.now()
	for key := range c.targets {
		h, t, _ := strings.Cut(key, "\x00")
		if (host == "" || h == strings.ToLower(host)) && strings.HasPrefix(t, prefix) {
			n += c.drop(key)
		}
	}
	return n
}
