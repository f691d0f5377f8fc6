package jetstream

import (
	"context"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"edgerouter/bus"
	"edgerouter/bus/bustest"
	"edgerouter/internal/testkit"
)

// everyFile calls f for each file of a folder whose path has within, and says how
// many there are.
func everyFile(t *testing.T, folder, within string, f func(path string, content []byte) error) (n int) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(path, within) {
			return err
		}
		n++
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return f(path, content)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The ways to damage a file.

func cutFile(path string, content []byte) error { return os.Truncate(path, int64(len(content)/2)) }

func removeFile(path string, _ []byte) error { return os.Remove(path) }

func flipFile(path string, content []byte) error {
	if len(content) > 0 {
		content[len(content)/2] ^= 0x10
	}
	return os.WriteFile(path, content, 0o600)
}

func garbleFile(path string, content []byte) error {
	r := rand.New(rand.NewPCG(uint64(len(content)), 4))
	for i := range content {
		content[i] = byte(r.Uint32())
	}
	return os.WriteFile(path, content, 0o600)
}

// damaged is a cluster of three of which the last one's store is damaged again
// and again.
type damaged struct {
	t       *testing.T // of the whole test: nodes outlive its parts
	options []Options
	nodes   []*Bus
	logs    []*testkit.Buffer
	want    []string
}

func (d *damaged) start(i int) { d.nodes[i], d.logs[i] = start(d.t, d.options[i]) }

func (d *damaged) add(t *testing.T, b *Bus) {
	t.Helper()
	line := bustest.Event(len(d.want))
	if _, err := b.Append(deadline(t), damageStream, line); err != nil {
		t.Fatal(err)
	}
	d.want = append(d.want, line)
}

// whole says that a node reads everything, and nothing else.
func (d *damaged) whole(t *testing.T, b *Bus) bool {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	entries, err := b.Read(ctx, bus.Start(damageStream), 10_000)
	if err != nil || len(entries) != len(d.want)+1 {
		return false
	}
	for i, e := range entries[1:] {
		if e.Version != int64(i+1) || !slices.Equal(e.Events, d.want[i:i+1]) {
			t.Fatalf("version %d is %+v", i+1, e)
		}
	}
	return true
}

// current says that the last node's own copy has everything, as the leader sees it.
func (d *damaged) current(t *testing.T) bool {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := d.nodes[0].Last(ctx, damageStream); err != nil {
		return false
	}
	return slices.ContainsFunc(d.nodes[0].Cluster(damageStream).Copies, func(c Copy) bool {
		return c.Node == d.options[2].Node && c.Current && !c.Offline && c.Lag == 0
	})
}

func (d *damaged) store() string { return filepath.Join(d.options[2].Folder, folderCluster) }

// Whatever became of the store of one node of three, with all that the server
// keeps there: the node gets the log from the others, and counts again. A store
// of no use is put aside, and the node says so. Nothing of what it had is taken
// for the log.
func TestDamagedMember(t *testing.T) {
	testkit.Long(t)
	d := &damaged{t: t, options: clusterOptionsFor(t, 3), nodes: make([]*Bus, 3), logs: make([]*testkit.Buffer, 3)}
	for i := range d.nodes {
		d.start(i)
	}
	d.add(t, d.nodes[0])
	const messages, raft = "/streams/", "/S-R3F"
	for _, c := range []struct {
		name, within string
		damage       func(path string, content []byte) error
		aside        bool
	}{
		{"cut", "", cutFile, true},
		{"flipped", "", flipFile, true},
		{"garbage", "", garbleFile, true},
		{"messages cut", messages, cutFile, false},
		{"messages missing", messages, removeFile, false},
		{"raft garbage", raft, garbleFile, true},
		{"raft missing", raft, removeFile, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 15 {
				d.add(t, d.nodes[len(d.want)%3])
			}
			until(t, "the node has all", func() bool { return d.current(t) })
			d.nodes[2].Close()
			if everyFile(t, d.store(), c.within, c.damage) == 0 {
				t.Fatal("there is no such file")
			}
			for range 15 {
				d.add(t, d.nodes[len(d.want)%2])
			}
			started := time.Now()
			d.start(2)
			until(t, "the node has the log again", func() bool { return d.current(t) && d.whole(t, d.nodes[2]) })
			t.Logf("whole after %s", time.Since(started).Round(10*time.Millisecond))
			d.add(t, d.nodes[2])
			if text := d.logs[2].String(); strings.Contains(text, folderDamaged) != c.aside {
				t.Errorf("put aside: want %v; log:\n%s", c.aside, text)
			}
		})
	}

	// While another one is away the damaged store stays: the log could be on too few.
	d.nodes[2].Close()
	everyFile(t, d.store(), "", garbleFile)
	d.nodes[1].Close()
	d.start(2)
	until(t, "the node says what to do", func() bool { return strings.Contains(d.logs[2].String(), "it stays as it is until the other nodes") })
	d.start(1)
	until(t, "the node has the log again", func() bool { return d.current(t) && d.whole(t, d.nodes[2]) })

	// Its copy is worth something: it and one other are the majority.
	d.nodes[0].Close()
	d.add(t, d.nodes[2])
	until(t, "both have everything", func() bool { return d.whole(t, d.nodes[1]) && d.whole(t, d.nodes[2]) })
}
