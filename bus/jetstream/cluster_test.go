package jetstream

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"edgerouter/bus"
	"edgerouter/bus/bustest"
	"edgerouter/internal/testkit"
)

const testSecret = "correct-horse-battery"

// patience is how long a cluster may take to elect a leader and more.
const patience = 60 * time.Second

// clusterOptionsFor makes the options of n nodes in one process.
func clusterOptionsFor(t testing.TB, n int) []Options {
	addrs := make([]string, n)
	for i := range addrs {
		addrs[i] = testkit.FreeAddr(t)
	}
	out := make([]Options, n)
	for i := range out {
		out[i].Node = fmt.Sprintf("n%d", i+1)
		out[i].Embedded = Embedded{Folder: t.TempDir(), Listen: addrs[i], Secret: testSecret}
		for j, a := range addrs {
			if j != i {
				out[i].Peers = append(out[i].Peers, a)
			}
		}
	}
	return out
}

// TestCreateAtOnce: all nodes append to streams that are not there yet.
func TestCreateAtOnce(t *testing.T) {
	testkit.Long(t)
	options := clusterOptionsFor(t, 3)
	var nodes []*Bus
	for _, o := range options {
		b, _ := start(t, o)
		nodes = append(nodes, b)
	}
	for round := range 10 {
		stream := fmt.Sprintf("/t-9/at-once-%d", round)
		var wg sync.WaitGroup
		for _, n := range nodes {
			for i := range 3 {
				wg.Go(func() {
					if _, err := n.Append(deadline(t), stream, bustest.Event(i)); err != nil {
						t.Errorf("%s: %v", stream, err)
					}
				})
			}
		}
		wg.Wait()
		last, err := nodes[0].Last(deadline(t), stream)
		if err != nil || last.Version != 9 {
			t.Errorf("%s ends with %v, %v", stream, last, err)
		}
	}
}

func deadline(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// until calls f until it says true.
func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	untilIn(t, patience, what, f)
}

func untilIn(t testing.TB, limit time.Duration, what string, f func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("it did not come to this: %s", what)
		}
	}
}

func TestClusterContract(t *testing.T) {
	testkit.Long(t)
	options := clusterOptionsFor(t, 3)
	var nodes []*Bus
	for _, o := range options {
		b, _ := start(t, o)
		nodes = append(nodes, b)
	}
	// The first append waits for the cluster to form.
	if _, err := nodes[0].Append(deadline(t), "/t-9/first", bustest.Event(1)); err != nil {
		t.Fatal(err)
	}
	next := 0
	bustest.Run(t, bustest.Bed{
		Open: func(t *testing.T) bus.Log {
			next++
			if t.Name() == "TestClusterContract/closed" {
				b, _ := start(t, Options{Embedded: Embedded{Folder: t.TempDir()}})
				return b
			}
			return shared{nodes[next%3]}
		},
		Large: 400,
	})
	if _, err := nodes[1].Last(deadline(t), "/t-9/append"); err != nil {
		t.Fatal(err)
	}
	c := nodes[1].Cluster("/t-9/append")
	if c.Expected != 3 || !c.Quorum || c.Leader == "" || len(c.Copies) != 3 {
		t.Errorf("%+v", c)
	}
}

