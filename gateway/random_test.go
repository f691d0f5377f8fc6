package gateway

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"edgerouter/app"
)

// Whatever the changes, a gateway that went through them serves what one serves
// that was given the last set alone, but for applications that broke on the way.
func TestRandomChanges(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		f := newFixture(t)
		f.fakes.broken["http://broken"] = errors.New("broken")
		sources := [][]app.Application{nil, nil}
		parts := [][]app.Application{}
		good := map[string]bool{} // ids that have a version in service
		for step := range 80 {
			randomEdit(r, sources, step)
			f.Apply([]SourceSet{{Source: "file", Parts: inParts(sources[0], &parts)}, {Source: "docker", Apps: slices.Clone(sources[1])}})
			sets := []SourceSet{{Source: "file", Apps: sources[0]}, {Source: "docker", Apps: sources[1]}}

			fresh := newFixture(t)
			fresh.fakes.broken["http://broken"] = errors.New("broken")
			fresh.Apply(sets)
			there := map[string]bool{}
			for a := range f.Snapshot().Apps.All() {
				there[a.ID()] = true
				switch other := fresh.Snapshot().App(a.ID()); {
				case other.State == StateBroken && good[a.ID()]:
					if a.State != StateKept {
						t.Fatalf("seed %d step %d: %s is %s, want it kept", seed, step, a.ID(), a.State)
					}
				case a.State != other.State || !app.Equal(a.Definition, other.Definition) || a.Source != other.Source:
					t.Fatalf("seed %d step %d: %s is %s, a fresh gateway says %s", seed, step, a.ID(), a.State, other.State)
				default:
					good[a.ID()] = a.State == StateRunning || a.State == StateUnavailable
				}
			}
			for id := range good {
				if !there[id] {
					delete(good, id)
				}
			}
			if f.Snapshot().Apps.Len() != fresh.Snapshot().Apps.Len() || f.Snapshot().problems != fresh.Snapshot().problems {
				t.Fatalf("seed %d step %d: %d applications and %d problems, a fresh gateway has %d and %d", seed, step,
					f.Snapshot().Apps.Len(), f.Snapshot().problems, fresh.Snapshot().Apps.Len(), fresh.Snapshot().problems)
			}
			if anyKept(f) {
				continue // it serves what the fresh one has never seen
			}
			for host := range 12 {
				name := fmt.Sprintf("h%d.example.com", host)
				if got, want := f.ask(name, "/"), fresh.ask(name, "/"); got != want {
					t.Fatalf("seed %d step %d: %s is answered by %q, a fresh gateway says %q", seed, step, name, got, want)
				}
			}
			fresh.Close()
		}
		open := 0
		for _, b := range f.fakes.built {
			if !b.isClosed() {
				open++
			}
		}
		f.Close()
		for _, b := range f.fakes.built {
			if !b.isClosed() {
				t.Fatalf("seed %d: a backend of %s is open after Close", seed, b.id)
			}
		}
		if open == 0 {
			t.Errorf("seed %d: nothing was open", seed)
		}
	}
}

func anyKept(f *fixture) bool {
	return slices.ContainsFunc(slices.Collect(f.Snapshot().Apps.All()), func(a *App) bool { return a.State == StateKept })
}

// randomEdit changes, adds, removes, moves or breaks an application.
func randomEdit(r *rand.Rand, sources [][]app.Application, step int) {
	at := r.IntN(len(sources))
	list := slices.Clone(sources[at])
	host := func() string { return fmt.Sprintf("h%d.example.com", r.IntN(12)) }
	switch kind := r.IntN(8); {
	case kind < 2 || len(list) == 0:
		list = slices.Insert(list, r.IntN(len(list)+1), peers(fmt.Sprintf("n%d", step), fmt.Sprintf("http://n%d", step), host(), host()))
	case kind == 2:
		i := r.IntN(len(list))
		list = slices.Delete(list, i, i+1)
	case kind == 3:
		i, j := r.IntN(len(list)), r.IntN(len(list))
		list[i], list[j] = list[j], list[i]
	case kind == 4: // another backend
		i := r.IntN(len(list))
		list[i].Backend = peers("", fmt.Sprintf("http://s%d", step)).Backend
	case kind == 5: // other frontends
		i := r.IntN(len(list))
		list[i].Frontends = peers("", "", host()).Frontends
	case kind == 6: // a broken or unavailable backend
		i := r.IntN(len(list))
		if r.IntN(2) == 0 {
			list[i].Backend = peers("", "http://broken").Backend
		} else {
			list[i].Backend = app.Backend{Kind: app.BackendAWSLambda, AWSLambda: &app.AWSLambdaOpts{FunctionName: strings.Repeat("f", step+1)}}
		}
	case kind == 7: // to the other source
		i := r.IntN(len(list))
		sources[1-at] = append(slices.Clone(sources[1-at]), list[i])
		list = slices.Delete(list, i, i+1)
	}
	sources[at] = list
}

// inParts cuts a list into parts of three; those that are as before are the same
// slices.
func inParts(list []app.Application, before *[][]app.Application) [][]app.Application {
	parts := [][]app.Application{}
	for part := range slices.Chunk(slices.Clone(list), 3) {
		i := len(parts)
		if i < len(*before) && slices.EqualFunc((*before)[i], part, func(a, b app.Application) bool { return identical(&a, &b) }) {
			part = (*before)[i]
		}
		parts = append(parts, part)
	}
	*before = parts
	return parts
}
