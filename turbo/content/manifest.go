package content

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"edgerouter/internal/pace"
)

// Limits of a manifest. 200 MB hold more than a million files.
const (
	MaxManifest = 200 << 20 // bytes of its JSON
	MaxPath     = 4096      // bytes of a path
)

// paced is after how many files a Pacer is asked: some 3 µs each.
const paced = 16

// Metadata says where a manifest is from. Fields that are not known here are
// let pass.
type Metadata struct {
	Project  string    `json:"project"`
	Deployed time.Time `json:"deployed"`
	// CacheControl overrides the Cache-Control of files: by path, or by a pattern
	// with one "*" at the beginning or the end ("*.html", "/api/*"). A path goes
	// before patterns, and of those the longest.
	CacheControl map[string]string `json:"cache_control,omitempty"`
}

// File is one line of a manifest.
type File struct {
	Path string
	ID   ID
}

// Manifest is an immutable version of a site. It keeps 64 bytes for each file
// beside the bytes of its path.
type Manifest struct {
	id       ID
	metadata Metadata
	paths    []byte // all of them, one after the other
	files    []file // sorted by path
	index    []uint32
	mask     uint64
	seed     maphash.Seed
	order    []string // patterns of CacheControl, the longest first
}

type file struct {
	end  uint32 // of the path in paths; it begins where the one before ends
	kind Kind
	id   ID
}

type jsonFile struct {
	Path string `json:"path"`
	ID   string `json:"id"`
}

// Encode writes the manifest of files: without white space, sorted by path. The
// ID is that of its bytes. Paths must be those that CheckPath lets pass, each once.
func Encode(m Metadata, files []File) ([]byte, ID, error) {
	files = slices.Clone(files)
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	line := func(v any) error {
		err := enc.Encode(v)
		b.Truncate(b.Len() - 1) // the line's end
		return err
	}
	b.WriteString(`{"metadata":`)
	if err := line(m); err != nil {
		return nil, ID{}, fmt.Errorf("writing the manifest's metadata: %w", err)
	}
	b.WriteString(`,"files":[`)
	for i, f := range files {
		if err := CheckPath(f.Path); err != nil {
			return nil, ID{}, fmt.Errorf("%q: %w", f.Path, err)
		}
		if i > 0 {
			if files[i-1].Path == f.Path {
				return nil, ID{}, fmt.Errorf("%q stands twice", f.Path)
			}
			b.WriteByte(',')
		}
		if err := line(jsonFile{f.Path, f.ID.String()}); err != nil {
			return nil, ID{}, fmt.Errorf("writing %q: %w", f.Path, err)
		}
	}
	b.WriteString("]}")
	return b.Bytes(), IDOf(b.Bytes()), nil
}

// Parse reads a manifest. Its ID is that of data; whoever asked for another one
// compares. Errors name the file at fault.
func Parse(data []byte) (*Manifest, error) { return ParsePaced(data, &pace.Pacer{}) }

// ParsePaced is Parse that makes room for others meanwhile: 100,000 files take
// half a second of a processor.
func ParsePaced(data []byte, room *pace.Pacer) (*Manifest, error) {
	return parse(data, IDPaced(data, room), room)
}

// ParseOf is ParsePaced of the manifest that id names: a *Mismatch if data is not that.
func ParseOf(id ID, data []byte, room *pace.Pacer) (*Manifest, error) {
	if got := IDPaced(data, room); got != id {
		return nil, &Mismatch{Want: id, Got: got, Size: int64(len(data))}
	}
	return parse(data, id, room)
}

func parse(data []byte, id ID, room *pace.Pacer) (*Manifest, error) {
	if len(data) > MaxManifest {
		return nil, fmt.Errorf("a manifest of %d bytes: at most %d are read", len(data), MaxManifest)
	}
	m := &Manifest{id: id, seed: maphash.MakeSeed()}
	d := json.NewDecoder(bytes.NewReader(data))
	if err := expect(d, json.Delim('{')); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, malformed(err)
		}
		name, _ := key.(string)
		if seen[name] {
			return nil, fmt.Errorf("the manifest's field %q stands twice", name)
		}
		seen[name] = true
		switch name {
		case "metadata":
			if err := d.Decode(&m.metadata); err != nil {
				return nil, malformed(err)
			}
		case "files":
			if err := m.readFiles(d, room); err != nil {
				return nil, err
			}
		default:
			var skipped json.RawMessage
			if err := d.Decode(&skipped); err != nil {
				return nil, malformed(err)
			}
		}
	}
	if err := expect(d, json.Delim('}')); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the manifest goes on after its end")
	}
	if !seen["files"] {
		return nil, errors.New("the manifest has no files")
	}
	for pattern, value := range m.metadata.CacheControl {
		if !cleanValue(value) {
			return nil, fmt.Errorf("metadata.cache_control[%q]: control characters in %q", pattern, value)
		}
		m.order = append(m.order, pattern)
	}
	slices.SortFunc(m.order, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	m.buildIndex(room)
	return m, nil
}

func malformed(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("the manifest is not what it should be: %w", err)
}

