package cli

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"edgerouter/discovery/stream"
)

// figures skips a test that measures, unless EDGEROUTER_TEST_FIGURES asks for it:
// what it says depends on what else the machine does.
func figures(t *testing.T) {
	t.Helper()
	if os.Getenv("EDGEROUTER_TEST_FIGURES") == "" {
		t.Skip("measures; EDGEROUTER_TEST_FIGURES=1 runs it")
	}
}

func location(client *http.Client, m *member) string {
	req, _ := http.NewRequest(http.MethodGet, "http://"+m.http+"/", nil)
	req.Host = "w.example.com"
	resp, err := client.Do(req)
	if err != nil {
		return err.Error()
	}
	resp.Body.Close()
	return resp.Header.Get("Location")
}

// How long it takes from the start of an append until all three nodes serve it.
func TestFigureAppendInService(t *testing.T) {
	figures(t)
	c := newCluster(t, "a", "b", "c")
	for _, m := range c.members {
		m.start()
	}
	for _, m := range c.members {
		m.ready()
	}
	log := c.members[0].log()
	defer log.Close()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var acked, served []time.Duration
	for i := range 1010 {
		to := fmt.Sprintf("/%d", i)
		line := redirectApp(t, "w", "w.example.com", to)
		started := time.Now()
		if _, err := log.Append(ctx, stream.Path("1"), line); err != nil {
			t.Fatal(err)
		}
		ack := time.Since(started)
		var all sync.WaitGroup
		for _, m := range c.members {
			all.Go(func() {
				for location(client, m) != to {
					if time.Since(started) > 30*time.Second {
						t.Errorf("%s does not serve %s", m.name, to)
						return
					}
				}
			})
		}
		all.Wait()
		if i >= 10 { // the first ones make the stream
			acked, served = append(acked, ack), append(served, time.Since(started))
		}
	}
	slices.Sort(acked)
	slices.Sort(served)
	t.Logf("acknowledged: p50 %s, p99 %s, max %s", acked[500], acked[990], acked[999])
	t.Logf("in service on all nodes: p50 %s, p99 %s, max %s", served[500], served[990], served[999])
	if served[990] > 100*time.Millisecond {
		t.Errorf("p99 is above 100 ms")
	}
}

// How long a node takes to serve with 10,000 applications in the stream.
func TestFigureStart(t *testing.T) {
	figures(t)
	c := newCluster(t, "a")
	m := c.members[0]
	i := slices.Index(m.args, "--bus-listen")
	m.args = slices.Delete(m.args, i, i+6) // alone
	m.start()
	m.ready()
	log := m.log()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	const n = 10_000
	var sending sync.WaitGroup
	for w := range 8 {
		sending.Go(func() {
			for i := w; i < n; i += 8 {
				id := fmt.Sprintf("app-%05d", i)
				if _, err := log.Append(ctx, stream.Path("1"), redirectApp(t, id, id+".example.com", "/"+id)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	sending.Wait()
	if _, err := log.Append(ctx, stream.Path("1"), redirectApp(t, "w", "w.example.com", "/w")); err != nil {
		t.Fatal(err)
	}
	log.Close()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	eventually(t, "all are in service", time.Minute, func() bool { return location(client, m) == "/w" })
	for name, prepare := range map[string]func(){
		"snapshot": func() {},
		"log": func() {
			if err := os.RemoveAll(filepath.Join(m.data, "snapshots")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		m.kill(syscall.SIGTERM)
		prepare()
		started := time.Now()
		m.start()
		for location(client, m) != "/w" {
			if time.Since(started) > time.Minute {
				t.Fatal("it does not serve")
			}
		}
		t.Logf("from the %s: %s", name, time.Since(started).Round(time.Millisecond))
	}
}

// What an embedded bus that has nothing to do costs.
func TestFigureIdle(t *testing.T) {
	figures(t)
	rss := func(name string, more ...string) {
		c := newCluster(t, name)
		m := c.members[0]
		i := slices.Index(m.args, "--bus-listen")
		m.args = append(slices.Delete(m.args, i, i+6), more...)
		m.start()
		m.ready()
		pid := m.cmd.Process.Pid
		before := cpuTicks(t, pid)
		timer := time.NewTimer(15 * time.Second)
		<-timer.C
		status := readFile(t, fmt.Sprintf("/proc/%d/status", pid))
		for line := range strings.Lines(status) {
			if strings.HasPrefix(line, "VmRSS") || strings.HasPrefix(line, "RssAnon") {
				t.Logf("%s: %s", name, strings.TrimSpace(line))
			}
		}
		t.Logf("%s: %.2f %% of a core", name, float64(cpuTicks(t, pid)-before)/15)
	}
	rss("off", "--bus", "off")
	rss("embedded")
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// cpuTicks is the processor time of a process in hundredths of a second.
func cpuTicks(t *testing.T, pid int) int {
	t.Helper()
	text := readFile(t, fmt.Sprintf("/proc/%d/stat", pid))
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	var user, system int
	fmt.Sscan(fields[11], &user)
	fmt.Sscan(fields[12], &system)
	return user + system
}
