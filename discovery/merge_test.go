package discovery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/app"
	"edgerouter/metrics"
)

// script is a source that does what a test says.
type script struct {
	name string
	runs int
	run  func(ctx context.Context, n int, emit func(Update)) error
}

func (s *script) Name() string { return s.name }

func (s *script) Run(ctx context.Context, emit func(Update)) error {
	s.runs++
	return s.run(ctx, s.runs, emit)
}

// emitter is a source that emits what comes over a channel.
func emitter(name string) (*script, chan<- Update) {
	ch := make(chan Update)
	return &script{name: name, run: func(ctx context.Context, _ int, emit func(Update)) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case u := <-ch:
				emit(u)
			}
		}
	}}, ch
}

func ids(list ...string) []app.Application {
	apps := []app.Application{}
	for _, id := range list {
		apps = append(apps, app.Application{ID: id})
	}
	return apps
}

// told is ids of sets for comparison: "file:a,b docker:c".
func told(sets []Set) string {
	var parts []string
	for _, s := range sets {
		var list []string
		for _, a := range slices.Concat(s.Parts...) {
			list = append(list, a.ID)
		}
		parts = append(parts, s.Source+":"+strings.Join(list, ","))
	}
	return strings.Join(parts, " ")
}

type rig struct {
	*Merge
	t       *testing.T
	applied [][]Set
	log     bytes.Buffer
	mu      sync.Mutex
	ms      *metrics.Set
	block   chan struct{} // when set, each apply waits for it
}

func newRig(t *testing.T, sources ...Source) *rig { return newRigWith(t, nil, sources...) }

func newRigWith(t *testing.T, patience map[string]time.Duration, sources ...Source) *rig {
	r := &rig{t: t, ms: metrics.NewSet()}
	m, err := New(Options{
		Patience: patience, Sources: sources, Metrics: r.ms, Log: zerolog.New(&r.log),
		Apply: func(sets []Set) {
			r.mu.Lock()
			r.applied = append(r.applied, sets)
			block := r.block
			r.mu.Unlock()
			if block != nil {
				<-block
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Merge = m
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return r
}

func (r *rig) last() string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.applied) == 0 {
		return "nothing"
	}
	return told(r.applied[len(r.applied)-1])
}

func (r *rig) applies() int {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.applied)
}

func (r *rig) want(want string) {
	r.t.Helper()
	if got := r.last(); got != want {
		r.t.Errorf("applied %q, want %q", got, want)
	}
}

func (r *rig) wantReady(want bool) {
	r.t.Helper()
	synctest.Wait()
	ready := false
	select {
	case <-r.Ready():
		ready = true
	default:
	}
	if ready != want {
		r.t.Errorf("ready is %v, want %v", ready, want)
	}
}

func (r *rig) metric(name string) string {
	var b bytes.Buffer
	r.ms.WritePrometheus(&b)
	for line := range strings.Lines(b.String()) {
		if v, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func inBubble(t *testing.T, f func(t *testing.T)) { t.Helper(); synctest.Test(t, f) }

func TestMergeKeepsSourceOrder(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		file, toFile := emitter("file")
		docker, toDocker := emitter("docker")
		r := newRig(t, file, docker)
		toDocker <- Update{Apps: ids("d1", "d2")}
		r.want("file: docker:d1,d2")
		toFile <- Update{Apps: ids("f1")}
		r.want("file:f1 docker:d1,d2")
		toDocker <- Update{Apps: ids()}
		r.want("file:f1 docker:")
	})
}

func TestMergeReady(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		file, toFile := emitter("file")
		silent, _ := emitter("docker")
		r := newRig(t, file, silent)
		toFile <- Update{Apps: ids("a")}
		r.wantReady(false)
		time.Sleep(DefaultGiveUp - time.Millisecond)
		r.wantReady(false)
		time.Sleep(time.Millisecond)
		r.wantReady(true)
		if !strings.Contains(r.log.String(), `"source":"docker"`) || strings.Contains(r.log.String(), `"source":"file"`) {
			t.Errorf("log: %s", r.log.String())
		}
	})
	inBubble(t, func(t *testing.T) {
		file, toFile := emitter("file")
		docker, toDocker := emitter("docker")
		r := newRig(t, file, docker)
		toDocker <- Update{Err: errors.New("no daemon")}
		r.wantReady(false)
		toFile <- Update{Apps: ids("a")}
		r.wantReady(true)
		if r.applies() == 0 {
			t.Error("ready, and nothing was applied")
		}
	})
	inBubble(t, func(t *testing.T) { newRig(t).wantReady(true) })
}

