package middleware

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

const (
	// usersFileEvery is how often, at most, the users file is looked at. Requests
	// do that: there is no goroutine to end.
	usersFileEvery = time.Second
	// usersFileSettles is how long after its last change a file is read again
	// although it looks the same: clocks of file systems are coarse.
	usersFileSettles = 3 * time.Second
	maxUsersFile     = 4 << 20
)

// usersFile is an htpasswd file and the users that were last read from it,
// together with those of the definition, which come first.
type usersFile struct {
	path  string
	fixed []*user
	log   zerolog.Logger
	next  atomic.Int64 // when it is looked at again
	users atomic.Pointer[userSet]

	mu      sync.Mutex // guards what follows
	info    fs.FileInfo
	content [sha256.Size]byte
	settled bool
	failure string
}

// newUsersFile reads the file for the first time.
func newUsersFile(path string, fixed []*user, log zerolog.Logger) (*usersFile, error) {
	f := &usersFile{path: path, fixed: fixed, log: log}
	if err := f.read(); err != nil {
		return nil, err
	}
	return f, nil
}

// current are the users as of now. A file that cannot be read or parsed leaves
// them as they are; the log says so once.
func (f *usersFile) current(now int64) *userSet {
	if due := f.next.Load(); now >= due && f.next.CompareAndSwap(due, now+int64(usersFileEvery)) {
		err, text := f.read(), ""
		if err != nil {
			text = err.Error()
		}
		f.mu.Lock()
		if text != f.failure {
			f.failure = text
			if err != nil {
				f.log.Warn().Err(err).Msg("basic_auth_opts.users_file could not be read again; its last users stay")
			} else {
				f.log.Info().Str("file", f.path).Msg("basic_auth_opts.users_file is readable again")
			}
		}
		f.mu.Unlock()
	}
	return f.users.Load()
}

// read reads the file if it is not what was read last.
func (f *usersFile) read() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	if err != nil {
		return err
	}
	if f.settled && os.SameFile(info, f.info) && info.ModTime().Equal(f.info.ModTime()) && info.Size() == f.info.Size() {
		return nil
	}
	data, err := readUsers(f.path)
	if err != nil {
		return err
	}
	f.info, f.settled = info, time.Since(info.ModTime()) > usersFileSettles
	sum := sha256.Sum256(data)
	before := f.users.Load()
	if before != nil && sum == f.content {
		return nil
	}
	users, err := parseUsers(string(data))
	if err != nil {
		f.settled = false // so that the error is not forgotten
		return fmt.Errorf("%s: %w", f.path, err)
	}
	f.content = sum
	f.users.Store(newUserSet(append(append([]*user(nil), f.fixed...), users...), before))
	return nil
}

func readUsers(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxUsersFile+1))
	if err == nil && len(data) > maxUsersFile {
		err = fmt.Errorf("%s is larger than %d bytes", path, maxUsersFile)
	}
	return data, err
}
