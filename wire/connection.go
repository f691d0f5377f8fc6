package wire

import (
	"hash/maphash"
	"math/bits"
)

// connectionTokens reads the Connection fields and marks the fields that they
// name as Hop.
func connectionTokens(fields []Field) (closing, keep, upgrade bool) {
	others := false
	eachToken(fields, func(t []byte) {
		switch {
		case EqualFold(t, "close"):
			closing = true
		case EqualFold(t, "keep-alive"):
			keep = true
		case EqualFold(t, "upgrade"):
			upgrade = true
		case EqualFold(t, "te"):
		default:
			others = true
		}
	})
	if others {
		markNamed(fields)
	}
	return closing, keep, upgrade
}

// eachToken calls f with the elements of all Connection fields.
func eachToken(fields []Field, f func(t []byte)) {
	for i := range fields {
		if fields[i].Kind != Connection {
			continue
		}
		for list := fields[i].Value; len(list) > 0; {
			var t []byte
			if t, list = token(list); len(t) > 0 {
				f(t)
			}
		}
	}
}

// markNamed marks the fields that Connection names as Hop, but for framing, Host
// and what this proxy makes itself: these are not for a sender to take away. The
// work is linear in the size of the head, however many names there are and
// however often each is given.
func markNamed(fields []Field) {
	var heads [256]uint32
	var chain [128]uint32
	index := nameIndex{heads[:], chain[:]}
	index.add(fields)
	eachToken(fields, func(t []byte) { index.markHop(fields, t) })
}

// nameIndex finds the fields of a head by name, in any spelling. Its seed is the
// process's own, so that no sender can have many names share a bucket.
type nameIndex struct {
	heads []uint32 // of each bucket, 1 + the index of its first field; 0: none
	chain []uint32 // of each field, the next one in its bucket
}

var nameSeed = maphash.MakeSeed()

// nameSteps counts what add and markHop look at; for tests.
var nameSteps func()

func (x *nameIndex) add(fields []Field) {
	if len(fields) > len(x.chain) {
		x.heads = make([]uint32, 1<<bits.Len(uint(2*len(fields))))
		x.chain = make([]uint32, len(fields))
	}
	for i := range fields {
		b := x.bucket(fields[i].Name)
		x.chain[i], x.heads[b] = x.heads[b], uint32(i+1)
	}
}

func (x *nameIndex) bucket(name []byte) int {
	var buf [64]byte
	h := maphash.Hash{}
	h.SetSeed(nameSeed)
	for len(name) > 0 {
		n := min(len(name), len(buf))
		for i, c := range name[:n] {
			buf[i] = spelling[c]
		}
		h.Write(buf[:n])
		name = name[n:]
	}
	return int(h.Sum64() & uint64(len(x.heads)-1))
}

// markHop marks the fields with a name and takes them out of the index: the same
// name again finds none.
func (x *nameIndex) markHop(fields []Field, name []byte) {
	at := &x.heads[x.bucket(name)]
	for *at != 0 {
		if nameSteps != nil {
			nameSteps()
		}
		f := &fields[*at-1]
		if !SameName(f.Name, name) {
			at = &x.chain[*at-1]
			continue
		}
		switch f.Kind {
		case Ordinary, Trailer, Date, Server, Cookie, ContentType:
			f.Kind = Hop
		}
		*at = x.chain[*at-1]
	}
}
