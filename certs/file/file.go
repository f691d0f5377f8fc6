// Package file is the certificate source that reads a folder of PEM files and
// follows it.
//
// A folder goes in, sets of certs.Certificate come out. These are read, also in
// folders up to four levels inside it:
//   - NAME.pem with certificates and key in one file, in any order of the two;
//   - NAME.crt (or .cer, .pem) with its key in NAME.key, NAME-key.pem or, as
//     certbot calls them, privkey.pem beside fullchain.pem. A certificate whose
//     key has none of these names takes any key of its folder that fits.
//
// Names of files say nothing of host names: those are in the certificates. A
// file called default (default.pem, default.crt) is also served to clients that
// send no server name. Hidden files and folders are not read.
//
// A file that turns bad, or a key that does not fit any more, leaves the old
// certificate in service and is reported once it has been so for a second: two
// files cannot be replaced at once.
package file

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/certs"
	"edgerouter/discovery/watch"
	"edgerouter/internal/pace"
)

const (
	// depth is how many levels of folders inside the folder are read.
	depth = 4
	// maxFile bounds what is read of one file: real ones have 2 to 20 KB.
	maxFile = 1 << 20
	// settle is how long something has to be wrong, or gone, before it counts.
	settle = time.Second
	// fresh is how long after its last modification a file is read again even if
	// size and time are the same (see discovery/file).
	fresh = 2500 * time.Millisecond
	// reassemble is how often what has not changed is looked at all the same:
	// certificates end.
	reassemble = time.Minute
	// listed is how many entries of a folder are read at a time.
	listed = 256
)

// Source follows one folder.
type Source struct {
	dir    string
	poll   time.Duration
	log    zerolog.Logger
	reload chan struct{}
	ready  chan struct{}
	once   sync.Once
	// replace is told of a certificate that takes another one's place; nil: set is.
	replace func(old, with *certs.Certificate) bool

	// What follows belongs to Run.
	pace    pace.Pacer // of one look, once there is something in service
	lost    bool       // the folder could not be read
	waiting bool       // something may be half done
	// assembled is when what the files hold was last put together.
	assembled time.Time
	keyless   map[string]bool // folders in which a certificate has its key elsewhere
	paths     []string        // of files, sorted
	files     map[string]*pemFile
	good      map[string]*served // by the path of the certificate
	emitted   bool
	last      []*certs.Certificate
	problems  []certs.Problem
	since     map[certs.Problem]time.Time // of what is wrong now
}

// pemFile is what is known of one file.
type pemFile struct {
	path     string
	info     os.FileInfo
	readAt   time.Time
	material certs.Material
	err      error
	leaf     [sha256.Size]byte // of the first certificate
	public   string            // of a key file: its public key, once somebody asked
	used     bool              // a key file: it belongs to something

	// What a file with certificates made with a key. It stays what it is while both
	// files do.
	tried   bool
	key     *pemFile // nil: the file's own, or none
	made    *certs.Certificate
	madeErr error
	// issuer is who issued the last certificate of made, when it is missing: neither in
	// the file nor in another one; "" when the chain is whole.
	issuer string
	// superseded: another file of its folder has the same certificate with more of its
	// chain, and serves it.
	superseded bool
}

// served is a certificate that was good once.
type served struct {
	cert  *certs.Certificate
	whole bool      // its chain is
	wrong time.Time // since when its files do not make it any more
}

// Option changes a Source.
type Option func(*Source)

// Poll sets how often everything is looked at when the file system says nothing.
func Poll(every time.Duration) Option { return func(s *Source) { s.poll = every } }

// New makes a source of the folder, which need not exist yet.
func New(dir string, log zerolog.Logger, options ...Option) *Source {
	s := &Source{
		dir: filepath.Clean(dir), log: log,
		reload: make(chan struct{}, 1), ready: make(chan struct{}),
		files: map[string]*pemFile{}, good: map[string]*served{},
	}
	for _, o := range options {
		o(s)
	}
	return s
}

// Replace hands on the change of one certificate by itself, instead of all of them.
// replace says whether it has taken it; if not, all of them are handed on.
func Replace(replace func(old, with *certs.Certificate) bool) Option {
	return func(s *Source) { s.replace = replace }
}

// Name is certs.SourceFile.
func (s *Source) Name() string { return certs.SourceFile }

// Ready is closed once the folder has been read for the first time.
func (s *Source) Ready() <-chan struct{} { return s.ready }

// Reload reads everything again; for SIGHUP. It does not wait.
func (s *Source) Reload() {
	select {
	case s.reload <- struct{}{}:
	default:
	}
}

// Run calls set with the certificates of the folder, and again whenever they or
// the problems change, until ctx ends.
func (s *Source) Run(ctx context.Context, set func([]*certs.Certificate, []certs.Problem)) error {
	watch.Run(ctx, watch.Options{Path: s.dir, Depth: depth, Poll: s.poll, Now: s.reload, Log: s.log},
		func(l watch.Look) time.Duration {
			again := s.look(l, time.Now(), set)
			s.once.Do(func() { close(s.ready) })
			return again
		})
	return nil
}

