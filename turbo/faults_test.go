package turbo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/app"
	"edgerouter/turbo/cache"
	"edgerouter/turbo/content"
	"edgerouter/turbo/store"
)

// logged collects log lines.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// take returns what was logged since it was asked last.
func (l *logged) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.b.Reset()
	return l.b.String()
}

// faulty is a store of which each object can have a fault of its own.
type faulty struct {
	store.Store
	mu     sync.Mutex
	faults map[content.ID]func(content.ID) (io.ReadCloser, error)
}

func (f *faulty) Get(ctx context.Context, area store.Area, id content.ID) (io.ReadCloser, error) {
	f.mu.Lock()
	fault := f.faults[id]
	f.mu.Unlock()
	if fault != nil {
		return fault(id)
	}
	return f.Store.Get(ctx, area, id)
}

func reader(r io.Reader) (io.ReadCloser, error) { return io.NopCloser(r), nil }

// slowly gives a byte at a time.
type slowly struct{ r io.Reader }

func (s slowly) Read(p []byte) (int, error) {
	time.Sleep(time.Millisecond)
	return s.r.Read(p[:1])
}

// TestFaultsAreTold: whatever is wrong with an object, the client gets it as it should
// be or a 503, and a log line and a counter say which object and what.
func TestFaultsAreTold(t *testing.T) {
	body := func(name string) []byte { return []byte(strings.Repeat("the content of "+name+"\n", 20)) }
	type counts struct{ damaged, errors, disk, failed uint64 }
	cases := []struct {
		name   string
		fault  func(content.ID) (io.ReadCloser, error)
		status int
		counts counts
		log    []string
	}{
		{"slow.txt", func(content.ID) (io.ReadCloser, error) { return reader(slowly{bytes.NewReader(body("slow.txt"))}) }, 200, counts{}, nil},
		{"refused.txt", func(content.ID) (io.ReadCloser, error) { return nil, os.ErrPermission }, 503, counts{errors: 3, failed: 1},
			[]string{"permission denied", "a file could not be fetched"}},
		{"missing.txt", func(content.ID) (io.ReadCloser, error) { return nil, store.ErrNotFound }, 503, counts{errors: 1, failed: 1},
			[]string{"not in the store", "a file could not be fetched"}},
		{"lies.txt", func(content.ID) (io.ReadCloser, error) { return reader(strings.NewReader("something else")) }, 503, counts{damaged: 3, errors: 3, failed: 1},
			[]string{content.IDOf([]byte("something else")).String(), "a file could not be fetched"}},
		{"half.txt", func(content.ID) (io.ReadCloser, error) { return reader(bytes.NewReader(body("half.txt")[:100])) }, 503, counts{damaged: 3, errors: 3, failed: 1},
			[]string{content.IDOf(body("half.txt")[:100]).String()}},
		{"broken.txt", func(content.ID) (io.ReadCloser, error) {
			return reader(io.MultiReader(bytes.NewReader(body("broken.txt")[:100]), failing{}))
		}, 503, counts{errors: 3, failed: 1}, []string{"the line is cut", "a file could not be fetched"}},
		{"endless.txt", func(content.ID) (io.ReadCloser, error) { return reader(endless{}) }, 503, counts{errors: 1, failed: 1},
			[]string{"too large to be kept", "a file could not be fetched"}},
	}
	files := map[string][]byte{"ok.txt": body("ok.txt")}
	s := &faulty{Store: emptyFolder(t), faults: map[content.ID]func(content.ID) (io.ReadCloser, error){}}
	for _, c := range cases {
		files[c.name] = body(c.name)
		s.faults[content.IDOf(body(c.name))] = c.fault
	}
	manifest := deployed(t, s, files)
	var log logged
	c, err := cache.Open(cache.Options{Dir: t.TempDir(), Disk: 4 << 20, Log: zerolog.New(&log)})
	if err != nil {
		t.Fatal(err)
	}
	e := New(s, c, zerolog.New(&log))
	t.Cleanup(func() { e.Close(); c.Close() })
	b := listen(t, true, backend(t, e, app.TurbochargerOpts{Manifest: manifest}).Handler(true))
	now := func() counts {
		return counts{c.Stats.Damaged.Load(), c.Stats.FetchErrors.Load(), c.Stats.DiskErrors.Load(), e.Stats.Failed.Load()}
	}
	for _, x := range cases {
		log.take()
		before := now()
		resp, got := b.ask("GET", "/"+x.name)
		if whole := bytes.Equal(got, files[x.name]); resp.StatusCode != x.status || whole != (x.status == 200) {
			t.Errorf("%s: %d %.40q", x.name, resp.StatusCode, got)
		}
		after := now()
		if d := (counts{after.damaged - before.damaged, after.errors - before.errors, after.disk - before.disk, after.failed - before.failed}); d != x.counts {
			t.Errorf("%s: %+v is counted, want %+v", x.name, d, x.counts)
		}
		text := log.take()
		if x.status == 503 {
			x.log = append(x.log, `"path":"/`+x.name+`"`, fmt.Sprintf(`"object":"%s"`, content.IDOf(files[x.name])), `"manifest":"`+manifest+`"`)
		} else if strings.Contains(text, `"level":"error"`) {
			t.Errorf("%s: an error is logged: %s", x.name, text)
		}
		for _, want := range x.log {
			if !strings.Contains(text, want) {
				t.Errorf("%s: the log lacks %q:\n%s", x.name, want, text)
			}
		}
		if resp, got := b.ask("GET", "/ok.txt"); resp.StatusCode != 200 || !bytes.Equal(got, files["ok.txt"]) {
			t.Errorf("%s takes another file with it: %d", x.name, resp.StatusCode)
		}
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, fmt.Errorf("the line is cut") }

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
