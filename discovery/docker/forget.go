package docker

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"edgerouter/app"
	"edgerouter/discovery"
	"edgerouter/discovery/docker/labels"
)

// forget deals with applications of which nothing is left: they answer 503 for
// a while, and are gone at once when an application is new, which may be the
// same under another name, or when another one claims the same requests and so
// takes over.
func (b *builder) forget(seen map[string]*group, now time.Time, out *set) {
	fresh := false
	for _, a := range out.apps {
		fresh = fresh || b.built && !b.records[a.ID].known
	}
	running := out.apps
	var claimed map[claim]bool
	for id, rec := range b.records {
		if seen[id] != nil {
			continue
		}
		if claimed == nil {
			claimed = claimsOf(running)
		}
		if rec.gone.IsZero() {
			rec.gone = now
		}
		end := rec.gone.Add(b.linger)
		if !rec.served || rec.out.ID == "" || fresh || wanted(rec.out, claimed) || b.declined[rec.group] || !now.Before(end) {
			delete(b.records, id)
			continue
		}
		if rec.empty.ID == "" {
			rec.empty = labels.Drained(rec.out)
		}
		out.apps = append(out.apps, rec.empty)
		out.problems = append(out.problems, app.Problem{
			App: id, File: rec.kind.noun() + " " + rec.origin.Name, Field: "backend.peer_set_opts.addrs",
			Message: fmt.Sprintf("its last container is gone; it answers 503 for %s, in case another one follows", b.linger),
		})
		rec.origin.Containers, rec.origin.Siblings = []discovery.OriginContainer{}, nil
		out.origins[id] = rec.origin
		if out.again.IsZero() || end.Before(out.again) {
			out.again = end
		}
	}
	for _, a := range out.apps {
		b.records[a.ID].known = true
	}
	slices.SortStableFunc(out.problems, func(x, y app.Problem) int {
		return cmp.Or(strings.Compare(x.App, y.App), strings.Compare(x.File, y.File))
	})
}

// claim is what a frontend takes; two that are equal are in conflict.
type claim struct {
	kind             app.FrontendKind
	host, path, rule string
}

func claimOf(f *app.Frontend) claim {
	return claim{f.Kind, strings.ToLower(f.Hostname), f.PathPrefix, f.HostnameRegexp + f.Rule}
}

func claimsOf(apps []app.Application) map[claim]bool {
	claims := map[claim]bool{}
	for i := range apps {
		for j := range apps[i].Frontends {
			claims[claimOf(&apps[i].Frontends[j])] = true
		}
	}
	return claims
}

// wanted says whether others claim what an application claims.
func wanted(a app.Application, claimed map[claim]bool) bool {
	return slices.ContainsFunc(a.Frontends, func(f app.Frontend) bool { return claimed[claimOf(&f)] })
}