// A source of its own patience is waited for as long as that says, whatever the
// others do.
func TestMergePatience(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		file, toFile := emitter("file")
		stream, toStream := emitter("stream")
		r := newRigWith(t, map[string]time.Duration{"stream": 0}, file, stream)
		toFile <- Update{Apps: ids("a")}
		time.Sleep(time.Hour)
		r.wantReady(false)
		if got := r.Waiting(); len(got) != 1 || got[0] != "stream" {
			t.Errorf("it waits for %q", got)
		}
		r.want("file:a stream:") // what is there is served
		toStream <- Update{Apps: ids("b")}
		r.wantReady(true)
	})
	inBubble(t, func(t *testing.T) {
		stream, _ := emitter("stream")
		r := newRigWith(t, map[string]time.Duration{"stream": 20 * time.Second}, stream)
		time.Sleep(20*time.Second - time.Millisecond)
		r.wantReady(false)
		time.Sleep(time.Millisecond)
		r.wantReady(true)
	})
}

// Ready means that what was delivered is in service.
func TestMergeReadyAfterApply(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		file, toFile := emitter("file")
		block := make(chan struct{})
		r := newRig(t, file)
		r.mu.Lock()
		r.block = block
		r.mu.Unlock()
		toFile <- Update{Apps: ids("a")}
		r.wantReady(false)
		close(block)
		r.wantReady(true)
		r.want("file:a")
	})
}

func TestMergeErrorKeepsLastSet(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		file, toFile := emitter("file")
		r := newRig(t, file)
		toFile <- Update{Apps: ids("a", "b")}
		r.want("file:a,b")
		n := r.applies()
		toFile <- Update{Err: errors.New("disk on fire")}
		if r.applies() != n {
			t.Error("an error was applied")
		}
		st := r.Statuses()[0]
		if st.State != StateFailing || st.Apps != 2 || st.LastError != "disk on fire" || st.LastErrorAt == nil {
			t.Errorf("status %+v", st)
		}
		if got := r.metric(`er_source_errors_total{source="file"}`); got != "1" {
			t.Errorf("er_source_errors_total is %q", got)
		}
		toFile <- Update{Err: errors.New("bad file"), Problems: []app.Problem{{File: "x", Message: "bad file"}}}
		r.want("file:a,b")
		if st := r.Statuses()[0]; len(st.Problems) != 1 || st.Apps != 2 {
			t.Errorf("status %+v", st)
		}
		time.Sleep(3 * time.Second)
		toFile <- Update{Apps: ids("a")}
		r.want("file:a")
		st = r.Statuses()[0]
		if st.State != StateOK || st.AgeSeconds != 0 || st.LastError != "bad file" || len(st.Problems) != 0 {
			t.Errorf("status %+v", st)
		}
		if got := r.metric(`er_source_apps{source="file"}`); got != "1" {
			t.Errorf("er_source_apps is %q", got)
		}
		if got := r.metric(`er_source_last_update_timestamp_seconds{source="file"}`); got == "" || got == "0" {
			t.Errorf("er_source_last_update_timestamp_seconds is %q", got)
		}
	})
}