// look brings everything up to date and hands on what changed. It makes room for
// requests: the folder may have 100,000 files.
func (s *Source) look(l watch.Look, now time.Time, set func([]*certs.Certificate, []certs.Problem)) time.Duration {
	s.pace = pace.Pacer{}
	if s.emitted {
		s.pace = pace.New()
	}
	if l.All || l.Asked || s.lost {
		paths, err := s.walk()
		if s.lost = err != nil; s.lost {
			s.hand(s.last, []certs.Problem{{File: s.dir, Message: err.Error()}}, set)
			return 0
		}
		if !s.readAll(paths, l, now) && !s.waiting && now.Sub(s.assembled) < reassemble {
			return 0
		}
	} else {
		ours := slices.DeleteFunc(slices.Clone(l.Paths), func(path string) bool { return !isPEM(path) || !s.inside(path) })
		switch {
		case len(ours) == 1 && s.renewed(ours[0], now, set):
			return 0
		case len(ours) == 0 && s.emitted && !s.waiting:
			return 0 // something else in the folder, such as the file that will be renamed
		}
		for _, path := range ours {
			s.readOne(path, now)
		}
	}
	s.assembled = now
	problems := s.assemble()
	served, again := s.settle(now)
	problems, later := s.settled(problems, now)
	s.hand(served, problems, set)
	again = max(again, later)
	s.waiting = again > 0
	return again
}

// readAll brings what is known of all files up to date, and says whether any of it
// changed.
func (s *Source) readAll(paths []string, l watch.Look, now time.Time) (any bool) {
	changed := make(map[string]bool, len(l.Paths))
	for _, path := range l.Paths {
		changed[path] = true
	}
	for _, path := range paths {
		s.pace.Block()
		if s.read(path, now, l.Asked || changed[path]) {
			any = true
		}
	}
	if s.same(paths) {
		return any
	}
	there := make(map[string]bool, len(paths))
	for _, path := range paths {
		s.pace.Step()
		there[path] = true
	}
	for path := range s.files {
		s.pace.Step()
		if !there[path] {
			delete(s.files, path)
		}
	}
	s.paths = paths
	return true
}

// same says whether the folder has the files that it had.
func (s *Source) same(paths []string) bool {
	if len(paths) != len(s.paths) {
		return false
	}
	for i := range paths {
		s.pace.Step()
		if paths[i] != s.paths[i] {
			return false
		}
	}
	return true
}

// readOne brings what is known of one file of the folder up to date, which may be gone.
func (s *Source) readOne(path string, now time.Time) {
	at, known := slices.BinarySearch(s.paths, path)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if known {
			s.paths = slices.Delete(s.paths, at, at+1)
		}
		delete(s.files, path)
		return
	case err == nil && info.IsDir():
		return
	case !known:
		s.paths = slices.Insert(s.paths, at, path)
	}
	s.read(path, now, true)
}

// inside says whether a file is one that walk would find.
func (s *Source) inside(path string) bool {
	rel, err := filepath.Rel(s.dir, path)
	if err != nil {
		return false
	}
	parts := strings.Split(rel, string(filepath.Separator))
	return len(parts) <= depth+1 && !slices.ContainsFunc(parts, func(p string) bool { return strings.HasPrefix(p, ".") })
}

// settled leaves out the problems that may be those of something half done. It
// returns when to look again at them. At the start nothing is left out.
func (s *Source) settled(problems []certs.Problem, now time.Time) (lasting []certs.Problem, again time.Duration) {
	since := make(map[certs.Problem]time.Time, len(problems))
	for _, p := range problems {
		first, known := s.since[p]
		if !known {
			first = now
		}
		since[p] = first
		if left := settle - now.Sub(first); left > 0 && s.emitted && !slices.Contains(s.problems, p) {
			again = max(again, left)
		} else {
			lasting = append(lasting, p)
		}
	}
	s.since = since
	return lasting, again
}

// walk lists the PEM files of the folder, sorted.
func (s *Source) walk() ([]string, error) {
	if info, err := os.Stat(s.dir); err != nil {
		return nil, fmt.Errorf("the folder of certificates cannot be read: %s (see --cert-dir)", cause(err))
	} else if !info.IsDir() {
		return nil, errors.New("it is not a folder (see --cert-dir)")
	}
	var paths []string
	var in func(dir string, left int)
	in = func(dir string, left int) {
		for e := range s.entries(dir) {
			s.pace.Step()
			path := filepath.Join(dir, e.Name())
			if strings.HasPrefix(e.Name(), ".") {
				continue
			}
			isDir := e.IsDir()
			if e.Type()&fs.ModeSymlink != 0 {
				info, err := os.Stat(path)
				isDir = err == nil && info.IsDir()
			}
			switch {
			case isDir && left > 0:
				in(path, left-1)
			case !isDir && isPEM(path):
				paths = append(paths, path)
			}
		}
	}
	in(s.dir, depth)
	slices.SortFunc(paths, func(a, b string) int {
		s.pace.Step()
		return strings.Compare(a, b)
	})
	return paths, nil
}