// A node alone that becomes one of three takes its log along.
func TestGrow(t *testing.T) {
	testkit.Long(t)
	options := clusterOptionsFor(t, 3)
	ctx := deadline(t)
	alone := Options{Node: "n1", Embedded: Embedded{Folder: options[0].Folder}}
	b, _ := start(t, alone)
	const stream = "/t-9/grow"
	for i := range 30 {
		if _, err := b.Append(ctx, stream, bustest.Event(i)); err != nil {
			t.Fatal(err)
		}
	}
	before, err := b.Read(ctx, bus.Start(stream), 100)
	if err != nil {
		t.Fatal(err)
	}
	b.Close()

	first, log := start(t, options[0])
	asked, cancel := context.WithTimeout(ctx, time.Second)
	if _, err := first.Append(asked, stream, bustest.Event(99)); !errors.Is(err, bus.ErrUnavailable) {
		t.Errorf("an append before the log has moved: %v", err)
	}
	cancel()
	second, _ := start(t, options[1])
	third, _ := start(t, options[2])
	for _, n := range []*Bus{first, second, third} {
		until(t, "the log is on every node", func() bool {
			after, err := n.Read(ctx, bus.Start(stream), 100)
			return err == nil && len(after) == len(before)
		})
		after, _ := n.Read(ctx, bus.Start(stream), 100)
		for i := range after[1:] {
			if !after[i+1].Equal(before[i+1]) {
				t.Fatalf("version %d: %v, was %v", i+1, after[i+1], before[i+1])
			}
		}
	}
	until(t, "the old store is put aside", func() bool {
		_, err := os.Stat(filepath.Join(options[0].Folder, folderAlone))
		return errors.Is(err, os.ErrNotExist)
	})
	if !strings.Contains(log.String(), "is in the cluster's") {
		t.Error(log.String())
	}
	if at, err := third.Append(ctx, stream, bustest.Event(30)); err != nil || at.Version != 31 {
		t.Errorf("%v, %v", at, err)
	}
}

// One of three goes without a word, and one is replaced by an empty one.
func TestLoseOne(t *testing.T) {
	testkit.Long(t)
	options := clusterOptionsFor(t, 3)
	var nodes []*Bus
	for _, o := range options {
		b, _ := start(t, o)
		nodes = append(nodes, b)
	}
	ctx := deadline(t)
	const stream = "/t-9/lose"
	appended := 0
	add := func(b *Bus) {
		t.Helper()
		if _, err := b.Append(ctx, stream, bustest.Event(appended)); err != nil {
			t.Fatal(err)
		}
		appended++
	}
	for i := range 10 {
		add(nodes[i%3])
	}
	nodes[0].Close()
	for i := range 10 {
		add(nodes[1+i%2])
	}
	options[0].Folder = t.TempDir() // nothing is left of it
	b, _ := start(t, options[0])
	until(t, "the new node has the log", func() bool {
		entries, err := b.Read(ctx, bus.Start(stream), 100)
		return err == nil && len(entries) == appended+1
	})
	add(b)

	// Two of three gone: nothing is acknowledged any more.
	b.Close()
	nodes[1].Close()
	short, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	if at, err := nodes[2].Append(short, stream, bustest.Event(999)); !errors.Is(err, bus.ErrUnavailable) {
		t.Errorf("an append without quorum: %v, %v", at, err)
	}
	until(t, "the node says that there is no leader", func() bool {
		_, err := nodes[2].Last(ctx, stream)
		return err != nil && strings.Contains(err.Error(), "there is no leader")
	})
}

// Nodes that do not belong are kept out, and each side says why.
func TestStrangers(t *testing.T) {
	options := clusterOptionsFor(t, 3)
	var nodes []*Bus
	var logs []*testkit.Buffer
	options[1].Secret = "staple-horse-battery"
	options[2].Cluster = "elsewhere"
	for _, o := range options {
		b, out := start(t, o)
		nodes, logs = append(nodes, b), append(logs, out)
	}
	until(t, "the secret is told", func() bool { return strings.Contains(logs[0].String()+logs[1].String(), "--bus-secret-file") })
	until(t, "the cluster's name is told", func() bool { return strings.Contains(logs[0].String()+logs[2].String(), "--bus-cluster") })
	for _, l := range logs {
		if s := l.String(); strings.Contains(s, testSecret) || strings.Contains(s, options[1].Secret) {
			t.Errorf("a secret is in the log: %s", s)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := nodes[0].Last(ctx, "/t-9/x"); !errors.Is(err, bus.ErrUnavailable) {
		t.Errorf("it became a cluster: %v", err)
	}
}