func TestMergeDuplicates(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		file, toFile := emitter("file")
		docker, toDocker := emitter("docker")
		s3, toS3 := emitter("s3")
		r := newRig(t, file, docker, s3)
		toDocker <- Update{Apps: ids("a", "b")}
		toS3 <- Update{Apps: ids("b", "c")}
		r.want("file: docker:a,b s3:c")
		toFile <- Update{Apps: ids("a", "x", "x")}
		r.want("file:a,x docker:b s3:c")
		docs := r.Statuses()
		if len(docs[0].Problems) != 1 || docs[0].Problems[0].App != "x" {
			t.Errorf("problems of file: %v", docs[0].Problems)
		}
		if p := docs[1].Problems; len(p) != 1 || p[0].App != "a" || !strings.Contains(p[0].Message, "source file") {
			t.Errorf("problems of docker: %v", p)
		}
		if p := docs[2].Problems; len(p) != 1 || !strings.Contains(p[0].Message, "source docker") {
			t.Errorf("problems of s3: %v", p)
		}
		if n := strings.Count(r.log.String(), "source docker declares this id"); n != 1 {
			t.Errorf("a duplicate that stays is logged %d times", n)
		}
		r.mu.Lock()
		last := r.applied[len(r.applied)-1]
		r.mu.Unlock()
		if len(last[1].Problems) != 1 {
			t.Errorf("the set of docker carries problems %v", last[1].Problems)
		}
		toFile <- Update{Apps: ids()}
		r.want("file: docker:a,b s3:c")
		if p := r.Statuses()[1].Problems; len(p) != 0 {
			t.Errorf("problems of docker stay: %v", p)
		}
	})
}

// What a problem names and the set lacks is broken, and its previous version stays.
func TestMergeKeepsBroken(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		file, toFile := emitter("file")
		r := newRig(t, file)
		broken := Update{Apps: ids("b"), Problems: []app.Problem{{App: "a", Message: "bad"}, {App: "a", Message: "worse"}, {App: "new", Message: "never good"}, {Message: "of the file"}}}
		toFile <- Update{Apps: ids("a", "b", "c")}
		for range 3 {
			toFile <- broken
			r.want("file:b,a")
			r.mu.Lock()
			kept := fmt.Sprint(r.applied[len(r.applied)-1][0].Kept)
			r.mu.Unlock()
			if kept != "[a]" {
				t.Errorf("kept %s", kept)
			}
		}
		if n := strings.Count(r.log.String(), "never good"); n != 1 {
			t.Errorf("a problem that stays is logged %d times", n)
		}
		toFile <- Update{Apps: ids("b")}
		r.want("file:b")
		toFile <- broken // a was removed on purpose before it broke
		r.want("file:b")
	})
}

func TestMergeCoalesces(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		file, toFile := emitter("file")
		r := newRig(t, file)
		block := make(chan struct{})
		r.mu.Lock()
		r.block = block
		r.mu.Unlock()
		toFile <- Update{Apps: ids("first")}
		n := r.applies()
		for i := range 100 {
			toFile <- Update{Apps: ids(fmt.Sprint(i))}
		}
		if r.applies() != n {
			t.Error("two applies at a time")
		}
		close(block)
		r.want("file:99")
		if got := r.applies() - n; got != 1 {
			t.Errorf("100 changes during an apply made %d more", got)
		}
	})
}

func TestMergeRestartsSources(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var starts []time.Time
		flaky := &script{name: "file", run: func(ctx context.Context, n int, emit func(Update)) error {
			starts = append(starts, time.Now())
			switch n {
			case 1:
				emit(Update{Apps: ids("a")})
				return errors.New("gone")
			case 2:
				panic("a bug")
			case 3, 4, 5, 6, 7, 8, 9:
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}}
		r := newRig(t, flaky)
		r.want("file:a")
		time.Sleep(5 * time.Minute)
		r.want("file:a")
		if len(starts) != 10 {
			t.Fatalf("started %d times", len(starts))
		}
		pause := minPause
		for i := 1; i < len(starts); i++ {
			if d := starts[i].Sub(starts[i-1]); d < pause/2 || d > pause {
				t.Errorf("pause %d is %v, want %v to %v", i, d, pause/2, pause)
			}
			pause = min(2*pause, maxPause)
		}
		st := r.Statuses()[0]
		if st.Restarts != 9 || st.State != StateFailing || !strings.Contains(r.log.String(), "panicked: a bug") {
			t.Errorf("status %+v", st)
		}
	})
}

