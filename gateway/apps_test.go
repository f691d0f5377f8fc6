package gateway

import (
	"runtime"
	"slices"
	"testing"

	"edgerouter/app"
)

func TestAppsShareWhatIsTheSame(t *testing.T) {
	for _, n := range []int{0, 1, appsPiece - 1, appsPiece, appsPiece + 1, 3*appsPiece + 7} {
		list := make([]*App, n)
		for i := range list {
			list[i] = &App{}
		}
		before := newApps(list)
		if before.Len() != n || !slices.Equal(slices.Collect(before.All()), list) {
			t.Fatalf("%d applications: Len is %d, All has %d", n, before.Len(), len(slices.Collect(before.All())))
		}
		if n == 0 {
			continue
		}
		other, first := &App{}, &App{}
		after := before.with([]shown{{n - 1, other}, {0, first}, {n - 1, other}})
		want := slices.Clone(list)
		want[0], want[n-1] = first, other
		if !slices.Equal(slices.Collect(after.All()), want) || after.At(n-1) != other {
			t.Errorf("%d applications: the changed list is not as changed", n)
		}
		if !slices.Equal(slices.Collect(before.All()), list) {
			t.Errorf("%d applications: the list that was there has changed", n)
		}
		for i := range before.pieces {
			changed := i == 0 || i == len(before.pieces)-1
			if same := sameSlice(before.pieces[i], after.pieces[i]); same == changed {
				t.Errorf("%d applications: piece %d is shared: %v", n, i, same)
			}
		}
	}
}

// What a change of one application allocates does not grow with how many there
// are.
func TestChangeOfOneAllocatesLittle(t *testing.T) {
	bytesPerChange := func(n int) float64 {
		f := newFixture(t)
		parts := slices.Collect(slices.Chunk(many(n), 256))
		f.Apply([]SourceSet{{Source: "file", Parts: parts}})
		ports := []string{"http://127.0.0.1:1000", "http://127.0.0.1:1001"}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		const changes = 50
		for i := range changes {
			parts = slices.Clone(parts)
			parts[0] = slices.Clone(parts[0])
			parts[0][1].Backend = app.Backend{Kind: app.BackendPeerSet, PeerSet: &app.PeerSetOpts{Addrs: ports[i%2 : i%2+1]}}
			f.Apply([]SourceSet{{Source: "file", Parts: parts}})
		}
		runtime.ReadMemStats(&after)
		if got := f.Snapshot().Generation; got != 1+changes {
			t.Fatalf("generation %d after %d changes", got, changes)
		}
		return float64(after.TotalAlloc-before.TotalAlloc) / changes
	}
	few, lots := bytesPerChange(256), bytesPerChange(5120)
	if lots > few+8<<10 {
		t.Errorf("a change of one allocates %.0f bytes among 5120 applications and %.0f among 256", lots, few)
	}
}
