package file

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/discovery"
	"edgerouter/discovery/watch"
	"edgerouter/metrics"
)

// edited is a Source whose file has one content after the other, each for as long
// as it takes to be reported.
type edited struct {
	*Source
	path     string
	versions []string
	t        *testing.T
}

func (e edited) Run(ctx context.Context, emit func(discovery.Update)) error {
	for _, v := range e.versions {
		put(e.t, e.path, v)
		for range 2 {
			e.look(watch.Look{All: true, Asked: true}, emit)
			time.Sleep(2 * settle)
		}
	}
	<-ctx.Done()
	return nil
}

// Whatever is wrong with the versions of a file that follow one another, each
// application stays at its last good version.
func TestBadEditsInARow(t *testing.T) {
	typo := strings.Replace(def("b", "1"), `"hostname":`, `"hostnam":`, 1)
	unnamed := strings.Replace(def("b", "1"), `"id": "b"`, `"idd": "b"`, 1)
	edits := map[string]string{
		"typo":          list(def("a", "1"), typo, def("c", "1")),
		"missing comma": strings.Replace(list(def("a", "1"), typo, def("c", "1")), "},\n{", "}\n{", 1),
		"without an id": list(def("a", "1"), unnamed, def("c", "1")),
		"cut off":       list(def("a", "1"), typo, def("c", "1"))[:150],
		"empty":         "",
	}
	for _, layout := range []string{"file", "folder"} {
		for first, one := range edits {
			for second, two := range edits {
				t.Run(layout+", "+first+", "+second, func(t *testing.T) {
					dir := t.TempDir()
					path, of, want := filepath.Join(dir, "apps.json"), filepath.Join(dir, "apps.json"), "a b c"
					if layout == "folder" {
						of, want = dir, "a b c z"
						put(t, filepath.Join(dir, "other.json"), list(def("z", "1")))
					}
					synctest.Test(t, func(t *testing.T) {
						good := list(def("a", "1"), def("b", "1"), def("c", "1"))
						var last atomic.Value
						m, err := discovery.New(discovery.Options{
							Sources: []discovery.Source{edited{New(of, zerolog.Nop()), path, []string{good, one, two, one}, t}},
							Apply: func(sets []discovery.Set) {
								var ids []string
								for _, a := range slices.Concat(sets[0].Parts...) {
									ids = append(ids, a.ID)
								}
								slices.Sort(ids)
								last.Store(strings.Join(ids, " "))
								if got := last.Load(); got != want && got != "" {
									t.Errorf("%q is served, want %q", got, want)
								}
							},
							Log: zerolog.Nop(), Metrics: metrics.NewSet(),
						})
						must(t, err)
						ctx, cancel := context.WithCancel(t.Context())
						done := make(chan struct{})
						go func() { defer close(done); m.Run(ctx) }()
						time.Sleep(time.Minute)
						synctest.Wait()
						if got := last.Load(); got != want {
							t.Errorf("at the end %q is served, want %q", got, want)
						}
						cancel()
						<-done
					})
				})
			}
		}
	}
}
