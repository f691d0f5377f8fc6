package cli

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"edgerouter/internal/testkit"
)

// limitApps are applications with limits: of a rate for each client, of a rate for
// each key that is as good as a number, and of places.
const limitApps = `{"apps": [
	{"id": "rate", "frontends": [{"kind": "hostname", "hostname": "rate.example.com", "allow_insecure_http": true}],
	 "middlewares": [{"kind": "rate_limit", "rate_limit_opts": {"average": 40, "burst": 10}}],
	 "backend": {"kind": "redirect", "redirect_opts": {"to": "/"}}},
	{"id": "number", "frontends": [{"kind": "hostname", "hostname": "number.example.com", "allow_insecure_http": true}],
	 "middlewares": [{"kind": "rate_limit", "rate_limit_opts": {"average": 1, "period": "24h", "burst": 5, "per": "header:X-Key"}}],
	 "backend": {"kind": "redirect", "redirect_opts": {"to": "/"}}},
	{"id": "places", "frontends": [{"kind": "hostname", "hostname": "places.example.com", "allow_insecure_http": true}],
	 "middlewares": [{"kind": "in_flight", "in_flight_opts": {"amount": 4}}],
	 "backend": {"kind": "peer_set", "peer_set_opts": {"addrs": ["%s"]}}}]}`

// Three nodes of an embedded bus count together: a client that asks all of them
// gets what a limit says once, and a node that dies gives its places back.
func TestLimitsOfTheCluster(t *testing.T) {
	testkit.Long(t)
	entered, leave := make(chan struct{}, 10), make(chan struct{})
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stay" {
			entered <- struct{}{}
			select {
			case <-leave:
			case <-r.Context().Done():
			}
		}
	}))
	defer backend.Close()
	c := newCluster(t, "a", "b", "c")
	for _, m := range c.members {
		if err := os.WriteFile(filepath.Join(m.data, "none.json"), fmt.Appendf(nil, limitApps, backend.URL), 0o600); err != nil {
			t.Fatal(err)
		}
		m.start()
	}
	for _, m := range c.members {
		m.ready()
		eventually(t, m.name+" knows the others", time.Minute, func() bool {
			k, err := m.cluster()
			return err == nil && len(k.Nodes) == 3 && k.Quorum
		})
	}
	client := &http.Client{Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	ask := func(i int, host, path, key string) int {
		t.Helper()
		req, _ := http.NewRequest(http.MethodGet, "http://"+c.members[i].http+path, nil)
		req.Host = host
		req.Header.Set("X-Key", key)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode
	}

	// What is used up at one node is used up at another within a second. A machine
	// that has no time for it gets more than one chance.
	told := 0
	const attempts = 5
	for i := range attempts {
		key := fmt.Sprint("key ", i)
		for n := range 5 {
			if code := ask(0, "number.example.com", "/", key); code != http.StatusFound {
				t.Fatalf("request %d of a fresh key: %d", n, code)
			}
		}
		wait := time.NewTimer(time.Second)
		<-wait.C
		if ask(1, "number.example.com", "/", key) == http.StatusTooManyRequests && ask(2, "number.example.com", "/", key) == http.StatusTooManyRequests {
			told++
		}
	}
	t.Logf("after a second both other nodes knew in %d cases of %d", told, attempts)
	if told == 0 {
		t.Error("no node knew what another had counted")
	}

	// Over some time the sum is that of one limit.
	together := func() bool {
		passed, asked, started := 0, 0, time.Now()
		for time.Since(started) < 6*time.Second {
			if ask(asked%3, "rate.example.com", "/", "") == http.StatusFound {
				passed++
			}
			asked++
		}
		one := 40*time.Since(started).Seconds() + 10
		t.Logf("%d of %d requests to three nodes passed; one limit is %.0f, three are %.0f", passed, asked, one, 3*one)
		f := float64(passed)
		return asked <= int(2*one) || f <= 1.6*one && f >= 0.5*one
	}
	about := false
	for range 3 {
		about = about || together()
	}
	if !about {
		t.Error("what passed at three nodes was never about one limit")
	}

	// Places that are taken at a are taken at b, until a dies.
	var staying sync.WaitGroup
	patient := &http.Client{} // they stay until they are let go, however long that takes
	defer patient.CloseIdleConnections()
	for range 4 {
		staying.Go(func() {
			req, _ := http.NewRequest(http.MethodGet, "http://"+c.members[0].http+"/stay", nil)
			req.Host = "places.example.com"
			if resp, err := patient.Do(req); err == nil {
				resp.Body.Close()
			}
		})
		<-entered
	}
	took := eventually(t, "b knows that all places are taken", time.Minute, func() bool {
		return ask(1, "places.example.com", "/", "") == http.StatusTooManyRequests
	})
	t.Logf("b knew after %s that all places are taken", took.Round(time.Millisecond))
	resp, err := client.Get("http://" + c.members[1].admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if !strings.Contains(string(text), "er_limit_peers ") || strings.Contains(string(text), "er_limit_peers 0\n") || strings.Contains(string(text), `er_limit_messages_total{result="received"} 0`+"\n") {
		t.Error("the metrics of b know nothing of it")
	}
	c.members[0].kill(syscall.SIGKILL)
	took = eventually(t, "a's places are free", time.Minute, func() bool {
		return ask(1, "places.example.com", "/", "") == http.StatusOK
	})
	t.Logf("%s after a was killed its places were free", took.Round(time.Millisecond))
	close(leave)
	staying.Wait()
}
