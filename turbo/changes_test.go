package turbo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/turbo/cache"
	"edgerouter/turbo/content"
	"edgerouter/turbo/store"
)

// gated is a store that asks gate before each object.
type gated struct {
	store.Store
	gate atomic.Pointer[func(ctx context.Context, area store.Area, id content.ID) error]
}

func (g *gated) Get(ctx context.Context, area store.Area, id content.ID) (io.ReadCloser, error) {
	if f := g.gate.Load(); f != nil {
		if err := (*f)(ctx, area, id); err != nil {
			return nil, err
		}
	}
	return g.Store.Get(ctx, area, id)
}

func (g *gated) set(f func(ctx context.Context, area store.Area, id content.ID) error) {
	g.gate.Store(&f)
}

// inService is an application whose backends follow one another, as gateway has
// them: the new one is built, put in service, and the old one is closed later.
type inService struct {
	t       testing.TB
	engine  *Engine
	now     atomic.Pointer[Backend]
	retired []*Backend
}

func (a *inService) change(manifest string) *Backend {
	a.t.Helper()
	next := backend(a.t, a.engine, app.TurbochargerOpts{Manifest: manifest})
	if old := a.now.Swap(next); old != nil {
		a.retired = append(a.retired, old)
	}
	return next
}

func (a *inService) closeRetired() {
	for _, b := range a.retired {
		b.Close()
	}
	a.retired = nil
}

func (a *inService) handler(ctx *fasthttp.RequestCtx) { a.now.Load().Handler(true)(ctx) }

// numbered is a site whose page says which version it is, with an asset of that
// version alone.
func numbered(v int) map[string][]byte {
	return map[string][]byte{
		"index.html":                        fmt.Appendf(nil, "page %d", v),
		fmt.Sprintf("app.%08x.js", 0xa1+v):  fmt.Appendf(nil, "asset %d", v),
		fmt.Sprintf("new-in-%d/x.html", v):  fmt.Appendf(nil, "new %d", v),
		"common.css":                        []byte("the same in each"),
		fmt.Sprintf("only/in-%d.txt", v%10): fmt.Appendf(nil, "only %d", v),
	}
}

// TestChangesWhileWarming: further changes while the files of a version are on
// their way leave what is in service in service.
func TestChangesWhileWarming(t *testing.T) {
	folder := emptyFolder(t)
	var manifests []string
	for v := range 3 {
		manifests = append(manifests, deployed(t, folder, numbered(v)))
	}
	s := &gated{Store: folder}
	e := testEngine(t, s, "")
	a := &inService{t: t, engine: e}
	b := listen(t, true, a.handler)
	first := a.change(manifests[0])
	expect := func(when, path, want string) {
		t.Helper()
		resp, body := b.ask("GET", path)
		if resp.StatusCode != 200 || string(body) != want {
			t.Fatalf("%s: %s: %d %q, want %q", when, path, resp.StatusCode, body, want)
		}
	}
	expect("at first", "/", "page 0")
	expect("at first", "/app.000000a1.js", "asset 0")

	open := make(chan struct{})
	slow := content.IDOf([]byte("page 1"))
	s.set(func(ctx context.Context, _ store.Area, id content.ID) error {
		if id != slow {
			return nil
		}
		select {
		case <-open:
		case <-ctx.Done():
		}
		return ctx.Err()
	})
	second := a.change(manifests[1])
	expect("the second is on its way", "/", "page 0")
	first.Close() // its time is over, and its version is in service still
	a.retired = nil
	expect("the first backend is closed", "/", "page 0")
	third := a.change(manifests[2])
	expect("the third is made", "/app.000000a1.js", "asset 0")
	eventually(t, "the third version", func() bool { _, body := b.ask("GET", "/"); return string(body) == "page 2" })
	second.Close()
	a.retired = nil
	expect("after the third", "/app.000000a1.js", "asset 0") // deploy skew
	fourth := a.change(manifests[1])
	expect("back to the second", "/", "page 2")
	third.Close()
	a.retired = nil
	expect("the third backend is closed", "/", "page 2")
	close(open)
	eventually(t, "the second version", func() bool { _, body := b.ask("GET", "/"); return string(body) == "page 1" })
	expect("after the second", "/app.000000a1.js", "asset 0")
	expect("after the second", "/app.000000a3.js", "asset 2")

	// One that is made and never put in service takes nothing with it.
	dropped := backend(t, e, app.TurbochargerOpts{Manifest: manifests[2]})
	eventually(t, "the version of a backend without service", func() bool { return dropped.site.Load().name == manifests[2] })
	expect("another one is here", "/", "page 1")
	dropped.Close()
	fifth := a.change(manifests[0])
	if now := fifth.site.Load(); now == nil || now.name != manifests[1] && now.name != manifests[0] {
		t.Error("the next backend begins with what was never in service")
	}
	fourth.Close()
	a.retired = nil
	eventually(t, "the first version", func() bool { _, body := b.ask("GET", "/"); return string(body) == "page 0" })
	fifth.Close()
	a.now.Load().Close()
	if n := len(e.lines); n != 0 {
		t.Errorf("%d applications are kept after all their backends are closed", n)
	}
}

