package server

import "sync"

// registry holds the open connections, for the sweeper and for Shutdown. Those
// that are parked stand behind the others, so that what is done often need not
// look at them.
type registry struct {
	mu      sync.Mutex
	list    []*conn
	awake   int // list[awake:] are parked
	last    uint64
	watched map[uint64]*conn // by id: those whose hang-up the kernel reports
}

// registered is what the registry knows of a connection; its mutex guards it.
type registered struct {
	id      uint64
	slot    int // in list
	watched bool
	hungUp  bool  // the client has closed its side
	looked  int64 // the state in which it was last among the idle ones of older
}

func (r *registry) add(c *conn) {
	r.mu.Lock()
	r.last++
	c.id = r.last
	c.slot = len(r.list)
	r.list = append(r.list, c)
	r.swap(c, r.awake)
	r.awake++
	r.mu.Unlock()
}

func (r *registry) remove(c *conn) {
	r.mu.Lock()
	if c.slot < r.awake {
		r.awake--
		r.swap(c, r.awake)
	}
	last := len(r.list) - 1
	r.swap(c, last)
	r.list[last] = nil
	r.list = r.list[:last]
	if c.watched {
		delete(r.watched, c.id)
	}
	r.mu.Unlock()
}

func (r *registry) park(c *conn) {
	r.mu.Lock()
	r.awake--
	r.swap(c, r.awake)
	r.mu.Unlock()
}

func (r *registry) unpark(c *conn) {
	r.mu.Lock()
	r.swap(c, r.awake)
	r.awake++
	r.mu.Unlock()
}

// swap puts c into a slot and what was there into c's.
func (r *registry) swap(c *conn, slot int) {
	other := r.list[slot]
	r.list[c.slot], r.list[slot] = other, c
	other.slot, c.slot = c.slot, slot
}

func (r *registry) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.list)
}

// parked is the number of idle connections that hold no buffers.
func (r *registry) parked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.list) - r.awake
}

// older appends the connections whose request began before t: to fresh those
// that were never watched, and now are, to gone those whose client has left; and
// to idle those that are idle since before t, once.
func (r *registry) older(t int64, fresh, gone []*conn, idle []pause) (_, _ []*conn, _ []pause) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.list[:r.awake] {
		switch s := c.state.Load(); {
		case s < 0 && -s < t && c.looked != s:
			c.looked = s
			idle = append(idle, pause{c, s})
		case s <= busy || s >= t:
		case c.hungUp:
			gone = append(gone, c)
		case !c.watched:
			if r.watched == nil {
				r.watched = make(map[uint64]*conn)
			}
			c.watched = true
			r.watched[c.id] = c
			fresh = append(fresh, c)
		}
	}
	return fresh, gone, idle
}

// pause is a connection that is idle, and its state then.
type pause struct {
	c     *conn
	state int64
}

// markHungUp notes what the kernel reported of a watched connection and returns
// it, nil when it has ended meanwhile.
func (r *registry) markHungUp(id uint64) *conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.watched[id]
	if c != nil {
		c.hungUp = true
	}
	return c
}

// closeIdle wakes connections up that have been idle for d, at most limit of
// them; they end unless a request has arrived. It returns how many are open.
func (r *registry) closeIdle(now, d int64, limit int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.list) - 1; i >= 0 && limit > 0; i-- {
		c := r.list[i]
		if s := c.state.Load(); s < 0 && now+s > d && c.state.CompareAndSwap(s, taken) {
			c.raw.SetReadDeadline(past)
			limit--
		}
	}
	return len(r.list)
}

// settled returns when what closeIdle does with a connection that it took is done.
func (r *registry) settled() {
	r.mu.Lock()
	defer r.mu.Unlock()
}

// take has an idle connection end like closeIdle, unless it is at work again:
// state is what it was when it was found idle.
func (r *registry) take(c *conn, state int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.state.CompareAndSwap(state, taken) {
		c.raw.SetReadDeadline(past)
	}
}

// cut ends all connections at once and returns how many there were. Those that
// answer a request inside of a read close when they are done with it.
func (r *registry) cut() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.list {
		go c.abort()
	}
	return len(r.list)
}
