package middleware

import (
	"bytes"

	"edgerouter/wire"
)

// fields is what the heads of requests and responses have in common.
type fields interface {
	PeekAll(name string) [][]byte
	PeekKeys() [][]byte
	Del(name string)
	Set(name, value string)
	Add(name, value string)
}

// dropField takes all fields with a name away. Del alone puts the last field in
// the place of the one that is gone, and so may turn the order of two of one name
// around, which a proxy must not (RFC 9110 section 5.3).
func dropField(h fields, name string) {
	if len(h.PeekAll(name)) == 0 {
		return
	}
	repeated := repeatedNames(h.PeekKeys())
	if repeated == nil {
		h.Del(name)
		return
	}
	// All that are there more than once are put to the end again, in their order.
	values := make([][]string, len(repeated))
	for i, other := range repeated {
		for _, v := range h.PeekAll(other) {
			values[i] = append(values[i], string(v))
		}
	}
	h.Del(name)
	for i, other := range repeated {
		if len(h.PeekAll(other)) == 0 {
			values[i] = nil // it is the one that goes
		}
	}
	for _, other := range repeated {
		h.Del(other)
	}
	for i, other := range repeated {
		for _, v := range values[i] {
			h.Add(other, v)
		}
	}
}

// repeatedNames are those that are there more than once, nil for none.
func repeatedNames(names [][]byte) (repeated []string) {
	for i, name := range names {
		before, after := false, false
		for j, other := range names {
			if i != j && bytes.Equal(name, other) {
				before = before || j < i
				after = after || j > i
			}
		}
		if after && !before {
			repeated = append(repeated, string(name))
		}
	}
	return repeated
}

// setField has a field stand there once, with a value.
func setField(h fields, name, value string) {
	// fasthttp adds Set-Cookie whichever way it is set.
	if len(h.PeekAll(name)) > 1 || wire.SameName(name, "Set-Cookie") {
		dropField(h, name)
	}
	h.Set(name, value)
}