func expect(d *json.Decoder, want json.Delim) error {
	t, err := d.Token()
	if err != nil {
		return malformed(err)
	}
	if t != want {
		return fmt.Errorf("the manifest has %v where %v should be", t, want)
	}
	return nil
}

func (m *Manifest) readFiles(d *json.Decoder, room *pace.Pacer) error {
	if err := expect(d, json.Delim('[')); err != nil {
		return err
	}
	var f jsonFile
	last, sorted := "", true
	for d.More() {
		f = jsonFile{}
		if err := d.Decode(&f); err != nil {
			return malformed(err)
		}
		if err := CheckPath(f.Path); err != nil {
			return fmt.Errorf("the manifest's path %q: %w", f.Path, err)
		}
		id, err := ParseID(f.ID)
		if err != nil {
			return fmt.Errorf("the manifest's file %q has the id %q: %w", f.Path, f.ID, err)
		}
		if uint64(len(m.paths)+len(f.Path)) > math.MaxUint32 {
			return fmt.Errorf("the manifest's paths have more than 4 GiB")
		}
		m.paths = append(m.paths, f.Path...)
		m.files = append(m.files, file{end: uint32(len(m.paths)), kind: KindOf(f.Path), id: id})
		if len(m.files)%paced == 0 {
			room.Block()
		}
		sorted = sorted && last < f.Path
		last = f.Path
	}
	if !sorted {
		if err := m.sort(); err != nil {
			return err
		}
	}
	// What appending left over is as much again.
	m.paths, m.files = slices.Clone(m.paths), slices.Clone(m.files)
	return expect(d, json.Delim(']'))
}

// sort puts files in order that a foreign writer did not sort.
func (m *Manifest) sort() error {
	type named struct {
		path string
		file
	}
	all := make([]named, len(m.files))
	for i := range m.files {
		all[i] = named{m.Path(i), m.files[i]}
	}
	slices.SortFunc(all, func(a, b named) int { return strings.Compare(a.path, b.path) })
	paths := make([]byte, 0, len(m.paths))
	for i, f := range all {
		if i > 0 && all[i-1].path == f.path {
			return fmt.Errorf("the manifest's path %q stands twice", f.path)
		}
		paths = append(paths, f.path...)
		m.files[i] = f.file
		m.files[i].end = uint32(len(paths))
	}
	m.paths = paths
	return nil
}

// buildIndex makes a hash table of open addressing, at most half full, of file
// numbers counted from 1.
func (m *Manifest) buildIndex(room *pace.Pacer) {
	size := 2
	for size < 2*len(m.files) {
		size *= 2
	}
	m.index, m.mask = make([]uint32, size), uint64(size-1)
	for i := range m.files {
		at := maphash.Bytes(m.seed, m.path(i)) & m.mask
		for m.index[at] != 0 {
			at = (at + 1) & m.mask
		}
		m.index[at] = uint32(i + 1)
		room.Step()
	}
}

func (m *Manifest) path(i int) []byte {
	from := uint32(0)
	if i > 0 {
		from = m.files[i-1].end
	}
	return m.paths[from:m.files[i].end]
}

// ID is the manifest's own.
func (m *Manifest) ID() ID { return m.id }

// Metadata says where the manifest is from.
func (m *Manifest) Metadata() Metadata { return m.metadata }

// Len is the number of files.
func (m *Manifest) Len() int { return len(m.files) }

// Path is that of file i.
func (m *Manifest) Path(i int) string { return string(m.path(i)) }

// FileID is that of file i.
func (m *Manifest) FileID(i int) ID { return m.files[i].id }

// KindOfFile is the kind of file i.
func (m *Manifest) KindOfFile(i int) Kind { return m.files[i].kind }

// Find looks a path up. It does not allocate.
func (m *Manifest) Find(path []byte) (i int, ok bool) {
	for at := maphash.Bytes(m.seed, path) & m.mask; ; at = (at + 1) & m.mask {
		n := m.index[at]
		if n == 0 {
			return 0, false
		}
		if string(m.path(int(n-1))) == string(path) {
			return int(n - 1), true
		}
	}
}

// CacheControl is what the metadata says of a path; "" when it says nothing. It
// does not allocate.
func (m *Manifest) CacheControl(path []byte) string {
	if len(m.order) == 0 {
		return ""
	}
	if v, ok := m.metadata.CacheControl[string(path)]; ok {
		return v
	}
	for _, p := range m.order {
		if rest, ok := strings.CutPrefix(p, "*"); ok && hasSuffix(path, rest) {
			return m.metadata.CacheControl[p]
		}
		if rest, ok := strings.CutSuffix(p, "*"); ok && hasPrefix(path, rest) {
			return m.metadata.CacheControl[p]
		}
	}
	return ""
}

func hasSuffix(b []byte, s string) bool { return len(b) >= len(s) && string(b[len(b)-len(s):]) == s }
func hasPrefix(b []byte, s string) bool { return len(b) >= len(s) && string(b[:len(s)]) == s }

// cleanValue says whether a text may stand in a header field.
func cleanValue(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}