// entries lists a folder, some at a time. What is not read because it went away, or
// is not ours to read, is as good as gone: its certificates settle.
func (s *Source) entries(dir string) iter.Seq[fs.DirEntry] {
	return func(yield func(fs.DirEntry) bool) {
		f, err := os.Open(dir)
		if err != nil {
			return
		}
		defer f.Close()
		for {
			some, err := f.ReadDir(listed)
			for _, e := range some {
				if !yield(e) {
					return
				}
			}
			if err != nil || len(some) == 0 {
				return
			}
			s.pace.Block()
		}
	}
}

func isPEM(path string) bool {
	switch filepath.Ext(path) {
	case ".pem", ".crt", ".cer", ".key":
		return true
	}
	return false
}

// read brings what is known of a file up to date. It returns false when the file is
// as it was.
func (s *Source) read(path string, now time.Time, force bool) bool {
	f := s.files[path]
	info, err := os.Stat(path)
	if f != nil && err == nil && !force && f.info != nil && os.SameFile(info, f.info) &&
		info.Size() == f.info.Size() && info.ModTime().Equal(f.info.ModTime()) && f.readAt.Sub(info.ModTime()) > fresh {
		return false
	}
	f = &pemFile{path: path, info: info, readAt: now}
	s.files[path] = f
	switch {
	case err != nil:
		f.err = errors.New("it cannot be read: " + cause(err))
	case !info.Mode().IsRegular():
		f.err = errors.New("it is not a regular file")
	case info.Size() > maxFile:
		f.err = fmt.Errorf("it has %d bytes, which is more than a certificate ever has", info.Size())
	default:
		data, err := os.ReadFile(path)
		if err != nil {
			f.info, f.err = nil, errors.New("it cannot be read: "+cause(err))
			return true
		}
		if f.material, f.err = certs.ParsePEM(data); len(f.material.Chain) > 0 {
			f.leaf = sha256.Sum256(f.material.Chain[0].Raw)
		}
	}
	return true
}

// settle puts together what is served: what was found, and what was good a
// moment ago. It returns when to look again at what may be half done.
func (s *Source) settle(now time.Time) (list []*certs.Certificate, again time.Duration) {
	list = make([]*certs.Certificate, 0, len(s.good)+1)
	gone := 0
	for path, g := range s.good {
		s.pace.Step()
		f := s.files[path]
		if f != nil && f.superseded {
			delete(s.good, path) // the other file has it, and at least as much of it
			continue
		}
		if f != nil && f.made != nil && (f.issuer == "" || !g.outlasts(now)) {
			continue
		}
		if g.wrong.IsZero() {
			g.wrong = now
		}
		if left := settle - now.Sub(g.wrong); left > 0 {
			again = max(again, left)
		} else if f == nil {
			delete(s.good, path)
			s.log.Info().Str("file", path).Strs("names", g.cert.Names[:min(len(g.cert.Names), 10)]).Msg("certificate removed")
			continue
		}
		if f == nil {
			list = append(list, g.cert)
			gone++
		}
	}
	var bare []*pemFile // whose chain is not whole
	for _, path := range s.paths {
		s.pace.Step()
		g, f := s.good[path], s.files[path]
		switch c := f.made; {
		case c != nil && f.issuer != "" && g != nil && g.outlasts(now):
			// What is whole and valid stays until the rest of the new one is there.
		case c != nil && f.issuer != "":
			bare = append(bare, f)
			continue
		case c != nil && g != nil && (g.cert == c || equal(g.cert, c)):
			g.wrong, g.whole = time.Time{}, true
		case c != nil:
			g = s.serve(path, c)
		}
		if g != nil {
			list = append(list, g.cert)
		}
	}
	list = s.incomplete(list, bare, now)
	if gone > 0 || len(bare) > 0 {
		slices.SortFunc(list, func(a, b *certs.Certificate) int { return strings.Compare(a.Origin, b.Origin) })
	}
	return list, again
}

// hand calls set when something changed.
func (s *Source) hand(list []*certs.Certificate, problems []certs.Problem, set func([]*certs.Certificate, []certs.Problem)) {
	if s.emitted && slices.Equal(s.last, list) && slices.Equal(s.problems, problems) {
		return
	}
	for _, p := range problems {
		if !slices.Contains(s.problems, p) {
			s.log.Warn().Str("file", p.File).Msg("certificate: " + p.Error())
		}
	}
	s.emitted, s.last, s.problems = true, list, problems
	set(slices.Clone(list), problems) // last is changed in place
}

func equal(a, b *certs.Certificate) bool {
	return a.Default == b.Default && slices.EqualFunc(a.TLS.Certificate, b.TLS.Certificate, slices.Equal[[]byte])
}

// cause is an error without the path, which the problem has already.
func cause(err error) string {
	var p *os.PathError
	if errors.As(err, &p) {
		return fmt.Sprintf("%s: %v", p.Op, p.Err)
	}
	return err.Error()
}
