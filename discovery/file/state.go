package file

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"edgerouter/app"
	"edgerouter/internal/pace"
)

const (
	// settle is how long a file has to stay bad before that is reported: it may
	// be half written.
	settle = 100 * time.Millisecond
	// absence is how long a file has to be gone before that counts: editors
	// rename the old version away before they write the new one.
	absence = 75 * time.Millisecond
	// fresh is how long after its last modification a file is read again even if
	// size and time are the same: a second write may fall into the same tick of
	// the file system's clock, which is 2 s long on the coarsest.
	fresh = 2500 * time.Millisecond
)

// state is what is known of one file.
type state struct {
	path string

	info   os.FileInfo // of the version that was read last; nil: read it again
	readAt time.Time

	data []byte // of the last version that could be decoded; nil: none could
	doc  *document
	next []byte // memory for the next version
	pace pace.Pacer

	missing time.Time // since when it is gone
	bad     time.Time // since when it cannot be read or decoded
	told    bool      // that it is bad; problems then says how
	trouble []app.Problem
}

func newState(path string) *state { return &state{path: path, doc: &document{}} }

// result says what a look at a file found.
type result struct {
	changed bool          // what it declares, or its problems
	again   time.Duration // look at it again after this time; 0: no need
}

// look brings the state up to date. force reads the file even when it looks
// unchanged.
func (s *state) look(now time.Time, force bool) result {
	info, err := os.Stat(s.path)
	if errors.Is(err, os.ErrNotExist) {
		return s.gone(now)
	}
	s.missing = time.Time{}
	settled := s.bad.IsZero() || s.told
	if err == nil && !force && settled && s.unchanged(info) {
		return result{}
	}
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	if err != nil {
		return s.broken(now, []app.Problem{{File: s.path, Message: "the file cannot be read: " + cause(err)}})
	}
	if s.data != nil {
		s.pace = pace.New() // there is something in service to make room for
	}
	data, front, err := s.read(info)
	if err != nil {
		s.info = nil
		return s.broken(now, []app.Problem{{File: s.path, Message: "the file cannot be read: " + cause(err)}})
	}
	s.info, s.readAt = info, now
	return s.take(data, front, now)
}

// take decodes a version of the file, which begins with the first front bytes of
// the last good one.
func (s *state) take(data []byte, front int, now time.Time) result {
	if s.data != nil && front == len(data) && len(data) == len(s.data) {
		s.next = data
		return s.good(false)
	}
	d := decoding{name: s.path, data: data, pace: s.pace, previous: s.doc, old: s.data, front: front}
	doc, problems := d.decode()
	if doc == nil {
		s.next = data
		return s.broken(now, problems)
	}
	s.data, s.next, s.doc = data, s.data, doc
	return s.good(true)
}

// good notes that the file is what s.doc says.
func (s *state) good(changed bool) result {
	changed = changed || s.told
	s.bad, s.told, s.trouble = time.Time{}, false, nil
	return result{changed: changed}
}

// broken notes that the file is bad, and reports it when it stays so. The last
// good version stays.
func (s *state) broken(now time.Time, problems []app.Problem) result {
	if s.bad.IsZero() {
		s.bad = now
	}
	if left := settle - now.Sub(s.bad); left > 0 && !s.told {
		return result{again: left}
	}
	changed := !s.told || !slices.Equal(s.trouble, problems)
	s.told, s.trouble = true, problems
	return result{changed: changed}
}

// gone notes that the file is not there.
func (s *state) gone(now time.Time) result {
	if s.missing.IsZero() {
		s.missing = now
	}
	s.info = nil
	if left := absence - now.Sub(s.missing); left > 0 {
		return result{again: left}
	}
	return result{}
}

// absent says whether the file has been gone for long enough.
func (s *state) absent(now time.Time) bool {
	return !s.missing.IsZero() && now.Sub(s.missing) >= absence
}

// unchanged says whether the file is the one that was read last.
func (s *state) unchanged(info os.FileInfo) bool {
	return s.info != nil && os.SameFile(info, s.info) && info.Size() == s.info.Size() &&
		info.ModTime().Equal(s.info.ModTime()) && s.readAt.Sub(info.ModTime()) > fresh
}

// problems are those to show for the file. While it is bad as a whole, the last
// version that could be decoded stands, and so does what was wrong with that: an
// application that it could not declare is kept by discovery.Merge for as long as a
// problem names it.
func (s *state) problems() []app.Problem {
	if s.told {
		return slices.Concat(s.trouble, s.doc.problems)
	}
	return s.doc.problems
}

// read reads the whole file into memory that the version before last used. front
// is how many bytes it has in common with the last good version at the beginning.
func (s *state) read(info os.FileInfo) (data []byte, front int, err error) {
	f, err := os.Open(s.path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	data = s.next[:0]
	s.next = nil
	// One byte more than it should need shows the end without growing.
	if want := int(info.Size()) + 1; cap(data) < want {
		data = make([]byte, 0, want+want/16)
	}
	for {
		at := len(data)
		n, err := f.Read(data[at:min(at+block, cap(data))])
		data = data[:at+n]
		if front == at && at < len(s.data) {
			front += commonPrefix(s.data[at:], data[at:])
		}
		if err == io.EOF {
			return data, front, nil
		}
		if err != nil {
			return nil, 0, err
		}
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
		s.pace.Block()
	}
}

// cause is an error without the path, which the problem has already.
func cause(err error) string {
	var p *os.PathError
	if errors.As(err, &p) {
		return fmt.Sprintf("%s: %v", p.Op, p.Err)
	}
	return err.Error()
}
