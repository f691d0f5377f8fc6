package lambda

import (
	"bytes"

	"edgerouter/wire"
)

// Field is a name with a value: a header field or a query parameter.
type Field struct{ Name, Value []byte }

// pairs is a list of names with values in which those of the same name are
// chained, so that an object can be written with one key for each name.
type pairs struct {
	list []pair
	// byName is used for lists that are too long to be compared pair by pair.
	byName map[string]int32
}

type pair struct {
	Field
	next  int32 // of the same name; -1: none
	last  int32 // of the same name, in the first pair
	first bool
}

// fewPairs is up to which length comparing is cheaper than hashing; it also
// bounds what a target full of "&" costs.
const fewPairs = 48

func (p *pairs) reset() {
	p.list = p.list[:0]
	clear(p.byName)
}

func (p *pairs) add(name, value []byte) {
	p.list = append(p.list, pair{Field: Field{name, value}, next: -1, first: true})
}

// chain finds the names that come again; fold: in any case.
func (p *pairs) chain(fold bool) {
	if len(p.list) > fewPairs {
		p.chainMany(fold)
		return
	}
	for i := range p.list {
		e := &p.list[i]
		e.last = int32(i)
		for j := range i {
			first := &p.list[j]
			if first.first && len(first.Name) == len(e.Name) && (bytes.Equal(first.Name, e.Name) || fold && wire.EqualNames(first.Name, e.Name)) {
				p.link(int32(j), int32(i))
				break
			}
		}
	}
}

func (p *pairs) chainMany(fold bool) {
	if p.byName == nil {
		p.byName = map[string]int32{}
	}
	for i := range p.list {
		name := p.list[i].Name
		if fold {
			name = bytes.ToLower(name)
		}
		p.list[i].last = int32(i)
		if first, ok := p.byName[string(name)]; ok {
			p.link(first, int32(i))
		} else {
			p.byName[string(name)] = int32(i)
		}
	}
}

func (p *pairs) link(first, i int32) {
	head := &p.list[first]
	p.list[head.last].next = i
	head.last = i
	p.list[i].first = false
}

// spelling says how the names of an object are written.
type spelling uint8

const (
	asItCame spelling = iota
	lowerCase
)

// appendLast writes an object with the last value of each name.
func (p *pairs) appendLast(dst []byte, s spelling) []byte {
	dst = append(dst, '{')
	for i := range p.list {
		if e := &p.list[i]; e.first {
			dst = appendKey(dst, e.Name, s)
			dst = append(appendString(dst, p.list[e.last].Value), ',')
		}
	}
	return closeWith(dst, '}')
}

// appendAll writes an object with a list of all values of each name.
func (p *pairs) appendAll(dst []byte, s spelling) []byte {
	dst = append(dst, '{')
	for i := range p.list {
		if !p.list[i].first {
			continue
		}
		dst = append(appendKey(dst, p.list[i].Name, s), '[')
		for j := int32(i); j >= 0; j = p.list[j].next {
			dst = append(appendString(dst, p.list[j].Value), ',')
		}
		dst = append(closeWith(dst, ']'), ',')
	}
	return closeWith(dst, '}')
}

// appendJoined writes an object with the values of each name joined by commas.
func (p *pairs) appendJoined(dst []byte, s spelling) []byte {
	dst = append(dst, '{')
	for i := range p.list {
		if !p.list[i].first {
			continue
		}
		dst = append(appendKey(dst, p.list[i].Name, s), '"')
		for j := int32(i); j >= 0; j = p.list[j].next {
			if j != int32(i) {
				dst = append(dst, ',')
			}
			dst = appendInside(dst, p.list[j].Value)
		}
		dst = append(dst, '"')
		dst = append(dst, ',')
	}
	return closeWith(dst, '}')
}

func appendKey(dst, name []byte, s spelling) []byte {
	at := len(dst)
	dst = appendString(dst, name)
	if s == lowerCase {
		for i := at; i < len(dst); i++ {
			if c := dst[i]; c >= 'A' && c <= 'Z' {
				dst[i] = c | 0x20
			}
		}
	}
	return append(dst, ':')
}

// closeWith puts the closing bracket in the place of the last comma.
func closeWith(dst []byte, bracket byte) []byte {
	if dst[len(dst)-1] == ',' {
		dst[len(dst)-1] = bracket
		return dst
	}
	return append(dst, bracket)
}
