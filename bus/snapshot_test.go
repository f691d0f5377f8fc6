package bus

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func testSnapshot() Snapshot {
	return Snapshot{
		Cursor: Cursor{"/t-1/x", 7}, Digest: "abc", Recent: []Entry{{Cursor: Cursor{"/t-1/x", 7}, Events: []string{"one", "two"}}},
		State: []byte("line\nline\n"),
	}
}

func TestSnapshotFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "below", "x.snapshot")
	if _, err := readSnapshot(path, "/t-1/x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	want := testSnapshot()
	for range 2 {
		if err := want.write(path); err != nil {
			t.Fatal(err)
		}
	}
	got, err := readSnapshot(path, "/t-1/x")
	if err != nil || got.Cursor != want.Cursor || got.Digest != want.Digest || string(got.State) != string(want.State) ||
		len(got.Recent) != 1 || !got.Recent[0].Equal(want.Recent[0]) {
		t.Errorf("%+v, %v", got, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := readSnapshot(path, "/t-2/x"); !errors.Is(err, errSnapshot) {
		t.Errorf("another stream: %v", err)
	}
}

// Not one byte of a snapshot can be another one, and none can be missing.
func TestDamagedSnapshot(t *testing.T) {
	good, err := testSnapshot().encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseSnapshot(good); err != nil {
		t.Fatal(err)
	}
	for i := range good {
		if _, err := parseSnapshot(good[:i]); !errors.Is(err, errSnapshot) {
			t.Errorf("cut at %d: %v", i, err)
		}
		for _, bit := range []byte{1, 0x80} {
			bad := append([]byte{}, good...)
			bad[i] ^= bit
			if _, err := parseSnapshot(bad); !errors.Is(err, errSnapshot) {
				t.Errorf("byte %d flipped: %v", i, err)
			}
		}
	}
}

func FuzzParseSnapshot(f *testing.F) {
	good, _ := testSnapshot().encode()
	f.Add(good)
	f.Add([]byte("edgerouter-snapshot 2 00\n"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, content []byte) {
		s, err := parseSnapshot(content)
		if err != nil {
			return
		}
		if _, err := s.encode(); err != nil {
			t.Error(err)
		}
	})
}
