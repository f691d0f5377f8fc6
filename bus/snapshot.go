package bus

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A snapshot file is three parts: one line with the format and the SHA-256 of
// all that follows, one line of JSON that says where in the stream it is from,
// and the state as it was given.
const (
	snapshotMagic  = "edgerouter-snapshot"
	snapshotFormat = 1
)

// Snapshot is the state of a stream at one position.
type Snapshot struct {
	Cursor
	// Digest is the follower's digest at the position.
	Digest string `json:"digest"`
	// Recent are the last entries up to the position.
	Recent []Entry `json:"recent"`
	// State is what State.Snapshot returned.
	State []byte `json:"-"`
}

// errSnapshot says that a snapshot file cannot be used: it is damaged, from
// another stream or of a later format.
var errSnapshot = errors.New("the snapshot cannot be used")

// readSnapshot reads the file at path, which has to be of the stream. fs.ErrNotExist
// when there is none, errSnapshot when what is there is no good.
func readSnapshot(path, stream string) (Snapshot, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return Snapshot{}, err
	}
	s, err := parseSnapshot(content)
	if err == nil && s.Stream != stream {
		err = fmt.Errorf("%w: it is of the stream %q, not %q", errSnapshot, s.Stream, stream)
	}
	if err != nil {
		return Snapshot{}, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

func parseSnapshot(content []byte) (Snapshot, error) {
	var s Snapshot
	first, rest, _ := bytes.Cut(content, []byte("\n"))
	words := strings.Split(string(first[:min(len(first), 200)]), " ")
	if len(words) != 3 || words[0] != snapshotMagic {
		return s, fmt.Errorf("%w: it does not begin as a snapshot does", errSnapshot)
	}
	if words[1] != strconv.Itoa(snapshotFormat) {
		return s, fmt.Errorf("%w: its format is %.10q and this version of edgerouter reads %d", errSnapshot, words[1], snapshotFormat)
	}
	if sum := sha256.Sum256(rest); hex.EncodeToString(sum[:]) != words[2] {
		return s, fmt.Errorf("%w: its checksum does not fit what is in it", errSnapshot)
	}
	header, state, _ := bytes.Cut(rest, []byte("\n"))
	if err := json.Unmarshal(header, &s); err != nil {
		return s, fmt.Errorf("%w: %w", errSnapshot, err)
	}
	s.State = state
	return s, nil
}

func (s Snapshot) encode() ([]byte, error) {
	header, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	sum.Write(header)
	sum.Write([]byte("\n"))
	sum.Write(s.State)
	out := fmt.Appendf(make([]byte, 0, len(header)+len(s.State)+128), "%s %d %x\n", snapshotMagic, snapshotFormat, sum.Sum(nil))
	out = append(out, header...)
	out = append(out, '\n')
	return append(out, s.State...), nil
}

// write puts the snapshot in the place of the one at path: whoever reads it, also
// after a power cut, finds the old or the new one. The file is for its owner
// only, because definitions hold secrets.
func (s Snapshot) write(path string) error {
	content, err := s.encode()
	if err != nil {
		return fmt.Errorf("encoding the snapshot %s: %w", path, err)
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the folder of the snapshot %s: %w", path, err)
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("writing the snapshot %s: %w", path, err)
	}
	defer os.Remove(f.Name()) // of no effect once it is renamed
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing the snapshot %s: %w", path, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("writing the snapshot %s: %w", path, err)
	}
	return syncFolder(dir)
}

// syncFolder makes a rename survive a power cut.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// setAside renames a file that cannot be used, so that somebody can look at it.
// The one that was set aside before it goes.
func setAside(path string) (string, error) {
	aside := path + ".unusable"
	err := os.Rename(path, aside)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return aside, err
}
