package turbo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/internal/bucket"
	"edgerouter/internal/s3test"
	"edgerouter/internal/testkit"
	"edgerouter/turbo/content"
	"edgerouter/turbo/deploy"
	"edgerouter/turbo/store"
)

// killDeploy is the variable in which a child finds the deploy that it is to make.
const killDeploy = "TURBO_KILL_DEPLOY"

// killed is that deploy: into a folder, or into the bucket of a server.
type killed struct {
	Folder  string `json:",omitempty"`
	Server  string `json:",omitempty"`
	Version int
}

const killBucket = "kill"

func (k killed) open() (store.Store, error) {
	if k.Server == "" {
		return store.OpenFolder(k.Folder)
	}
	return store.InBucket(bucket.Open(s3test.ConfigOf(k.Server), killBucket)), nil
}

const killPages = 40

// killFiles are the files of a version.
func killFiles(version int) map[string][]byte {
	files := map[string][]byte{}
	for i := range killPages {
		files[fmt.Sprintf("page-%02d.html", i)] = bytes.Repeat(fmt.Appendf(nil, "page %d of version %d\n", i, version), 200)
	}
	return files
}

// TestKilledDeployChild is the process that TestKilledDeploys kills. It says when the
// deploy begins and ends, as the time before and after is that of a process.
func TestKilledDeployChild(t *testing.T) {
	text := os.Getenv(killDeploy)
	if text == "" {
		t.Skip("it is started by TestKilledDeploys")
	}
	var k killed
	if err := json.Unmarshal([]byte(text), &k); err != nil {
		t.Fatal(err)
	}
	s, err := k.open()
	if err != nil {
		t.Fatal(err)
	}
	tar := bytes.NewReader(tarOf(t, killFiles(k.Version)))
	fmt.Println("begins")
	if _, err := deploy.Tar(t.Context(), s, "kill", tar, deploy.Options{}); err != nil {
		t.Fatal(err)
	}
	fmt.Println("ends")
}

// run makes the deploy in a child, which it kills a while after the beginning, and
// says whether the deploy came to its end, and what time that took.
func (k killed) run(t *testing.T, after time.Duration) (took time.Duration, done bool) {
	t.Helper()
	text, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0], "-test.run=^TestKilledDeployChild$")
	child.Env = append(os.Environ(), killDeploy+"="+string(text), "GORACE=atexit_sleep_ms=0")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); line != "begins\n" {
		_ = child.Process.Kill()
		t.Fatalf("the child says %q, %v, %v", line, err, child.Wait())
	}
	began := time.Now()
	timer := time.AfterFunc(after, func() { _ = child.Process.Kill() })
	line, _ := lines.ReadString('\n')
	took, done = time.Since(began), line == "ends\n"
	rest, _ := io.ReadAll(lines)
	err = child.Wait()
	if timer.Stop() && err != nil {
		t.Fatalf("a deploy failed: %v\n%s%s", err, line, rest)
	}
	return took, done
}

// TestKilledDeploys kills deploys at random moments while a client reads the site:
// it only ever sees whole versions, and the deploy after it succeeds. Whatever
// manifest is in the store has all of its files, and whatever file is in it is whole.
func TestKilledDeploys(t *testing.T) {
	t.Run("folder", func(t *testing.T) { killDeploys(t, killed{Folder: t.TempDir()}) })
	t.Run("s3", func(t *testing.T) { killDeploys(t, killed{Server: s3test.Start(t, killBucket).URL}) })
}

