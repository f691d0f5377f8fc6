package e2e

import (
	"io"
	"net/http"
	"runtime"
	"testing"
	"time"

	"edgerouter/app"
	"edgerouter/internal/testkit"
)

// TestLargeBodies: 200 MB each way, with a bound on the memory of the process in
// which client, edge and origin are.
func TestLargeBodies(t *testing.T) {
	testkit.Long(t)
	const size, most = 200 << 20, 16 << 20
	origin := httpOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/up" && (n != size || err != nil) {
			t.Errorf("the origin got %d bytes, %v", n, err)
		}
		if r.URL.Path == "/down" {
			if r.Header.Get("X-Length") != "" {
				w.Header().Set("Content-Length", r.Header.Get("X-Length"))
			}
			io.Copy(w, io.LimitReader(endless{}, size))
		}
	})
	for _, m := range []mode{direct, structured} {
		e := newEdge(t, m, origin, options{peers: func(p *app.PeerSetOpts) {}})
		client := e.http()
		high := watchHeap()
		for _, length := range []int64{size, -1} {
			req, _ := http.NewRequest("POST", e.url("/up"), io.LimitReader(endless{}, size))
			req.ContentLength = length
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			req, _ = http.NewRequest("GET", e.url("/down"), nil)
			if length > 0 {
				req.Header.Set("X-Length", "209715200")
			}
			resp, err = client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, resp.Body); n != size || err != nil || resp.ContentLength != length {
				t.Errorf("the client got %d bytes of %d, %v", n, resp.ContentLength, err)
			}
			resp.Body.Close()
		}
		if rise := high(); rise > most {
			t.Errorf("memory rose by %d bytes", rise)
		} else {
			t.Logf("direct %v: memory rose by %d bytes", m, rise)
		}
	}
}

// endless is a body without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// watchHeap samples the heap until the returned function is called, which tells
// the highest rise.
func watchHeap() (rise func() int64) {
	inUse := func() int64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapInuse + m.StackInuse)
	}
	runtime.GC()
	before := inUse()
	stop, result := make(chan struct{}), make(chan int64)
	go func() {
		high := int64(0)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				high = max(high, inUse()-before)
			case <-stop:
				result <- high
				return
			}
		}
	}()
	return func() int64 { close(stop); return <-result }
}
