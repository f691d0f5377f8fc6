package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/app"
	"edgerouter/bus"
	"edgerouter/discovery"
	"edgerouter/metrics"
)

var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func testApp(id, to string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"id": %q, "frontends": [{"kind": "hostname", "hostname": "x.example.com"}],
		"backend": {"kind": "redirect", "redirect_opts": {"to": %q}}}`, id, to))
}

func updated(t testing.TB, id, to string) string {
	t.Helper()
	line, err := Updated(now, testApp(id, to))
	if err != nil {
		t.Fatal(err)
	}
	return line
}

func deleted(t testing.TB, id string) string {
	t.Helper()
	line, err := Deleted(now, id)
	if err != nil {
		t.Fatal(err)
	}
	return line
}

func event(typ, data string) string { return "2026-11-01T12:00:00.000Z " + typ + "    " + data }

// told is the state in short: ids with their redirects.
func told(s *State) string {
	var out []string
	for _, a := range s.Apps() {
		out = append(out, fmt.Sprintf("%s=%s@%d", a.ID, a.Backend.Redirect.To, a.Version))
	}
	return strings.Join(out, " ")
}

func TestState(t *testing.T) {
	entries := []struct {
		lines    []string
		want     string
		problems int
		unknown  uint64
	}{
		{[]string{updated(t, "b", "/1")}, "b=/1@1", 0, 0},
		{[]string{updated(t, "a", "/1"), updated(t, "c", "/1")}, "a=/1@2 b=/1@1 c=/1@2", 0, 0},
		{[]string{updated(t, "b", "/2")}, "a=/1@2 b=/2@3 c=/1@2", 0, 0},
		{[]string{event("SomethingElse", `{}`)}, "a=/1@2 b=/2@3 c=/1@2", 0, 1},
		{[]string{bus.ChildStreamCreated(now, "/t-1/loadbalancer/x")}, "a=/1@2 b=/2@3 c=/1@2", 0, 1},
		{[]string{event("AppUpdated", `{"Application": {"id": "a", "colour": 1}}`)}, "a=/1@2 b=/2@3 c=/1@2", 2, 1},
		{[]string{deleted(t, "c"), event("AppUpdated", `{"Application": {"id": "c", "frontends": []}}`)}, "a=/1@2 b=/2@3", 4, 1},
		{[]string{updated(t, "a", "/3")}, "a=/3@8 b=/2@3", 2, 1},
		{[]string{deleted(t, "c")}, "a=/3@8 b=/2@3", 0, 1},
		{[]string{event("AppUpdated", `{}`), event("AppDeleted", `{"Id": 3}`), event("AppUpdated", `{"Application": []}`)}, "a=/3@8 b=/2@3", 3, 1},
		{[]string{event("AppUpdated", `{"Application": {"apps": []}}`), "garbage"}, "a=/3@8 b=/2@3", 5, 1},
		{[]string{deleted(t, "nobody")}, "a=/3@8 b=/2@3", 5, 1},
	}
	var s State
	s.Apply(bus.Entry{Cursor: bus.Cursor{Stream: "/t-1/loadbalancer"}, Meta: bus.StreamStarted(now, "/t-1/loadbalancer")})
	for i, e := range entries {
		s.Apply(bus.Entry{Cursor: bus.Cursor{Stream: "/t-1/loadbalancer", Version: int64(i + 1)}, Events: e.lines})
		if got := told(&s); got != e.want || s.unknown != e.unknown || (len(s.Problems()) == 0) != (e.problems == 0) {
			t.Errorf("after version %d: %s, %d unknown, problems %v; want %s, %d, %d", i+1, got, s.unknown, s.Problems(), e.want, e.unknown, e.problems)
		}
		// A node that starts from a snapshot has the same.
		data, err := s.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		var restored State
		if err := restored.Restore(data); err != nil {
			t.Fatal(err)
		}
		again, err := restored.Snapshot()
		if err != nil || string(again) != string(data) || told(&restored) != e.want {
			t.Errorf("after version %d a snapshot became %s, was %s, %v", i+1, again, data, err)
		}
		if got, want := len(restored.problems), len(s.problems); got != want {
			t.Errorf("after version %d: problems of %d applications, want %d", i+1, got, want)
		}
	}
	for _, p := range s.Problems() {
		if !strings.HasPrefix(p.File, "/t-1/loadbalancer@") {
			t.Errorf("a problem does not say where: %+v", p)
		}
	}
}

// A problem of something that is not there must not make anybody keep it.
func TestProblemsOfWhatIsGone(t *testing.T) {
	var s State
	s.Apply(bus.Entry{Cursor: bus.Cursor{Stream: "/s", Version: 1}, Events: []string{updated(t, "a", "/1")}})
	s.Apply(bus.Entry{Cursor: bus.Cursor{Stream: "/s", Version: 2}, Events: []string{event("AppUpdated", `{"Application": {"id": "a", "x": 1}}`)}})
	if p := s.Problems(); len(p) == 0 || p[0].App != "a" {
		t.Errorf("%+v", p)
	}
	s.Apply(bus.Entry{Cursor: bus.Cursor{Stream: "/s", Version: 3}, Events: []string{deleted(t, "a"), event("AppUpdated", `{"Application": {"id": "a", "x": 1}}`)}})
	if p := s.Problems(); len(p) == 0 || p[0].App != "" || !strings.Contains(p[0].Message, `"a"`) {
		t.Errorf("%+v", p)
	}
}

// A writer's clock may jump, and nodes may be of different versions: positions
// decide, not times, and what an older node does not know it passes over. Once it
// is of the newer version, it has the same as a node that always was.
func TestClocksAndVersions(t *testing.T) {
	s := State{}
	for i, line := range []string{
		updated(t, "a", "/1"),
		strings.Replace(updated(t, "a", "/2"), "2026-", "1999-", 1),
		strings.Replace(updated(t, "a", "/3"), "2026-", "2999-", 1),
		event("AppPaused", `{"Id": "a"}`), // of a version to come
		strings.Replace(deleted(t, "b"), "2026-", "1970-", 1),
		updated(t, "b", "/1"),
		strings.Replace(updated(t, "b", "/2"), "2026-", "2001-", 1),
	} {
		s.Apply(bus.Entry{Cursor: bus.Cursor{Stream: "/s", Version: int64(i + 1)}, Events: []string{line}})
	}
	if got := told(&s); got != "a=/3@3 b=/2@7" || s.unknown != 1 || len(s.Problems()) > 0 {
		t.Errorf("%s, %d unknown, %v", got, s.unknown, s.Problems())
	}

	// An application with a field that this version does not know is a problem and
	// changes nothing; in the snapshot it is kept, so that a later version takes it.
	s.Apply(bus.Entry{Cursor: bus.Cursor{Stream: "/s", Version: 8}, Events: []string{event("AppUpdated", `{"Application": {"id": "a", "of_a_later_version": 1}}`)}})
	data, err := s.Snapshot()
	if err != nil || !strings.Contains(string(data), "of_a_later_version") {
		t.Errorf("%s, %v", data, err)
	}
	var restored State
	if err := restored.Restore(data); err != nil || told(&restored) != "a=/3@3 b=/2@7" || len(restored.Problems()) == 0 {
		t.Errorf("%s, %v, %v", told(&restored), restored.Problems(), err)
	}
}

func TestRestoreGarbage(t *testing.T) {
	for _, data := range []string{"x", `{"apps": 3}`, `{"apps": [{"definition"`} {
		if err := new(State).Restore([]byte(data)); err == nil {
			t.Errorf("%s was taken", data)
		}
	}
	var s State
	if err := s.Restore([]byte(`{"at":{"stream":"/s","version":4},"apps":[{"version":4,"definition":{"id":"a"}}]}`)); err != nil {
		t.Fatal(err)
	}
	if len(s.Apps()) != 0 || len(s.Problems()) == 0 || s.At().Version != 4 {
		t.Errorf("a definition that this version does not take: %v, %v", s.Apps(), s.Problems())
	}
}

func TestParts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var p parts
	want := map[string]string{}
	for i := range 6000 {
		id := fmt.Sprintf("app-%04d", r.IntN(2000))
		if i < 1000 {
			id = fmt.Sprintf("app-%04d", i) // in order, as a first import is
		}
		before := p.list()
		copied := make([][]app.Application, len(before))
		for j, part := range before {
			copied[j] = slices.Clone(part)
		}
		if r.IntN(3) == 0 {
			p.remove(id)
			delete(want, id)
		} else {
			p.put(app.Application{ID: id, Frontends: []app.Frontend{{Rule: fmt.Sprint(i)}}})
			want[id] = fmt.Sprint(i)
		}
		if i%50 == 0 {
			for j, part := range before {
				if !slices.EqualFunc(part, copied[j], func(a, b app.Application) bool { return a.ID == b.ID && a.Frontends[0] == b.Frontends[0] }) {
					t.Fatal("what was handed out was written to")
				}
			}
			var all []app.Application
			for _, part := range p.list() {
				if len(part) == 0 || len(part) > partSize {
					t.Fatalf("a part of %d", len(part))
				}
				all = append(all, part...)
			}
			if len(all) != len(want) || !slices.IsSortedFunc(all, func(a, b app.Application) int { return strings.Compare(a.ID, b.ID) }) {
				t.Fatalf("%d applications, want %d in order", len(all), len(want))
			}
			for _, a := range all {
				if want[a.ID] != a.Frontends[0].Rule {
					t.Fatalf("%s is %s, want %s", a.ID, a.Frontends[0].Rule, want[a.ID])
				}
			}
		}
	}
}

// What the real table of EventHorizon holds, through the log's items.
func TestTestdata(t *testing.T) {
	content, err := os.ReadFile("../../bus/eventhorizon/testdata/items.json")
	if err != nil {
		t.Fatal(err)
	}
	var items []struct {
		S string
		V int64
		E []string
	}
	if err := json.Unmarshal(content, &items); err != nil {
		t.Fatal(err)
	}
	var s State
	for _, item := range items {
		if item.S == Path("1") {
			s.Apply(bus.Entry{Cursor: bus.Cursor{Stream: item.S, Version: item.V}, Events: item.E})
		}
	}
	var got []string
	for _, a := range s.Apps() {
		got = append(got, a.ID+" "+strings.Join(a.Backend.PeerSet.Addrs, " "))
	}
	want := []string{"example.com http://127.0.0.1:9103", "example.com-api http://127.0.0.1:9102"}
	if !slices.Equal(got, want) || len(s.Problems()) > 0 {
		t.Errorf("%v, problems %v; want %v", got, s.Problems(), want)
	}
}

func TestSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &bus.Memory{}
		if _, err := log.Append(t.Context(), Path("7"), updated(t, "a", "/1")); err != nil {
			t.Fatal(err)
		}
		set := metrics.NewSet()
		s := New(Options{Log: log, Tenant: "7", CheckEvery: -1, Metrics: set, Logger: zerolog.Nop()})
		ctx, cancel := context.WithCancel(t.Context())
		var last discovery.Update
		done := make(chan error)
		go func() { done <- s.Run(ctx, func(u discovery.Update) { last = u }) }()
		<-s.CaughtUp()
		synctest.Wait()
		if len(last.Parts) != 1 || last.Parts[0][0].ID != "a" || last.Generation != 1 {
			t.Errorf("%+v", last)
		}
		if _, err := log.Append(t.Context(), Path("7"), deleted(t, "a"), event("Later", "{}"), event("AppUpdated", "{}")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if last.Parts == nil || len(last.Parts) != 0 || last.Generation != 2 || len(last.Problems) != 1 {
			t.Errorf("%+v", last)
		}
		var out strings.Builder
		set.WritePrometheus(&out)
		for _, want := range []string{`er_bus_unknown_events_total{stream="/t-7/loadbalancer"} 1`, `er_bus_invalid_events_total{stream="/t-7/loadbalancer"} 1`} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("no %s", want)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func FuzzRead(f *testing.F) {
	f.Add(`2026-11-01T12:00:00.000Z AppUpdated    {"Application": {"id": "a", "frontends": [], "backend": {"kind": "redirect"}}}`)
	f.Add(`2026-11-01T12:00:00.000Z AppDeleted    {"Id":"doomed"}`)
	f.Add(`2026-11-01T12:00:00.000Z Other    {}`)
	f.Fuzz(func(t *testing.T, line string) {
		c, kind := read(bus.Cursor{Stream: "/s"}, line)
		if kind == kindChange && len(c.problems) == 0 && c.id == "" {
			t.Error("a change of nothing")
		}
		var s State
		s.Apply(bus.Entry{Events: []string{line}})
		data, err := s.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		if err := new(State).Restore(data); err != nil {
			t.Error(err)
		}
	})
}

// Ten thousand applications: starting from a snapshot and from the log.
func BenchmarkRestore(b *testing.B) {
	var s State
	lines := make([]string, 10_000)
	for i := range lines {
		lines[i] = updated(b, fmt.Sprintf("app-%05d", i), "/x")
		s.Apply(bus.Entry{Cursor: bus.Cursor{Stream: "/s", Version: int64(i)}, Events: lines[i : i+1]})
	}
	data, err := s.Snapshot()
	if err != nil {
		b.Fatal(err)
	}
	b.Run("snapshot", func(b *testing.B) {
		for b.Loop() {
			if err := new(State).Restore(data); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("log", func(b *testing.B) {
		for b.Loop() {
			var s State
			for i := range lines {
				s.Apply(bus.Entry{Cursor: bus.Cursor{Stream: "/s", Version: int64(i)}, Events: lines[i : i+1]})
			}
		}
	})
}
