package file

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/app"
	"edgerouter/discovery"
)

const patience = 10 * time.Second

// def is an application's JSON.
func def(id, port string) string {
	return fmt.Sprintf(`{"id": %q, "frontends": [{"kind": "hostname", "hostname": "%s.example.com"}], "backend": {"kind": "peer_set", "peer_set_opts": {"addrs": ["http://127.0.0.1:%s"]}}}`, id, id, port)
}

func list(defs ...string) string { return "{\"apps\": [\n" + strings.Join(defs, ",\n") + "\n]}\n" }

// told is an update for comparison: "a:80 b:81" and the problems.
func told(u discovery.Update) string {
	var list []string
	for _, a := range slices.Concat(u.Parts...) {
		addr := a.Backend.PeerSet.Addrs[0]
		list = append(list, a.ID+addr[strings.LastIndexByte(addr, ':'):])
	}
	return strings.Join(list, " ")
}

type rig struct {
	t      *testing.T
	source *Source
	mu     sync.Mutex
	got    []discovery.Update
	signal chan struct{}
}

func start(t *testing.T, path string) *rig {
	t.Helper()
	r := &rig{t: t, source: New(path, zerolog.Nop(), Poll(time.Hour)), signal: make(chan struct{}, 1000)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.source.Run(ctx, func(u discovery.Update) {
			r.mu.Lock()
			r.got = append(r.got, u)
			r.mu.Unlock()
			r.signal <- struct{}{}
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return r
}

func (r *rig) last() (discovery.Update, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.got) == 0 {
		return discovery.Update{}, 0
	}
	return r.got[len(r.got)-1], len(r.got)
}

// until waits for an update that a function accepts.
func (r *rig) until(what string, ok func(discovery.Update) bool) discovery.Update {
	r.t.Helper()
	timeout := time.After(patience)
	for {
		if u, n := r.last(); n > 0 && ok(u) {
			return u
		}
		select {
		case <-r.signal:
		case <-timeout:
			u, n := r.last()
			r.t.Fatalf("%s: the last of %d updates is %q, problems %v, error %v", what, n, told(u), u.Problems, u.Err)
		}
	}
}

func (r *rig) want(apps string) discovery.Update {
	r.t.Helper()
	return r.until("want "+apps, func(u discovery.Update) bool { return u.Err == nil && told(u) == apps && len(u.Problems) == 0 })
}

func (r *rig) wantError(part string) {
	r.t.Helper()
	r.until("want error "+part, func(u discovery.Update) bool { return u.Err != nil && strings.Contains(u.Err.Error(), part) })
}

func (r *rig) wantProblem(apps, part string) app.Problem {
	r.t.Helper()
	var found app.Problem
	r.until("want "+apps+" and the problem "+part, func(u discovery.Update) bool {
		i := slices.IndexFunc(u.Problems, func(p app.Problem) bool { return strings.Contains(p.Error(), part) })
		if i >= 0 {
			found = u.Problems[i]
		}
		return u.Err == nil && told(u) == apps && i >= 0
	})
	return found
}

// settled says that nothing more comes, and returns how many updates there were.
func (r *rig) settled() int {
	n := -1
	for {
		_, now := r.last()
		if now == n {
			return n
		}
		n = now
		time.Sleep(250 * time.Millisecond)
	}
}

func put(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func replace(t testing.TB, path, content string) {
	t.Helper()
	put(t, path+".tmp", content)
	must(t, os.Rename(path+".tmp", path))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "apps.json")
	put(t, path, list(def("a", "1"), def("b", "1")))
	r := start(t, path)
	first := r.want("a:1 b:1")
	replace(t, path, list(def("a", "1"), def("b", "2")))
	second := r.want("a:1 b:2")
	if &first.Parts[0][0].Frontends[0] != &second.Parts[0][0].Frontends[0] {
		t.Error("an application whose bytes did not change is another value")
	}
	put(t, path, list(def("c", "1"), def("a", "1")))
	r.want("c:1 a:1")
	n := r.settled()
	put(t, path, list(def("c", "1"), def("a", "1")))
	if now := r.settled(); now != n {
		t.Errorf("the same bytes made %d updates", now-n)
	}
	// One application by itself is a file as well.
	replace(t, path, def("single", "3"))
	r.want("single:3")
	r.source.Reload()
	r.until("reload", func(discovery.Update) bool { _, n2 := r.last(); return n2 == n+2 })
}

func TestBadFileKeepsWhatWas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "apps.json")
	put(t, path, list(def("a", "1"), def("b", "1")))
	r := start(t, path)
	r.want("a:1 b:1")
	for _, bad := range []string{"", "{", `{"apps": [`, list(def("a", "1"), "{"), "[]", "\xff", list(def("a", "1")) + "x"} {
		put(t, path, bad)
		r.wantError("apps.json")
		u, _ := r.last()
		if len(u.Problems) == 0 || u.Problems[0].File != path {
			t.Errorf("%q: problems %v", bad, u.Problems)
		}
		put(t, path, list(def("a", "1"), def("b", "1")))
		r.want("a:1 b:1")
	}
}

