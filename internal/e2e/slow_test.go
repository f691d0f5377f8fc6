package e2e

import (
	"context"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"edgerouter/internal/testkit"
	"edgerouter/server"
)

// TestSlowClients: slowhttptest in its three modes, 500 connections each, for
// some seconds, while good clients are served quickly and memory is bounded.
func TestSlowClients(t *testing.T) {
	testkit.Long(t)
	tool, err := exec.LookPath("slowhttptest")
	if err != nil {
		testkit.Missing(t, "slowhttptest", "slowhttptest is not installed: apt-get install slowhttptest")
	}
	large := []byte(strings.Repeat("x", 1<<20))
	origin := httpOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/large" {
			w.Write(large)
		} else {
			w.Write(large[:128])
		}
	})
	const seconds, connections = 8, "500"
	for name, args := range map[string]string{
		"slow headers": "-H -i 1 -x 24 -t GET -u %/",
		"slow bodies":  "-B -i 1 -x 10 -s 8192 -t POST -u %/",
		"slow readers": "-X -w 512 -y 1024 -n 1 -z 32 -k 3 -u %/large",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEdge(t, direct, origin, options{server: func(c *server.Config) {
				c.Limits.HeaderTimeout = 3 * time.Second
			}})
			ctx, cancel := context.WithTimeout(context.Background(), (seconds+1)*time.Second)
			defer cancel()
			rise := watchHeap()
			cmd := exec.CommandContext(ctx, tool, append(strings.Fields("-c "+connections+" -r 250 -p 5 -l 7"),
				strings.Fields(strings.ReplaceAll(args, "%", "http://"+e.addr))...)...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			open := 0
			times := goodClients(t, e, (seconds-1)*time.Second, func() { open = max(open, e.server.Open()) })
			cmd.Wait() // it may be killed at the end
			rose := rise()
			slices.Sort(times)
			p50, p99 := times[len(times)/2], times[len(times)*99/100]
			t.Logf("%d good requests, p50 %v, p99 %v, at most %d connections, memory +%d KB", len(times), p50, p99, open, rose>>10)
			limit := 200 * time.Millisecond
			if raceEnabled {
				limit *= 5 // the three run at once, and the detector makes all of it several times as slow
			}
			if p99 > limit {
				t.Errorf("p99 of good clients is %v", p99)
			}
			if rose > 128<<20 {
				t.Errorf("memory rose by %d bytes", rose)
			}
			if open < 200 {
				t.Errorf("there were only %d connections: slowhttptest did not do its work", open)
			}
			eventually(t, "the slow connections are gone", func() bool { return e.server.Open() == 0 })
		})
	}
}

// goodClients asks for small responses at a steady pace, on kept and on new
// connections, and returns how long each took.
func goodClients(t *testing.T, e *edge, d time.Duration, each func()) (times []time.Duration) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	end := time.Now().Add(d)
	for i := range 4 {
		wg.Go(func() {
			c := e.http()
			c.Timeout = patience
			c.Transport.(*http.Transport).DisableKeepAlives = i%2 == 0
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for time.Now().Before(end) {
				began := time.Now()
				resp, err := c.Get(e.url("/"))
				if err != nil {
					t.Error("a good client: ", err)
					return
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode != 200 {
					t.Errorf("a good client got %d", resp.StatusCode)
				}
				mu.Lock()
				times = append(times, time.Since(began))
				each()
				mu.Unlock()
				<-tick.C
			}
			c.CloseIdleConnections()
		})
	}
	wg.Wait()
	return times
}
