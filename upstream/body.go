package upstream

import (
	"bytes"
	"errors"

	"edgerouter/wire"
)

// bufferedBody is up to which size a body of known length is read before a peer
// is bothered with it, so that it can be sent again and a slow client holds no
// peer's connection.
const bufferedBody = wire.CopyBufferSize

// takeBody reads a small body; a larger one, or one of unknown length, is
// streamed. It tells false when the body cannot be had and the client has been
// told.
func (c *call) takeBody() bool {
	x := c.x
	if !c.direct && !c.ctx.Request.IsBodyStream() {
		return c.replacedBody()
	}
	if x.Head.Chunked || x.Head.Length > bufferedBody {
		c.streamed = true
		return true
	}
	if c.deadline != nil {
		c.deadline.watch(stopReading{x.Client})
		defer c.deadline.release()
	}
	size := int(x.Head.Length)
	memory := c.buffer.start(false)
	for n := 0; n < size; {
		if c.deadline.passed() {
			x.Close = true
			c.fail(408)
			return false
		}
		if n == len(memory) {
			memory = c.buffer.grow(n)
		}
		m, err := x.ReadBody(memory[n:min(size, len(memory))])
		n += m
		if err != nil && n < size {
			x.Close = true
			c.fail(bodyStatus(err))
			return false
		}
	}
	c.body = memory[:size]
	c.now = wire.Now()
	return true
}

// replacedBody takes the body that a handler has put in the place of the
// client's, which it must have read.
func (c *call) replacedBody() bool {
	if !c.x.Body.Done() {
		c.x.Close = true
		c.fail(400)
		return false
	}
	c.body = c.ctx.Request.Body()
	c.length = int64(len(c.body))
	c.now = wire.Now()
	return true
}

// bodyStatus is the answer to a client whose body failed.
func bodyStatus(err error) int {
	var we *wire.Error
	switch {
	case errors.As(err, &we):
		return we.Status
	case timedOut(err):
		return 408
	}
	return 400
}

// errTooLarge is a streamed body beyond max_request_body.
var errTooLarge = &wire.Error{Status: 413, Reason: "the request's body is too large"}

// cookieValue finds a cookie in the request's Cookie fields (RFC 6265 section
// 4.2.1), nil when there is none.
func cookieValue(h *wire.RequestHead, name string) []byte {
	for i := range h.Fields {
		if h.Fields[i].Kind != wire.Cookie {
			continue
		}
		list := h.Fields[i].Value
		for len(list) > 0 {
			pair := list
			if j := bytes.IndexByte(list, ';'); j >= 0 {
				pair, list = list[:j], list[j+1:]
			} else {
				list = nil
			}
			for len(pair) > 0 && pair[0] == ' ' {
				pair = pair[1:]
			}
			if len(pair) > len(name) && pair[len(name)] == '=' && string(pair[:len(name)]) == name {
				return pair[len(name)+1:]
			}
		}
	}
	return nil
}