// TestRandomChanges changes versions in random orders, with backends that are
// closed early, late or never put in service, over a store that is slow or fails,
// while clients read: what they get is a whole version, and the assets of the
// page that they have.
func TestRandomChanges(t *testing.T) {
	const versions = 6
	folder := emptyFolder(t)
	var manifests []string
	for v := range versions {
		manifests = append(manifests, deployed(t, folder, numbered(v)))
	}
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			s := &gated{Store: folder}
			e := testEngine(t, s, "")
			a := &inService{t: t, engine: e}
			first := a.change(manifests[0])
			eventually(t, "the first version", func() bool { return first.site.Load() != nil })
			b := listen(t, true, a.handler)
			for v := range versions { // assets are asked for by pages, and so hot where they are in service
				if resp, _ := b.ask("GET", fmt.Sprintf("/app.%08x.js", 0xa1+v)); v == 0 && resp.StatusCode != 200 {
					t.Fatal(resp.Status)
				}
			}
			b.ask("GET", "/")
			var faulty atomic.Bool
			s.set(func(ctx context.Context, area store.Area, id content.ID) error {
				if !faulty.Load() {
					return nil
				}
				switch id[0] % 4 {
				case 0:
					return errors.New("the store fails")
				case 1:
					timer := time.NewTimer(time.Duration(id[1]) * time.Millisecond / 4)
					defer timer.Stop()
					select {
					case <-timer.C:
					case <-ctx.Done():
					}
				}
				return ctx.Err()
			})
			stop := make(chan struct{})
			var readers sync.WaitGroup
			var pages atomic.Int64
			for range 3 {
				readers.Go(func() {
					client := &http.Client{Timeout: 15 * time.Second}
					defer client.CloseIdleConnections()
					get := func(path string) (int, string) {
						resp, err := client.Get("http://" + b.addr + path)
						if err != nil {
							return 0, err.Error()
						}
						defer resp.Body.Close()
						body, err := io.ReadAll(resp.Body)
						if err != nil {
							return 0, err.Error()
						}
						return resp.StatusCode, string(body)
					}
					for {
						select {
						case <-stop:
							return
						default:
						}
						status, page := get("/")
						var v int
						if n, _ := fmt.Sscanf(page, "page %d", &v); status != 200 || n != 1 {
							t.Errorf("the page: %d %q", status, page)
							return
						}
						// Nothing of the store is needed for what was hot; what was not may be a 503 while
						// the store fails, and is never a 404 or another version's.
						status, asset := get(fmt.Sprintf("/app.%08x.js", 0xa1+v))
						if status != 200 && status != 503 || status == 200 && asset != fmt.Sprintf("asset %d", v) {
							t.Errorf("the asset of version %d: %d %q", v, status, asset)
							return
						}
						pages.Add(1)
					}
				})
			}
			random := rand.New(rand.NewPCG(seed, 7))
			for range 25 {
				faulty.Store(random.IntN(3) > 0)
				m := manifests[random.IntN(versions)]
				switch random.IntN(5) {
				case 0: // made, and never put in service
					unused := backend(t, e, app.TurbochargerOpts{Manifest: m})
					at := pages.Load()
					eventually(t, "answered", func() bool { return pages.Load() > at+int64(random.IntN(5)) || t.Failed() })
					unused.Close()
				case 1:
					a.change(m)
					a.closeRetired()
				default:
					a.change(m)
				}
				at := pages.Load()
				eventually(t, "answered", func() bool { return pages.Load() > at+int64(random.IntN(20)) || t.Failed() })
				if random.IntN(2) == 0 {
					a.closeRetired()
				}
				if t.Failed() {
					break
				}
			}
			faulty.Store(false)
			last := a.change(manifests[1])
			a.closeRetired()
			eventually(t, "the last version", func() bool { return last.site.Load().name == manifests[1] })
			close(stop)
			readers.Wait()
		})
	}
}

