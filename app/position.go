package app

import (
	"bytes"
	"slices"
	"sort"
	"unicode/utf8"
)

// lines turns offsets of a file into lines and columns. The starts of lines are
// found at the first question, since most files have no problems.
type lines struct {
	data   []byte
	starts []int
}

// position is the line and column of an offset, from 1; the column counts
// characters, as editors do.
func (l *lines) position(offset int) (line, column int) {
	if l.starts == nil {
		l.starts = append(l.starts, 0)
		for at := 0; ; {
			i := bytes.IndexByte(l.data[at:], '\n')
			if i < 0 {
				break
			}
			at += i + 1
			l.starts = append(l.starts, at)
		}
	}
	offset = min(offset, len(l.data))
	line = sort.SearchInts(l.starts, offset+1)
	return line, utf8.RuneCount(l.data[l.starts[line-1]:offset]) + 1
}

// locate finds the value at p below the object that begins at start: p in the
// names that the file uses, which may be the older ones, and the offset of the
// value, or of the innermost part of the path that is there. data is known to be
// JSON without syntax errors.
func locate(data []byte, start int, p fieldPath) (written fieldPath, offset int) {
	s := scanner{data: data, pos: start}
	s.peek()
	offset = s.pos
	written = slices.Clone(p)
	here := plans()[typeApplication]
	for i, want := range p {
		older := ""
		if here != nil && want.name != "" {
			if j, ok := here.byName[want.name]; ok {
				older = here.fields[j].alias
				here = here.fields[j].sub
			}
		}
		name, ok := s.enter(want, older)
		if !ok {
			break
		}
		if want.name != "" {
			written[i].name = name
		}
		s.peek()
		offset = s.pos
	}
	return written, offset
}

// enter moves to the value of one step inside the object or list at pos; older
// is another name that the step's field may have.
func (s *scanner) enter(want step, older string) (name string, ok bool) {
	switch s.peek() {
	case '{':
		for first := true; (!first || s.open()) && s.next(first, '}'); first = false {
			raw, _, ok := s.key()
			if !ok {
				return "", false
			}
			name := string(raw)
			if want.isKey && name == want.key || !want.isKey && name != "" && (name == want.name || name == older) {
				return name, true
			}
			s.skip()
		}
	case '[':
		for i := 0; (i > 0 || s.open()) && s.next(i == 0, ']'); i++ {
			if i == want.index {
				return "", true
			}
			s.skip()
		}
	}
	return "", false
}
