package file

import (
	"bytes"
	"sort"
)

// span is where an element stands in a file.
type span struct{ start, end int }

// splitter finds the elements of a file {"apps":[{...},{...}]} without reading
// what is in them, so that of a file with 10,000 applications only those that
// changed are decoded. It is deliberately narrow: what does not look exactly
// like that is not split, and is left to app.Decode as a whole.
//
// Whether an element is good JSON is for the decoder to find out. The splitter
// only promises that if every element is, the file is too, and that these are
// its elements.
type splitter struct {
	data []byte
	pos  int
}

// version is a file and where its elements are.
type version struct {
	data  []byte
	spans []span
}

// reuse says which elements of a version are those of the one before, byte for
// byte: the first front and the last back of both.
type reuse struct{ front, back int }

// split returns the elements of data; false when the file is not of the form.
func split(data []byte) ([]span, bool) {
	s := splitter{data: data}
	if !s.opening() {
		return nil, false
	}
	spans, _, ok := s.elements(nil, nil, 0, len(data))
	return spans, ok
}

// opening takes everything up to and including the '[' of "apps". A "$schema"
// may stand before it.
func (s *splitter) opening() bool {
	if bytes.HasPrefix(s.data, []byte("\ufeff")) {
		s.pos = len("\ufeff")
	}
	if !s.take('{') {
		return false
	}
	if s.text(`"$schema"`) {
		if !s.take(':') || s.space() != '"' || !s.skipString() || !s.take(',') {
			return false
		}
	}
	return s.text(`"apps"`) && s.take(':') && s.take('[')
}

// elements takes the elements and the end of the file. It stands after the '['
// (found is empty) or after the last of found.
//
// old are the elements of an earlier version of the file that is the same as
// this one from same on in this one's offsets, which are delta higher. As soon
// as an element begins where an old one does in that part, the rest is taken
// over from old; back is how many that are.
func (s *splitter) elements(found, old []span, delta, same int) (spans []span, back int, ok bool) {
	for {
		c := s.space()
		if len(found) > 0 && c == ',' {
			s.pos++
			c = s.space()
		} else if c == ']' {
			s.pos++
			return found, 0, s.take('}') && s.space() == 0 && s.pos == len(s.data)
		} else if len(found) > 0 {
			return nil, 0, false
		}
		if c != '{' {
			return nil, 0, false
		}
		for len(old) > 0 && old[0].start+delta < s.pos {
			old = old[1:]
		}
		if s.pos >= same && len(old) > 0 && old[0].start+delta == s.pos {
			for _, o := range old {
				found = append(found, span{o.start + delta, o.end + delta})
			}
			return found, len(old), true
		}
		start := s.pos
		if !s.skipObject() {
			return nil, 0, false
		}
		found = append(found, span{start, s.pos})
	}
}

// resplit is split for a file of which an earlier version is known: only what
// is between the first and the last difference is looked at. front is the length
// of what both have in common at the beginning.
func resplit(old version, data []byte, front int) ([]span, reuse, bool) {
	back := commonSuffix(old.data[front:], data[front:])
	kept := sort.Search(len(old.spans), func(i int) bool { return old.spans[i].end > front })
	s := splitter{data: data}
	var found []span
	if kept > 0 {
		s.pos = old.spans[kept-1].end
		found = make([]span, kept, len(old.spans)+1)
		copy(found, old.spans)
	} else if !s.opening() {
		return nil, reuse{}, false
	}
	spans, tail, ok := s.elements(found, old.spans[kept:], len(data)-len(old.data), len(data)-back)
	return spans, reuse{kept, tail}, ok
}

// space skips white space and returns the byte after it, 0 at the end.
func (s *splitter) space() byte {
	for ; s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

func (s *splitter) take(c byte) bool {
	if s.space() != c {
		return false
	}
	s.pos++
	return true
}

func (s *splitter) text(t string) bool {
	s.space()
	if !bytes.HasPrefix(s.data[s.pos:], []byte(t)) {
		return false
	}
	s.pos += len(t)
	return true
}

// skipObject takes an object; it stands on the '{'.
func (s *splitter) skipObject() bool {
	depth := 0
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				s.pos++
				return true
			}
		case '"':
			if !s.skipString() {
				return false
			}
			continue
		}
		s.pos++
	}
	return false
}

// skipString takes a string; it stands on the quote.
func (s *splitter) skipString() bool {
	for at := s.pos + 1; ; {
		i := bytes.IndexByte(s.data[at:], '"')
		if i < 0 {
			return false
		}
		end := at + i
		slashes := 0
		for s.data[end-1-slashes] == '\\' {
			slashes++ // ends at the opening quote at the latest
		}
		at = end + 1
		if slashes%2 == 0 {
			s.pos = at
			return true
		}
	}
}

// block is how much is compared, or read, at a time.
const block = 64 << 10

// commonPrefix is how many bytes a and b have in common at the beginning.
func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for size := block; size > 0; size /= 16 {
		for i+size <= n && bytes.Equal(a[i:i+size], b[i:i+size]) {
			i += size
		}
	}
	return i
}

// commonSuffix is how many they have in common at the end.
func commonSuffix(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for size := block; size > 0; size /= 16 {
		for i+size <= n && bytes.Equal(a[len(a)-i-size:len(a)-i], b[len(b)-i-size:len(b)-i]) {
			i += size
		}
	}
	return i
}