// A file that is written in pieces is never reported, and never loses anything.
func TestHalfWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "apps.json")
	put(t, path, list(def("a", "1")))
	r := start(t, path)
	r.want("a:1")
	n := r.settled()
	content := list(def("a", "2"), def("b", "2"))
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	must(t, err)
	for len(content) > 0 {
		piece := content[:min(40, len(content))]
		_, err := f.WriteString(piece)
		must(t, err)
		content = content[len(piece):]
		time.Sleep(5 * time.Millisecond)
	}
	must(t, f.Close())
	r.want("a:2 b:2")
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, u := range r.got[n:] {
		if u.Err != nil || len(u.Problems) > 0 {
			t.Errorf("reported while it was written: %v %v", u.Err, u.Problems)
		}
	}
}

func TestOneBadApplication(t *testing.T) {
	path := filepath.Join(t.TempDir(), "apps.json")
	put(t, path, list(def("a", "1"), def("b", "1"), def("c", "1")))
	r := start(t, path)
	r.want("a:1 b:1 c:1")

	bad := strings.Replace(def("b", "1"), `"hostname":`, `"hostnam":`, 1)
	replace(t, path, list(def("a", "2"), bad, def("c", "1")))
	p := r.wantProblem("a:2 c:1", "hostnam") // discovery.Merge keeps b
	if p.File != path || p.App != "b" || p.Line != 3 || p.Field != "frontends[0].hostnam" {
		t.Errorf("problem %+v", p)
	}
	whole, problems := app.Decode(path, []byte(list(def("a", "2"), bad, def("c", "1"))))
	if len(whole) != 2 || !slices.Contains(problems, p) {
		t.Errorf("app.Decode says %v, the source %v", problems, p)
	}

	// Without a usable id it may be any of those that are gone.
	unnamed := strings.Replace(def("b", "1"), `"id": "b"`, `"idd": "b"`, 1)
	replace(t, path, list(def("a", "3"), unnamed, def("c", "1")))
	p = r.wantProblem("a:3 c:1 b:1", "idd")
	if p.App != "apps[1]" || p.Line != 3 {
		t.Errorf("problem %+v", p)
	}
	replace(t, path, list(def("a", "3"), def("b", "1"), def("c", "1")))
	r.want("a:3 b:1 c:1")
	replace(t, path, list(def("a", "3"), unnamed, def("c", "1")))
	r.wantProblem("a:3 c:1 b:1", "idd")
	replace(t, path, list(def("a", "4"), unnamed, def("c", "1")))
	r.wantProblem("a:4 c:1 b:1", "idd")
	replace(t, path, list(def("a", "4"), def("c", "1")))
	r.want("a:4 c:1")

	replace(t, path, list(def("a", "4"), def("a", "5")))
	if p := r.wantProblem("a:4", "id"); p.App != "a" || p.Line != 3 {
		t.Errorf("problem %+v", p)
	}
}

// Problems are told with the same lines and columns as app.Decode tells them.
func TestProblemsAreWhereDecodeSaysTheyAre(t *testing.T) {
	bad := strings.Replace(def("é", "1"), `"hostname":`, `"hostnam":`, 1)
	for _, text := range []string{
		list(def("a", "1"), bad),
		`{"apps":[` + def("ä", "1") + "," + bad + "]}",
		"{ \"apps\":\n\n [" + bad + ",\n" + strings.ReplaceAll(bad, ",", ",\n ") + "]}",
		`{"$schema":"öö","apps":[` + bad + `]}`,
		`{"apps":[{"id":"x"},{},{"id":7}]}`,
		`{"apps":[{"apps":[` + def("nested", "1") + `]}]}`,
	} {
		apps, problems := app.Decode("f", []byte(text))
		d, fatal := (&decoding{name: "f", data: []byte(text), previous: &document{}}).decode()
		if d == nil {
			t.Errorf("%s: fatal %v", text, fatal)
			continue
		}
		if !slices.Equal(d.problems, problems) || !app.Equal(slices.Concat(d.parts...), apps) {
			t.Errorf("%s:\n source %v\n decode %v", text, d.problems, problems)
		}
	}
}

func TestVanishedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "apps.json")
	put(t, path, list(def("a", "1")))
	r := start(t, path)
	r.want("a:1")
	must(t, os.Remove(path))
	r.wantError("no such file")
	put(t, path, list(def("a", "1")))
	r.want("a:1")
	put(t, path, list(def("a", "2")))
	r.want("a:2")
	n := r.settled()
	must(t, os.Rename(path, path+"~")) // vim
	time.Sleep(10 * time.Millisecond)
	put(t, path, list(def("a", "3")))
	r.want("a:3")
	if _, now := r.last(); now != n+1 {
		t.Errorf("%d updates for a replaced file", now-n)
	}
}

func TestMissingAtFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "later", "apps.json")
	r := start(t, path)
	r.wantError("no such file")
	put(t, path, list(def("a", "1")))
	r.want("a:1")
}

func TestFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "apps")
	put(t, filepath.Join(dir, "1.json"), list(def("a", "1")))
	put(t, filepath.Join(dir, "2.json"), def("b", "1"))
	put(t, filepath.Join(dir, ".hidden.json"), "{")
	put(t, filepath.Join(dir, "#1.json"), "{")
	put(t, filepath.Join(dir, "1.json~"), "{")
	put(t, filepath.Join(dir, "readme.md"), "{")
	must(t, os.Mkdir(filepath.Join(dir, "sub"), 0o755))
	r := start(t, dir)
	r.want("a:1 b:1")
	put(t, filepath.Join(dir, "0.json"), list(def("z", "1")))
	r.want("z:1 a:1 b:1")
	replace(t, filepath.Join(dir, "2.json"), def("b", "2"))
	r.want("z:1 a:1 b:2")
	must(t, os.Remove(filepath.Join(dir, "0.json")))
	r.want("a:1 b:2")

	// A bad file keeps its own and leaves the others alone.
	put(t, filepath.Join(dir, "2.json"), "{")
	if p := r.wantProblem("a:1 b:2", "2.json"); p.File != filepath.Join(dir, "2.json") {
		t.Errorf("problem %+v", p)
	}
	put(t, filepath.Join(dir, "1.json"), list(def("a", "3")))
	r.wantProblem("a:3 b:2", "2.json")
	put(t, filepath.Join(dir, "2.json"), def("b", "2"))
	r.want("a:3 b:2")

	// Of two files with one id the first stays.
	put(t, filepath.Join(dir, "3.json"), def("a", "9"))
	if p := r.wantProblem("a:3 b:2", "1.json"); p.File != filepath.Join(dir, "3.json") || p.App != "a" {
		t.Errorf("problem %+v", p)
	}
	must(t, os.Remove(filepath.Join(dir, "1.json")))
	r.want("b:2 a:9")

	// The folder goes and comes back.
	must(t, os.Rename(dir, dir+".away"))
	r.wantError("no such file")
	must(t, os.Rename(dir+".away", dir))
	r.want("b:2 a:9")
	put(t, filepath.Join(dir, "4.json"), def("d", "4"))
	r.want("b:2 a:9 d:4")
	n := r.settled()
	replace(t, filepath.Join(dir, "note.txt"), "x")
	if now := r.settled(); now != n {
		t.Errorf("a file of no concern made %d updates", now-n)
	}
	// Everything goes: that is a set as well.
	for _, name := range []string{"2.json", "3.json", "4.json"} {
		must(t, os.Remove(filepath.Join(dir, name)))
	}
	r.want("")
}

func TestFolderMountedByLinks(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "..v1", "a.json"), def("a", "1"))
	put(t, filepath.Join(dir, "..v2", "a.json"), def("a", "2"))
	must(t, os.Symlink("..v1", filepath.Join(dir, "..data")))
	must(t, os.Symlink("..data/a.json", filepath.Join(dir, "a.json")))
	folder, single := start(t, dir), start(t, filepath.Join(dir, "a.json"))
	folder.want("a:1")
	single.want("a:1")
	must(t, os.Symlink("..v2", filepath.Join(dir, "..tmp")))
	must(t, os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")))
	folder.want("a:2")
	single.want("a:2")
}

func TestFileBecomesFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "apps")
	put(t, path, list(def("a", "1")))
	r := start(t, path)
	r.want("a:1")
	must(t, os.Remove(path))
	put(t, filepath.Join(path, "x.json"), def("b", "1"))
	r.want("b:1")
}

func TestNotARegularFile(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "a.json"), def("a", "1"))
	must(t, os.Mkdir(filepath.Join(dir, "b.json"), 0o755))
	r := start(t, dir)
	r.wantProblem("a:1", "not a regular file")
}

