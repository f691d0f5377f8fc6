package server

import (
	"sync"

	"edgerouter/wire"
)

// scratch is memory that only a busy connection needs, grown already by others
// that had it before.
type scratch struct {
	fields                             []wire.Field
	owned                              []string
	message, lines, host, path, target []byte
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// How much of a piece is kept for others, in bytes and in fields: few requests
// need more.
const (
	mostScratch = 4 << 10
	mostFields  = 64
)

// borrow gives the connection its scratch memory, if it has none.
func (c *conn) borrow() {
	if c.scratch != nil {
		return
	}
	s := scratches.Get().(*scratch)
	c.scratch = s
	c.x.Head.Fields, c.x.Scratch = s.fields, s.message
	c.x.Owned = s.owned
	c.fwd.lines, c.fwd.host, c.path, c.target = s.lines, s.host, s.path, s.target
}

// handBack returns all memory that was borrowed. What was parsed and made of the
// request must not be used again.
func (c *conn) handBack() {
	if s := c.scratch; s != nil {
		s.fields = nil
		if f := c.x.Head.Fields; cap(f) <= mostFields {
			clear(f[:cap(f)]) // they point into buffers
			s.fields = f[:0]
		}
		s.owned = nil
		if o := c.x.Owned; cap(o) <= mostFields {
			clear(o[:cap(o)])
			s.owned = o[:0]
		}
		s.message, s.lines, s.host = kept(c.x.Scratch), kept(c.fwd.lines), kept(c.fwd.host)
		s.path, s.target = kept(c.path), kept(c.target)
		scratches.Put(s)
		c.scratch, c.path, c.target, c.fwd = nil, nil, nil, forward{}
	}
	c.x.Release()
	c.releaseCtx()
}

func kept(b []byte) []byte {
	if cap(b) > mostScratch {
		return nil
	}
	return b[:0]
}
