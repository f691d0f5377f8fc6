package gateway

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestTurboFigures measures; it tests nothing that depends on the machine. What it
// prints is in bench/RESULTS.md.
func TestTurboFigures(t *testing.T) {
	if os.Getenv("EDGEROUTER_TEST_FIGURES") == "" {
		t.Skip("set EDGEROUTER_TEST_FIGURES=1 to measure")
	}
	t.Run("slow origin", slowOrigin)
	t.Run("switch", switchUnderLoad)
}

// slowOrigin: an application that takes 100 ms for each request, as a Lambda
// function does, of whose requests nine in ten are below /static.
func slowOrigin(t *testing.T) {
	for _, option := range []string{"off", "on"} {
		b := newTurboBed(t, option)
		slow := b.peer.Config.Handler
		b.peer.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(100 * time.Millisecond)
			slow.ServeHTTP(w, r)
		})
		b.deploy(1)
		if option == "on" {
			b.eventually("taken over", func() bool { return b.ours("/static/app.css") })
		}
		for _, dynamic := range []int{0, 10} { // one request in so many is for the application
			took := b.during(2*time.Second, 64, func(n int) string {
				if dynamic > 0 && n%dynamic == 0 {
					return "/"
				}
				return "/static/app.css"
			})
			t.Logf("turbocharger %s, one in %d to the application: %.0f requests a second, p50 %v, p99 %v", option, dynamic,
				float64(len(took))/2, took[len(took)/2], took[len(took)*99/100])
		}
	}
}

// switchUnderLoad: clients at a constant rate, with a version change every 200 ms
// and without, in turns.
func switchUnderLoad(t *testing.T) {
	b := newTurboBed(t, "on")
	b.deploy(1)
	b.eventually("taken over", func() bool { return b.ours("/static/app.css") })
	paced := func() []time.Duration {
		tick := time.NewTicker(500 * time.Microsecond)
		defer tick.Stop()
		return b.during(2*time.Second, 4, func(int) string { <-tick.C; return "/static/app.css" })
	}
	paced()
	v := 1
	for round := range 5 {
		quiet := paced()
		stop := make(chan struct{})
		var wg sync.WaitGroup
		before, misses := b.engine.Stats.Switches.Load(), b.engine.Stats.Misses.Load()
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(200 * time.Millisecond):
					v++
					b.deploy(v)
				}
			}
		})
		changing := paced()
		close(stop)
		wg.Wait()
		t.Logf("round %d: p99 %v without changes, %v with %d changes (deploys included): %.2f; %d misses", round+1, quiet[len(quiet)*99/100],
			changing[len(changing)*99/100], b.engine.Stats.Switches.Load()-before,
			float64(changing[len(changing)*99/100])/float64(quiet[len(quiet)*99/100]), b.engine.Stats.Misses.Load()-misses)
	}
}

// during asks with so many clients and returns the sorted times of the answers.
func (b *turboBed) during(d time.Duration, clients int, target func(n int) string) []time.Duration {
	b.t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	var mu sync.Mutex
	var all []time.Duration
	var n atomic.Int64
	var wg sync.WaitGroup
	end := time.Now().Add(d)
	for range clients {
		wg.Go(func() {
			var took []time.Duration
			for time.Now().Before(end) {
				path := target(int(n.Add(1)))
				began := time.Now()
				resp, err := client.Get(b.url + path)
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					if resp.StatusCode != 200 {
						err = fmt.Errorf("status %d", resp.StatusCode)
					}
				}
				if err != nil {
					b.t.Error(path, err)
					return
				}
				took = append(took, time.Since(began))
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
		})
	}
	wg.Wait()
	slices.Sort(all)
	return all
}
