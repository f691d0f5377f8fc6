package deploy

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"edgerouter/turbo/content"
	"edgerouter/turbo/store"
)

// PruneOptions say what is deleted.
type PruneOptions struct {
	// Keep is how many manifests of each project stay, the newest by the time of
	// their deploy; at least 1.
	Keep int
	// Also are manifests that stay however old they are.
	Also []content.ID
	// Age protects what a deploy that is under way has sent already: younger
	// objects stay. Default 24 hours.
	Age time.Duration
	// DryRun deletes nothing.
	DryRun bool
	// Now is the clock; time.Now by default.
	Now func() time.Time
}

// Pruned is what was, or would be, deleted, and what stays.
type Pruned struct {
	Manifests, Files         int
	Bytes                    int64 // of the files
	KeptManifests, KeptFiles int
}

// Prune deletes old manifests, and the files that none of the others has. A
// manifest that cannot be read ends it before anything is deleted: nobody knows
// which files it has.
//
// Manifests go before files, so that one that is broken off leaves no manifest
// without its files.
func Prune(ctx context.Context, s store.Store, o PruneOptions) (Pruned, error) {
	if o.Keep < 1 {
		return Pruned{}, fmt.Errorf("keeping %d manifests of each project: at least 1 must stay", o.Keep)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Age == 0 {
		o.Age = 24 * time.Hour
	}
	young := o.Now().Add(-o.Age)
	type dated struct {
		*content.Manifest
		modified time.Time
	}
	projects := map[string][]dated{}
	err := s.List(ctx, store.Manifests, func(i store.Item) error {
		var m *content.Manifest
		err := again(ctx, func() (err error) {
			m, _, err = store.Manifest(ctx, s, i.ID)
			return err
		})
		if err != nil {
			return fmt.Errorf("%w; nothing was deleted: delete this manifest first if it is of no use", err)
		}
		p := m.Metadata().Project
		projects[p] = append(projects[p], dated{m, i.Modified})
		return nil
	})
	if err != nil {
		return Pruned{}, err
	}
	var out Pruned
	used := map[content.ID]bool{}
	var old []content.ID
	for _, all := range projects {
		slices.SortFunc(all, func(a, b dated) int {
			return cmp.Or(b.Metadata().Deployed.Compare(a.Metadata().Deployed), b.modified.Compare(a.modified))
		})
		for n, m := range all {
			if n < o.Keep || m.modified.After(young) || slices.Contains(o.Also, m.ID()) {
				out.KeptManifests++
				for i := range m.Len() {
					used[m.FileID(i)] = true
				}
				continue
			}
			old = append(old, m.ID())
		}
	}
	var unused []content.ID
	err = s.List(ctx, store.Files, func(i store.Item) error {
		if used[i.ID] || i.Modified.After(young) {
			out.KeptFiles++
			return nil
		}
		unused = append(unused, i.ID)
		out.Bytes += i.Size
		return nil
	})
	if err != nil {
		return Pruned{}, err
	}
	out.Manifests, out.Files = len(old), len(unused)
	if o.DryRun {
		return out, nil
	}
	// What a deploy that was killed left in the middle of a file.
	if l, ok := s.(interface {
		Leftovers(ctx context.Context, before time.Time) error
	}); ok {
		if err := l.Leftovers(ctx, young); err != nil {
			return Pruned{}, err
		}
	}
	if err := s.Delete(ctx, store.Manifests, old...); err != nil {
		return Pruned{}, err
	}
	return out, s.Delete(ctx, store.Files, unused...)
}