// The second of two changes within the file system's clock tick is seen even if
// no event tells of it.
func TestSameSizeAndTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "apps.json")
	put(t, path, list(def("a", "1")))
	stamp := time.Now()
	must(t, os.Chtimes(path, stamp, stamp))
	st := newState(path)
	if r := st.look(time.Now(), false); !r.changed {
		t.Fatal("not read")
	}
	put(t, path, list(def("a", "2")))
	must(t, os.Chtimes(path, stamp, stamp))
	if r := st.look(time.Now(), false); !r.changed || told(discovery.Update{Parts: st.doc.parts}) != "a:2" {
		t.Error("a change within the same tick is missed")
	}
	old := stamp.Add(-time.Hour)
	must(t, os.Chtimes(path, old, old))
	st.look(time.Now(), false)
	next := st.data
	st.look(time.Now(), false)
	if &next[0] != &st.data[0] {
		t.Error("a file that has been the same for an hour is read again")
	}
}

func TestEventStorm(t *testing.T) {
	path := filepath.Join(t.TempDir(), "apps.json")
	put(t, path, list(def("a", "999")))
	r := start(t, path)
	r.want("a:999")
	for i := range 300 {
		replace(t, path, list(def("a", fmt.Sprint(i+1))))
	}
	r.want("a:300")
}

// Of thousands of applications a change makes one part anew, and many changes do
// not leave crumbs.
func TestParts(t *testing.T) {
	const n = 1000
	defs := make([]string, n)
	for i := range defs {
		defs[i] = def(fmt.Sprintf("app-%d", i), "1")
	}
	previous, old := &document{}, []byte(nil)
	step := func() *document {
		data := []byte(list(defs...))
		d, problems := (&decoding{name: "f", data: data, previous: previous, old: old, front: commonPrefix(old, data)}).decode()
		if d == nil {
			t.Fatal(problems)
		}
		previous, old = d, data
		return d
	}
	first := step()
	defs[n/2] = def(fmt.Sprintf("app-%d", n/2), "2")
	second := step()
	anew := 0
	for i := range first.parts {
		if &first.parts[i][0] != &second.parts[i][0] {
			anew++
		}
	}
	if anew != 1 || len(first.parts) != len(second.parts) {
		t.Errorf("one change made %d of %d parts anew", anew, len(first.parts))
	}
	for i := range 150 {
		defs = slices.Insert(defs, i*7%len(defs), def(fmt.Sprintf("new-%d", i), "1"))
		d := step()
		if len(d.parts) > 3*n/partSize+10 {
			t.Fatalf("%d parts for %d applications", len(d.parts), len(defs))
		}
	}
	got := slices.Concat(previous.parts...)
	if want, _ := app.Decode("f", old); !slices.EqualFunc(got, want, func(a, b app.Application) bool { return a.ID == b.ID }) {
		t.Error("the parts do not make the whole")
	}
}

// TestRandomEdits compares the source's incremental decoding with decoding the
// whole file.
func TestRandomEdits(t *testing.T) {
	defs := []string{def("a", "1"), def("b", "1"), def("c", "1"), def("d", "1"), def("e", "1")}
	previous, old := &document{}, []byte(nil)
	for step := range 400 {
		i, j := step*7%len(defs), step*3%len(defs)
		switch step % 6 {
		case 0:
			defs[i], defs[j] = defs[j], defs[i]
		case 1:
			defs[i] = def(fmt.Sprintf("n%d", step), "5")
		case 2:
			defs = append(defs, def(fmt.Sprintf("m%d", step), "6"))
		case 3:
			defs = slices.Delete(defs, j, j+1)
		case 4:
			defs[i] = strings.Replace(defs[i], "127.0.0.1", "127.0.0.2", 1)
		case 5:
			defs[j] = strings.Replace(defs[j], `"frontends"`, ` "frontends"`, 1)
		}
		if len(defs) == 0 {
			defs = append(defs, def("again", "1"))
		}
		data := []byte(list(defs...))
		d, fatal := (&decoding{name: "f", data: data, previous: previous, old: old, front: commonPrefix(old, data)}).decode()
		if d == nil {
			t.Fatalf("step %d: %v", step, fatal)
		}
		apps, problems := app.Decode("f", data)
		if !slices.Equal(problems, d.problems) || !slices.EqualFunc(apps, slices.Concat(d.parts...), func(a, b app.Application) bool { return app.Equal(a, b) }) {
			t.Fatalf("step %d: %v, want %v", step, d.problems, problems)
		}
		previous, old = d, data
	}
}
