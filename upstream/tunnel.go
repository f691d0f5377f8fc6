package upstream

import (
	"io"
	"net"
	"sync/atomic"
	"time"

	"edgerouter/wire"
)

// tunnelLinger is how long one direction of a tunnel may go on without a byte
// after the other has ended.
const tunnelLinger = 10 * time.Second

// tunnel joins client and peer after 101 (RFC 9110 section 7.8): bytes that came
// early on either side go first, a half-close is passed on, and when one
// direction has ended the other is not waited for long. No time-out of requests
// applies, and a Set that is closed leaves its tunnels alone.
func (c *call) tunnel(p *peer, pc *peerConn) verdict {
	x, now := c.x, wire.Now()
	c.deadline.stop()
	if !x.Finish(&pc.canceler) || pc.abandoned.Load() { // from here on, a half-closed client is not gone
		p.end(outcomeCanceled, 0, now)
		return c.canceled()
	}
	c.s.stats.Tunnels.Add(1)
	head := c.appendSwitch(x.Scratch[:0], &pc.head)
	x.Scratch = head
	client := x.Client.Tunnel()
	pc.Conn.SetDeadline(noDeadline)
	p.end(outcomeOK, now-c.now, now)
	p.inFlight.Add(1)
	defer p.inFlight.Add(-1)
	if x.Respond(101, append(head, pc.in.Buffered()...)) != nil {
		return verdict{done: true}
	}
	pc.in.Release()
	x.Sent += join(client, pc.Conn, c.s.times.linger)
	x.Broken = false
	return verdict{done: true}
}

// join copies both ways until both are at their end, and closes both. It returns
// how many bytes went to the client.
func join(client io.ReadWriteCloser, peer net.Conn, linger time.Duration) int64 {
	var moved atomic.Int64
	up, down, over := make(chan struct{}), make(chan struct{}), make(chan struct{})
	both := func() {
		client.Close()
		peer.Close()
	}
	go func() {
		defer close(over)
		_, clean := pour(peer, client, &moved)
		close(up)
		half(clean, peer, both, down, &moved, linger)
	}()
	n, clean := pour(client, peer, &moved)
	close(down)
	half(clean, client, both, up, &moved, linger)
	both()
	<-over
	return n
}

// half is what happens when one direction has ended: the end is passed on, and
// the other may go on as long as bytes move.
func half(clean bool, dst any, both func(), other <-chan struct{}, moved *atomic.Int64, linger time.Duration) {
	if !clean || closeWrite(dst) != nil {
		both()
		return
	}
	tick := time.NewTicker(linger)
	defer tick.Stop()
	for before := moved.Load(); ; {
		select {
		case <-other:
			return
		case <-tick.C:
			n := moved.Load()
			if n == before {
				both()
				return
			}
			before = n
		}
	}
}

// appendSwitch writes the 101 for the client.
func (c *call) appendSwitch(dst []byte, h *wire.ResponseHead) []byte {
	dst = wire.AppendStatusLine(dst, 101, h.Reason)
	for i := range h.Fields {
		f := &h.Fields[i]
		switch f.Kind {
		case wire.Ordinary, wire.ContentType, wire.Date, wire.Server, wire.Cookie:
			if !wire.AnyName(c.s.fixed.dropResponse, f.Name) {
				dst = appendField(dst, f)
			}
		}
	}
	dst = append(dst, c.s.fixed.toClient...)
	protocol := h.Upgrade
	if len(protocol) == 0 {
		protocol = c.upgrade
	}
	dst = append(dst, "Connection: Upgrade\r\n"...)
	dst = wire.AppendField(dst, "Upgrade", protocol)
	return append(dst, "\r\n"...)
}

// pour copies until either side ends. clean tells that it was the end of src.
func pour(dst io.Writer, src io.Reader, moved *atomic.Int64) (total int64, clean bool) {
	buf := wire.GetBuffer()
	defer wire.PutBuffer(buf)
	for {
		n, err := src.Read(buf[:])
		if n > 0 {
			if _, werr := dst.Write(buf[:n]); werr != nil {
				return total, false
			}
			total += int64(n)
			moved.Add(int64(n))
		}
		if err != nil {
			return total, eof(err)
		}
	}
}

func closeWrite(c any) error {
	switch c := c.(type) {
	case interface{ CloseWrite() error }:
		return c.CloseWrite()
	case io.Closer:
		return c.Close()
	}
	return nil
}
