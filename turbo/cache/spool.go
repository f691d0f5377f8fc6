package cache

import (
	"hash"
	"os"

	"edgerouter/turbo/content"
)

// spool takes content in: it is hashed, and written to a new file. What is small is
// kept in memory, and written at the end, at once; then a disk that fails does no harm.
type spool struct {
	disk    *disk
	hash    hash.Hash
	small   smallBody
	size    int64
	limit   int64 // 0: none
	file    *os.File
	failure error // of the disk
	done    bool
}

func (s *spool) Write(p []byte) (int, error) {
	if s.size += int64(len(p)); s.limit > 0 && s.size > s.limit {
		return 0, ErrTooLarge
	}
	s.hash.Write(p)
	before := s.small.b
	if s.small.Write(p); !s.small.over {
		return len(p), nil
	}
	s.write(before)
	s.write(p)
	if s.failure != nil {
		return 0, s.failure
	}
	return len(p), nil
}

// write appends to the file, which it makes; what goes wrong is in failure.
func (s *spool) write(p []byte) {
	if s.file == nil && s.failure == nil {
		s.file, s.failure = s.disk.create()
	}
	if s.failure != nil || len(p) == 0 {
		return
	}
	if _, err := s.file.Write(p); err != nil {
		s.failure = s.disk.failed(err)
		s.disk.makeRoom()
	}
}

// copy ends the spool with a Copy of o, on disk under the name of the object with
// that suffix, and its body where it is small.
func (s *spool) copy(o *Object, suffix string) (*Copy, []byte, error) {
	body := s.small.whole(s.size)
	path := s.disk.path(o.id, suffix)
	if s.file == nil {
		s.write(body)
	}
	if s.failure == nil {
		s.done = true
		s.failure = s.disk.finish(s.file, path, s.size)
	}
	if s.failure != nil {
		if body == nil {
			return nil, nil, s.failure
		}
		path = ""
	}
	cp := &Copy{owner: o, size: s.size, path: path, sum: content.ID(s.hash.Sum(nil))}
	cp.stamped()
	return cp, body, nil
}

// stamped notes what the file system says of a file whose bytes are known.
func (c *Copy) stamped() {
	if c.path == "" {
		return
	}
	f, err := os.Open(c.path)
	if err != nil {
		return
	}
	defer f.Close()
	if s, err := stampOf(f.Fd(), f); err == nil && s.size == c.size {
		c.checked.Store(&s)
	}
}

// abandon removes what copy has not taken.
func (s *spool) abandon() {
	if s.file != nil && !s.done {
		s.file.Close()
		os.Remove(s.file.Name())
	}
}