func TestMergeSteadySourceRestartsSoon(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var ended, started []time.Time
		s := &script{name: "file", run: func(ctx context.Context, n int, emit func(Update)) error {
			started = append(started, time.Now())
			if n > 6 {
				select {
				case <-ctx.Done():
					return nil
				case <-time.After(steady):
				}
			}
			ended = append(ended, time.Now())
			return nil
		}}
		newRig(t, s)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if d := started[7].Sub(ended[6]); d > minPause {
			t.Errorf("a source that ran for a minute is started again after %v", d)
		}
	})
}

// Parts are handed on as they are, and what is in them counts like a whole set.
func TestMergeParts(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		file, toFile := emitter("file")
		docker, toDocker := emitter("docker")
		var got []Set
		m, err := New(Options{
			Sources: []Source{file, docker}, Metrics: metrics.NewSet(), Log: zerolog.Nop(),
			Apply: func(sets []Set) { got = sets },
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			m.Run(ctx)
		}()
		told := func() string {
			synctest.Wait()
			var parts []string
			for _, s := range got {
				for _, p := range s.Parts {
					var list []string
					for _, a := range p {
						list = append(list, a.ID)
					}
					parts = append(parts, s.Source+":"+strings.Join(list, ","))
				}
			}
			return strings.Join(parts, " ")
		}
		want := func(want string) {
			t.Helper()
			if got := told(); got != want {
				t.Errorf("applied %q, want %q", got, want)
			}
		}
		first, second := ids("a", "b"), ids("c")
		toFile <- Update{Parts: [][]app.Application{first, second}}
		want("file:a,b file:c")
		if &got[0].Parts[0][0] != &first[0] {
			t.Error("a part was copied")
		}
		toFile <- Update{Parts: [][]app.Application{first, ids("c")}}
		want("file:a,b file:c")
		toFile <- Update{Parts: [][]app.Application{first}, Problems: []app.Problem{{App: "c", Message: "broken"}}}
		want("file:a,b file:c")
		toDocker <- Update{Parts: [][]app.Application{ids("x"), ids("b", "y", "c")}}
		want("file:a,b file:c docker:x,y")
		toFile <- Update{Parts: [][]app.Application{ids("a"), ids("a", "d")}}
		want("file:a,d docker:x docker:b,y,c")
		toFile <- Update{Parts: [][]app.Application{}}
		want("docker:x docker:b,y,c")
		if n := m.Statuses()[1].Apps; n != 4 {
			t.Errorf("docker has %d applications", n)
		}
		cancel()
		<-done
	})
}

func TestMergeTwoOfOneName(t *testing.T) {
	a, _ := emitter("file")
	b, _ := emitter("file")
	if _, err := New(Options{Sources: []Source{a, b}, Metrics: metrics.NewSet()}); err == nil {
		t.Error("two sources of one name are no error")
	}
}

func BenchmarkNext(b *testing.B) {
	var list []string
	for i := range 10_000 {
		list = append(list, fmt.Sprintf("app-%d", i))
	}
	apps := ids(list...)
	other := slices.Clone(apps)
	set := sourceSet{name: "file"}.next(Update{Apps: apps})
	b.Run("same ids", func(b *testing.B) {
		for b.Loop() {
			set.next(Update{Apps: other})
		}
	})
	b.Run("one more", func(b *testing.B) {
		for b.Loop() {
			set.next(Update{Apps: apps[1:]})
		}
	})
}

// origins is a source that knows where its applications come from.
type origins struct {
	*script
	of map[string]Origin
}

func (o origins) Origins() map[string]Origin { return o.of }

func TestMergeOrigin(t *testing.T) {
	file, _ := emitter("file")
	docker, _ := emitter("docker")
	m, err := New(Options{
		Sources: []Source{file, origins{docker, map[string]Origin{"a": {Name: "web"}}}}, Metrics: metrics.NewSet(), Log: zerolog.Nop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		source, id string
		known      bool
	}{{"docker", "a", true}, {"docker", "b", false}, {"file", "a", false}, {"nobody", "a", false}} {
		if o, known := m.Origin(c.source, c.id); known != c.known || known && o.Name != "web" {
			t.Errorf("%s %s: %+v, %v", c.source, c.id, o, known)
		}
	}
}