func killDeploys(t *testing.T, k killed) {
	kills := 5
	if testkit.IsLong() {
		kills = 50
	}
	s, err := k.open()
	if err != nil {
		t.Fatal(err)
	}
	e := testEngine(t, s, "")
	var current atomic.Pointer[Backend]
	current.Store(backend(t, e, app.TurbochargerOpts{Manifest: deployed(t, s, killFiles(0))}))
	bed := listen(t, true, func(ctx *fasthttp.RequestCtx) { current.Load().Handler(true)(ctx) })
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	var reads atomic.Int64
	wg.Go(func() { readWhole(ctx, t, bed.addr, &reads) })

	k.Version = 1
	span, done := k.run(t, time.Minute)
	if !done {
		t.Fatal("a deploy takes more than a minute")
	}
	var (
		dead, whole, begun int
		seen               = map[content.ID]bool{}
	)
	for dead < kills && k.Version < 6*kills && !t.Failed() {
		k.Version++
		before := count(t, s, store.Files)
		took, done := k.run(t, time.Duration(rand.Int64N(int64(span))))
		if done {
			whole, span = whole+1, took // the machine has less to do now
		} else {
			dead++
			if n := count(t, s, store.Files); n > before && n < before+killPages {
				begun++
			}
		}
		checkManifests(t, s, seen)
		if k.Version%10 == 0 { // the deploy is done again, and the site changes to it
			old := current.Load()
			next := backend(t, e, app.TurbochargerOpts{Manifest: deployed(t, s, killFiles(k.Version))})
			eventually(t, "changed", func() bool { now := next.site.Load(); return now != nil && now != old.site.Load() })
			current.Store(next)
			old.Close()
		}
	}
	checkFiles(t, s)
	t.Logf("%d deploys were killed, %d of them between their first file and their last; %d were done before; %d pages were read", dead, begun, whole, reads.Load())
	if dead < kills || begun == 0 || reads.Load() == 0 {
		t.Errorf("want at least %d killed, some of them in the middle, and a client that reads", kills)
	}
}

// readWhole reads one page after the other until ctx ends: each is whole, and none is
// of an earlier version than the one before.
func readWhole(ctx context.Context, t *testing.T, addr string, reads *atomic.Int64) {
	last := 0
	for n := 0; ctx.Err() == nil; n++ {
		resp, err := http.Get(fmt.Sprintf("http://%s/page-%02d.html", addr, n%killPages))
		if err != nil {
			t.Error(err)
			return
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		line, _, _ := strings.Cut(string(body), "\n")
		var page, version int
		_, malformed := fmt.Sscanf(line, "page %d of version %d", &page, &version)
		if err != nil || malformed != nil || resp.StatusCode != 200 || page != n%killPages || version < last || string(body) != strings.Repeat(line+"\n", 200) {
			t.Errorf("page %d after version %d: %d with %d bytes, %q, %v", n%killPages, last, resp.StatusCode, len(body), line, err)
			return
		}
		last = version
		reads.Add(1)
	}
}

func count(t *testing.T, s store.Store, area store.Area) (n int) {
	t.Helper()
	if err := s.List(t.Context(), area, func(store.Item) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

// checkManifests checks the manifests that were not seen before: their files are all
// there.
func checkManifests(t *testing.T, s store.Store, seen map[content.ID]bool) {
	t.Helper()
	files := map[content.ID]bool{}
	err := s.List(t.Context(), store.Manifests, func(i store.Item) error {
		if seen[i.ID] {
			return nil
		}
		seen[i.ID] = true
		if len(files) == 0 {
			if err := s.List(t.Context(), store.Files, func(i store.Item) error { files[i.ID] = true; return nil }); err != nil {
				return err
			}
		}
		m, _, err := store.Manifest(t.Context(), s, i.ID)
		if err != nil {
			return err
		}
		for f := range m.Len() {
			if !files[m.FileID(f)] {
				t.Errorf("manifest %s: %s is missing", m.ID(), m.Path(f))
			}
		}
		return nil
	})
	if err != nil {
		t.Errorf("after a deploy was killed: %v", err)
	}
}

// checkFiles checks every file of the store against its name: the next deploy of the
// same file would not send it again.
func checkFiles(t *testing.T, s store.Store) {
	t.Helper()
	err := s.List(t.Context(), store.Files, func(i store.Item) error {
		r, err := s.Get(t.Context(), store.Files, i.ID)
		if err != nil {
			return err
		}
		defer r.Close()
		data, err := io.ReadAll(r)
		if err == nil && content.IDOf(data) != i.ID {
			t.Errorf("file %s has the content of %s, %d bytes", i.ID, content.IDOf(data), len(data))
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
