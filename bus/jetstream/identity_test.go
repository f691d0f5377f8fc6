package jetstream

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edgerouter/bus"
	"edgerouter/bus/bustest"
	"edgerouter/internal/testkit"
)

const kept = "/t-9/kept"

// clusterWith starts a cluster of three, appends n entries and stops it.
func clusterWith(t *testing.T, n int) []Options {
	t.Helper()
	options := clusterOptionsFor(t, 3)
	var nodes []*Bus
	for _, o := range options {
		b, _ := start(t, o)
		nodes = append(nodes, b)
	}
	for i := range n {
		if _, err := nodes[i%3].Append(deadline(t), kept, bustest.Event(i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, b := range nodes {
		until(t, "all nodes have all entries", func() bool {
			some, err := b.Read(deadline(t), bus.Cursor{Stream: kept, Version: int64(n) - 1}, 10)
			return err == nil && len(some) == 1
		})
	}
	for _, b := range nodes {
		b.Close()
	}
	return options
}

// entriesOf reads a whole stream.
func entriesOf(t *testing.T, log bus.Log, stream string) int {
	t.Helper()
	n := 0
	for at := bus.Start(stream); ; {
		some, err := log.Read(deadline(t), at, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(some) == 0 {
			return n
		}
		n, at = n+len(some), some[len(some)-1].Cursor
	}
}

// A folder belongs to the node that used it first, in the file that says so and by
// the names that the cluster's store knows; nothing that is refused changes anything.
func TestIdentity(t *testing.T) {
	options := clusterWith(t, 50)
	for _, how := range []string{"recorded", "folder of an older version"} {
		for i, o := range options {
			if how != "recorded" {
				if err := os.Remove(filepath.Join(o.Folder, identityFile)); err != nil {
					t.Fatal(err)
				}
			}
			o.Node = "other-" + o.Node
			_, err := New(o)
			if !errors.Is(err, ErrIdentity) || !strings.Contains(err.Error(), "--node "+o.Node) {
				t.Errorf("%s, node %d: %v", how, i, err)
			}
			if how == "recorded" && !strings.Contains(err.Error(), "edgerouter node rename") {
				t.Errorf("the error does not say what to do: %v", err)
			}
		}
	}
	alone := options[0]
	alone.Peers, alone.Listen = nil, ""
	if _, err := New(alone); !errors.Is(err, ErrCluster) {
		t.Errorf("a member of a cluster started alone: %v", err)
	}
	if _, err := os.Stat(filepath.Join(alone.Folder, folderAlone)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was refused made a store: %v", err)
	}
	var nodes []*Bus
	for _, o := range options {
		b, _ := start(t, o)
		nodes = append(nodes, b)
	}
	until(t, "the old names find their log", func() bool {
		last, err := nodes[2].Last(deadline(t), kept)
		return err == nil && last.Version == 50
	})
	if n := entriesOf(t, nodes[1], kept); n != 51 {
		t.Errorf("%d entries", n)
	}
}

func TestDamagedIdentity(t *testing.T) {
	for _, content := range []string{"", "{", `{"node":""}`, `"a"`} {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, identityFile), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := New(Options{Node: "a", Embedded: Embedded{Folder: folder}})
		if err == nil || !strings.Contains(err.Error(), identityFile) {
			t.Errorf("%q: %v", content, err)
		}
	}
}

// A store that is cut off, or foreign bytes, name no members.
func FuzzMetaMembers(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{3, 0, 0, 0, 1, 0, 0, 0, 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 0, 0})
	f.Add([]byte{3, 0, 0, 0, 255, 255, 255, 255, 'a'})
	f.Fuzz(func(t *testing.T, content []byte) {
		store := t.TempDir()
		path := filepath.Join(store, "jetstream", "$SYS", "_js_", "_meta_")
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, "peers.idx"), content, 0o600); err != nil {
			t.Fatal(err)
		}
		members, err := metaMembers(store)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range members {
			if len(m) != memberIDLength {
				t.Fatalf("%q", m)
			}
		}
	})
}

// A cluster whose nodes all come back under other names, by an edited file, knows
// none of the streams that they have, and its servers delete them: what each node
// had is put aside, reported, and can be read.
func TestDeletedIsKept(t *testing.T) {
	options := clusterWith(t, 300)
	type running struct {
		folder string
		bus    *Bus
		out    *testkit.Buffer
	}
	var nodes []running
	for _, o := range options {
		o.Node = "renamed-" + o.Node
		if err := writeIdentity(o.Folder, o.Node); err != nil {
			t.Fatal(err)
		}
		b, out := start(t, o)
		nodes = append(nodes, running{o.Folder, b, out})
	}
	for _, n := range nodes {
		var aside []string
		until(t, "what the server deleted is put aside", func() bool {
			aside, _ = filepath.Glob(filepath.Join(n.folder, folderCluster+deletedSuffix+"*"))
			return len(aside) == 1
		})
		until(t, "it is reported", func() bool { return strings.Contains(n.out.String(), aside[0]) })
		log, err := OpenStored(context.Background(), aside[0])
		if err != nil {
			t.Fatal(err)
		}
		if got := entriesOf(t, log, kept); got != 301 {
			t.Errorf("%d of 301 entries were kept", got)
		}
	}
}

// The log of a stopped node is read without a change to its folder.
func TestOpenStored(t *testing.T) {
	options := clusterWith(t, 40)
	for _, o := range options {
		log, err := OpenStored(context.Background(), o.Folder)
		if err != nil {
			t.Fatal(err)
		}
		if n := entriesOf(t, log, kept); n != 41 {
			t.Errorf("%s: %d entries", o.Node, n)
		}
		if _, err := log.Append(context.Background(), kept, bustest.Event(1)); !errors.Is(err, ErrStored) {
			t.Errorf("append: %v", err)
		}
	}
	if _, err := OpenStored(context.Background(), t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty folder: %v", err)
	}
	b, _ := start(t, options[0])
	if _, err := OpenStored(context.Background(), options[0].Folder); !errors.Is(err, ErrLocked) {
		t.Errorf("beside a running node: %v", err)
	}
	b.Close()
}
