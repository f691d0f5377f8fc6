package turbo

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/turbo/content"
	"edgerouter/turbo/deploy"
	"edgerouter/turbo/store"
)

const (
	killStore   = "TURBO_KILL_STORE"
	killVersion = "TURBO_KILL_VERSION"
)

// killFiles are the files of a version.
func killFiles(version int) map[string][]byte {
	files := map[string][]byte{}
	for i := range 40 {
		files[fmt.Sprintf("page-%02d.html", i)] = bytes.Repeat(fmt.Appendf(nil, "page %d of version %d\n", i, version), 200)
	}
	return files
}

// TestKilledDeployChild is the process that TestKilledDeploys kills.
func TestKilledDeployChild(t *testing.T) {
	path := os.Getenv(killStore)
	if path == "" {
		t.Skip("it is started by TestKilledDeploys")
	}
	version, err := strconv.Atoi(os.Getenv(killVersion))
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.OpenFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := deploy.Tar(t.Context(), s, "kill", bytes.NewReader(tarOf(t, killFiles(version))), deploy.Options{}); err != nil {
		t.Fatal(err)
	}
}

// TestKilledDeploys kills deploys at random moments while a client reads the site:
// it only ever sees whole versions, and the deploy after it succeeds. Whatever
// manifest is in the store has all of its files.
func TestKilledDeploys(t *testing.T) {
	kills := 50
	if testing.Short() {
		kills = 5
	}
	path := t.TempDir()
	s, err := store.OpenFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	e := testEngine(t, s, "")
	var current atomic.Pointer[Backend]
	current.Store(backend(t, e, app.TurbochargerOpts{Manifest: deployed(t, s, killFiles(0))}))
	bed := listen(t, true, func(ctx *fasthttp.RequestCtx) { current.Load().Handler(true)(ctx) })
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			resp, err := http.Get(fmt.Sprintf("http://%s/page-%02d.html", bed.addr, n%40))
			if err != nil {
				t.Error(err)
				return
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			line, _, _ := strings.Cut(string(body), "\n")
			if err != nil || resp.StatusCode != 200 || string(body) != strings.Repeat(line+"\n", 200) || !strings.HasPrefix(line, fmt.Sprintf("page %d of", n%40)) {
				t.Errorf("%d with %d bytes, %q, %v", resp.StatusCode, len(body), line, err)
				return
			}
		}
	})
	killed := 0
	for v := 1; killed < kills && v < 4*kills && !t.Failed(); v++ {
		child := exec.Command(os.Args[0], "-test.run=^TestKilledDeployChild$")
		child.Env = append(os.Environ(), killStore+"="+path, killVersion+"="+strconv.Itoa(v))
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
		_ = child.Process.Kill()
		if child.Wait() != nil {
			killed++
		}
		err := s.List(t.Context(), store.Manifests, func(i store.Item) error {
			m, _, err := store.Manifest(t.Context(), s, i.ID)
			if err != nil {
				return err
			}
			return missingFile(t, s, m)
		})
		if err != nil {
			t.Errorf("after a deploy was killed: %v", err)
		}
		if v%10 == 0 { // the deploy is done again, and the site changes to it
			old := current.Load()
			next := backend(t, e, app.TurbochargerOpts{Manifest: deployed(t, s, killFiles(v))})
			eventually(t, "changed", func() bool { now := next.site.Load(); return now != nil && now != old.site.Load() })
			current.Store(next)
			old.Close()
		}
	}
	close(stop)
	wg.Wait()
	if killed < kills {
		t.Errorf("%d deploys were killed before they were done, want %d", killed, kills)
	}
}

func missingFile(t *testing.T, s *store.Folder, m *content.Manifest) error {
	for i := range m.Len() {
		there, err := s.Has(t.Context(), store.Files, m.FileID(i))
		if err != nil || !there {
			return fmt.Errorf("manifest %s: %s is missing (%v)", m.ID(), m.Path(i), err)
		}
	}
	return nil
}
