package server

import (
	"io"
	"net"
	"os"

	"edgerouter/wire"
)

// mostJoined is the size up to which head and body are copied together for TLS:
// one record (RFC 8446 section 5.1).
const mostJoined = 16 << 10

// WriteBoth is part of wire.BodySender: one writev on plain connections.
func (c *conn) WriteBoth(head, body []byte) (int64, error) {
	if c.tcp == nil || c.Conn != c.raw {
		if len(head)+len(body) <= mostJoined {
			joined := append(head, body...)
			c.x.Scratch = joined
			n, err := c.Write(joined)
			return int64(n), err
		}
		n, err := c.Write(head)
		if err != nil {
			return int64(n), err
		}
		m, err := c.Write(body)
		return int64(n + m), err
	}
	c.setWriteDeadline(c.x.Ended)
	s := c.send()
	s.both = [2][]byte{head, body}
	s.buffers = s.both[:]
	n, err := s.buffers.WriteTo(c.tcp)
	for err != nil {
		if !c.goesOn(int(n), err) {
			break
		}
		var m int64
		m, err = s.buffers.WriteTo(c.tcp)
		n += m
	}
	s.both = [2][]byte{}
	return n, err
}

func (c *conn) send() *sending {
	if c.sending == nil {
		c.sending = new(sending)
	}
	return c.sending
}

// sendBuffered is SendFile through this process.
func (c *conn) sendBuffered(head []byte, f *os.File, offset, n int64) (sent int64, err error) {
	m, err := c.Write(head)
	if sent = int64(m); err != nil {
		return sent, err
	}
	buf := wire.GetCopyBuffer()
	defer wire.PutCopyBuffer(buf)
	for n > 0 {
		part := buf[:min(int64(len(buf)), n)]
		if _, err := f.ReadAt(part, offset); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return sent, err
		}
		m, err := c.Write(part)
		if sent += int64(m); err != nil {
			return sent, err
		}
		offset += int64(m)
		n -= int64(m)
	}
	return sent, nil
}

// sending is what WriteBoth and SendFile keep with a connection, so that they
// allocate nothing.
type sending struct {
	both    [2][]byte
	buffers net.Buffers
	file    *fileSender
}
