package upstream

import "edgerouter/wire"

// buffer is the memory that a body goes through. It begins small and is made
// large when more than a trickle comes, so that many slow clients and silent
// streams cost little. The zero value has no memory yet.
type buffer struct {
	small *[wire.BufferSize]byte
	large *[wire.CopyBufferSize]byte
}

// start takes the memory. much tells that it will be needed soon.
func (b *buffer) start(much bool) []byte {
	if much {
		return b.grow(0)
	}
	b.small = wire.GetBuffer()
	return b.small[:]
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
