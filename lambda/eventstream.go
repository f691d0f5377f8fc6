package lambda

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

// messages reads application/vnd.amazon.eventstream: messages of a prelude (two
// lengths and their CRC), headers, a payload, and the CRC of it all. Payloads are
// passed on as they come, however long they are; the memory is that of in.
type messages struct {
	in    *bufio.Reader
	crc   uint32
	left  int // bytes of the payload that are still to come
	open  bool
	kind  messageKind
	code  []byte // of an exception
	bytes [maxMessageHead]byte
}

type messageKind uint8

const (
	otherMessage messageKind = iota // a kind that came later than this program
	payloadChunk
	invokeComplete
	exceptionMessage
)

const (
	messagePrelude = 12
	messageCRC     = 4
	maxMessageHead = 4 << 10
	maxMessage     = 24 << 20
)

// What a broken stream fails with.
var (
	errMessage    = errors.New("malformed event stream message")
	errMessageCRC = errors.New("event stream message with a wrong checksum")
)

// next passes what is left of the message and reads the head of the following
// one. io.EOF: there is none.
func (m *messages) next() error {
	if m.open {
		if _, err := io.Copy(io.Discard, payloadOf{m}); err != nil {
			return err
		}
	}
	head := m.bytes[:messagePrelude]
	if n, err := io.ReadFull(m.in, head); err != nil {
		if n == 0 && err == io.EOF {
			return io.EOF
		}
		return cut(err)
	}
	total, headers := binary.BigEndian.Uint32(head), binary.BigEndian.Uint32(head[4:])
	if crc32.ChecksumIEEE(head[:8]) != binary.BigEndian.Uint32(head[8:]) {
		return errMessageCRC
	}
	if total > maxMessage || headers > maxMessageHead || total < messagePrelude+headers+messageCRC {
		return errMessage
	}
	m.crc = crc32.ChecksumIEEE(head)
	h := m.bytes[:headers]
	if _, err := io.ReadFull(m.in, h); err != nil {
		return cut(err)
	}
	m.crc = crc32.Update(m.crc, crc32.IEEETable, h)
	m.left, m.open = int(total-messagePrelude-headers-messageCRC), true
	return m.understand(h)
}

// understand reads the headers of a message.
func (m *messages) understand(h []byte) error {
	var message, event []byte
	m.code = nil
	for len(h) > 0 {
		name, value, rest, ok := messageHeader(h)
		if !ok {
			return errMessage
		}
		h = rest
		switch string(name) {
		case ":message-type":
			message = value
		case ":event-type":
			event = value
		case ":exception-type", ":error-code":
			m.code = value
		}
	}
	switch {
	case string(message) == "exception", string(message) == "error":
		m.kind = exceptionMessage
	case string(event) == "PayloadChunk":
		m.kind = payloadChunk
	case string(event) == "InvokeComplete":
		m.kind = invokeComplete
	default:
		m.kind = otherMessage
	}
	return nil
}

// headerSizes are the lengths of values by type; 255 stands for a length of two
// bytes before it.
var headerSizes = [...]uint8{0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 6: 255, 7: 255, 8: 8, 9: 16}

func messageHeader(h []byte) (name, value, rest []byte, ok bool) {
	n := int(h[0])
	if len(h) < 2+n || int(h[1+n]) >= len(headerSizes) {
		return nil, nil, nil, false
	}
	name, h = h[1:1+n], h[1+n:]
	size := int(headerSizes[h[0]])
	h = h[1:]
	if size == 255 {
		if len(h) < 2 {
			return nil, nil, nil, false
		}
		size = int(binary.BigEndian.Uint16(h))
		h = h[2:]
	}
	if len(h) < size {
		return nil, nil, nil, false
	}
	return name, h[:size], h[size:], true
}

// payloadOf reads the payload of the message that next found.
type payloadOf struct{ m *messages }

// Read gives io.EOF when the payload was read and the checksum is right.
func (r payloadOf) Read(p []byte) (int, error) {
	m := r.m
	if m.left == 0 {
		if !m.open {
			return 0, io.EOF
		}
		var sum [messageCRC]byte
		if _, err := io.ReadFull(m.in, sum[:]); err != nil {
			return 0, cut(err)
		}
		if m.open = false; binary.BigEndian.Uint32(sum[:]) != m.crc {
			return 0, errMessageCRC
		}
		return 0, io.EOF
	}
	n, err := m.in.Read(p[:min(len(p), m.left)])
	m.crc = crc32.Update(m.crc, crc32.IEEETable, p[:n])
	m.left -= n
	if n > 0 {
		err = nil
	}
	return n, cut(err)
}

// cut makes the end of the input the error that it is in the middle of
// something.
func cut(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
