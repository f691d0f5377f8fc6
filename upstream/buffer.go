package upstream

import "edgerouter/wire"

// buffer is the memory that a body goes through. It begins small and is made
// large when more than a trickle comes, so that many slow clients and silent
// streams cost little. The zero value has no memory yet.
type buffer struct {
	small *[wire.BufferSize]byte
	large *[wire.CopyBufferSize]byte
}

// bytes returns all of the memory.
func (b *buffer) bytes() []byte {
	if b.large != nil {
		return b.large[:]
	}
	if b.small == nil {
		b.small = wire.GetBuffer()
	}
	return b.small[:]
}

// start returns the memory for a body of which so much is there already and whose
// length is so much, or below 0 when it is not known.
func (b *buffer) start(have int, length int64) []byte {
	if have > wire.BufferSize/2 || length > wire.BufferSize {
		return b.grow(0)
	}
	return b.bytes()
}

// grow makes the memory large and keeps its first n bytes.
func (b *buffer) grow(n int) []byte {
	if b.large == nil {
		b.large = wire.GetCopyBuffer()
		if b.small != nil {
			copy(b.large[:], b.small[:n])
			wire.PutBuffer(b.small)
			b.small = nil
		}
	}
	return b.large[:]
}

// release gives the memory back.
func (b *buffer) release() {
	if b.small != nil {
		wire.PutBuffer(b.small)
	}
	if b.large != nil {
		wire.PutCopyBuffer(b.large)
	}
	*b = buffer{}
}