// hotSite is an engine, in a bubble, that serves a site of n files which are all
// hot, and the manifest of a next version in which all of them are others.
func hotSite(t *testing.T, n int, log zerolog.Logger) (e *Engine, s *gated, first *Backend, next string, end func()) {
	t.Helper()
	files := func(v int) map[string][]byte {
		m := map[string][]byte{}
		for i := range n {
			m[fmt.Sprintf("f%d.txt", i)] = fmt.Appendf(nil, "file %d of version %d", i, v)
		}
		return m
	}
	folder := emptyFolder(t)
	one, two := deployed(t, folder, files(1)), deployed(t, folder, files(2))
	s = &gated{Store: folder}
	c, err := cache.Open(cache.Options{Dir: t.TempDir(), Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	e = New(s, c, log)
	if first, err = e.NewBackend("test", app.TurbochargerOpts{Manifest: one}); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	site := first.site.Load()
	for i := range n {
		if _, err := (file{site, i}).load(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return e, s, first, two, func() { e.Close(); c.Close() }
}

// TestWarmUpInParallel: 2,000 hot files at 30 ms a file are here within 10 s.
func TestWarmUpInParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, s, first, next, end := hotSite(t, 2000, zerolog.Nop())
		defer end()
		var under, most atomic.Int64
		s.set(func(context.Context, store.Area, content.ID) error {
			most.Store(max(most.Load(), under.Add(1)))
			defer under.Add(-1)
			time.Sleep(30 * time.Millisecond)
			return nil
		})
		began := time.Now()
		second, err := e.NewBackend("test", app.TurbochargerOpts{Manifest: next})
		if err != nil {
			t.Fatal(err)
		}
		first.Close()
		for second.site.Load().name != next {
			if time.Since(began) > time.Minute {
				t.Fatal("it is not here after a minute")
			}
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("it took %s", took)
		}
		if n := most.Load(); n > 2*warmParallel {
			t.Errorf("%d files were fetched at a time", n)
		}
		paths, _ := second.site.Load().hot()
		if len(paths) != 2000 {
			t.Errorf("%d of 2000 files are here", len(paths))
		}
	})
}

// TestLongWarmUp: one that takes minutes goes on, and is told, until the setting.
func TestLongWarmUp(t *testing.T) {
	for _, c := range []struct {
		limit time.Duration
		all   bool
	}{{DefaultWarmUp, true}, {time.Minute, false}, {0, false}} {
		synctest.Test(t, func(t *testing.T) {
			var log logged
			e, s, _, next, end := hotSite(t, 10*warmParallel, zerolog.New(&log))
			defer end()
			e.WarmUp = c.limit
			log.take()
			var failures atomic.Int64
			s.set(func(ctx context.Context, area store.Area, _ content.ID) error {
				if area == store.Manifests {
					return nil
				}
				if failures.Add(1)%7 == 0 {
					return errors.New("the store fails")
				}
				time.Sleep(20 * time.Second)
				return ctx.Err()
			})
			began := time.Now()
			second, err := e.NewBackend("test", app.TurbochargerOpts{Manifest: next})
			if err != nil {
				t.Fatal(err)
			}
			for second.site.Load().name != next && time.Since(began) < time.Hour {
				time.Sleep(time.Second)
			}
			took, text := time.Since(began), log.take()
			paths, _ := second.site.Load().hot()
			if all := len(paths) == 10*warmParallel; all != c.all {
				t.Errorf("at most %s: %d files are here after %s", c.limit, len(paths), took)
			}
			if most := c.limit + 2*time.Second; !c.all && took > most {
				t.Errorf("at most %s: it took %s", c.limit, took)
			}
			if c.limit > 0 {
				if told := strings.Count(text, "is warming up"); told < int(took/toldEvery)-2 || told == 0 {
					t.Errorf("at most %s: it took %s and was told %d times", c.limit, took, told)
				}
			}
			if nevertheless := strings.Contains(text, "nevertheless (--turbocharger-warm-up)"); nevertheless != (c.limit == time.Minute) {
				t.Errorf("at most %s: %s", c.limit, text)
			}
		})
	}
}

// TestWarmUpPassesOver: what the store has lost or damaged does not hold up the
// version.
func TestWarmUpPassesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, s, _, next, end := hotSite(t, 10, zerolog.Nop())
		defer end()
		lost := content.IDOf([]byte("file 3 of version 2"))
		damaged := content.IDOf([]byte("file 4 of version 2"))
		inner := s.Store
		s.Store = &faulty{Store: inner, faults: map[content.ID]func(content.ID) (io.ReadCloser, error){
			lost:    func(content.ID) (io.ReadCloser, error) { return nil, store.ErrNotFound },
			damaged: func(content.ID) (io.ReadCloser, error) { return reader(bytes.NewReader([]byte("something else"))) },
		}}
		began := time.Now()
		second, err := e.NewBackend("test", app.TurbochargerOpts{Manifest: next})
		if err != nil {
			t.Fatal(err)
		}
		for second.site.Load().name != next {
			time.Sleep(time.Second)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("it took %s", took)
		}
		if paths, _ := second.site.Load().hot(); len(paths) != 8 {
			t.Errorf("%d files are here", len(paths))
		}
	})
}
