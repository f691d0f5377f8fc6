package cli

import (
	"bytes"
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

type ruleLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *ruleLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *ruleLog) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), s)
}

// Rules that cannot be used keep the old ones and are told once; at the start
// they are an error.
func TestIPRulesFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ip.hcl")
	log := &ruleLog{}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := newIPRules(path, zerolog.New(log)); err == nil || !strings.Contains(err.Error(), "--ip-rules") || !strings.Contains(err.Error(), path) {
		t.Errorf("no file: %v", err)
	}
	for _, text := range []string{"", "# none\n", "allow_all {", `allow_all { prefix = "10.0.0.0/40" }`} {
		write(text)
		if _, err := newIPRules(path, zerolog.New(log)); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%q at the start: %v", text, err)
		}
	}
	write(`allow_all { prefix = "10.0.0.0/8" }`)
	r, err := newIPRules(path, zerolog.New(log))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.run(ctx) }()
	defer func() { cancel(); <-done }()

	office, home := netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("192.0.2.1")
	want := func(client netip.Addr, denial string) {
		t.Helper()
		if got := r.admit(client, "app"); got != denial {
			t.Errorf("%s: %q, want %q", client, got, denial)
		}
	}
	until := func(what string, f func() bool) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: %+v", what, r.status())
			}
		}
	}
	want(office, "")
	want(home, "implicit deny")
	r.fromStream(`allow_all { prefix = "0.0.0.0/0" }`) // the file goes before it
	want(home, "implicit deny")
	for _, text := range []string{"", "allow_all {"} {
		write(text)
		until("a bad file", func() bool { return r.status().Problem != "" && r.looked() == text })
		r.readAgain()
		want(office, "")
		want(home, "implicit deny")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	until("the file is gone", func() bool { return strings.Contains(r.status().Problem, "no such file") })
	want(home, "implicit deny")
	if n := log.count("cannot be used"); n != 3 {
		t.Errorf("told %d times of 3 problems", n)
	}
	write("allow_all { prefix = \"192.0.2.0/24\" }\nallow_specified {\n prefix = \"10.1.0.0/16\"\n apps = [\"other\"]\n}")
	until("good again", func() bool { return r.status().Problem == "" })
	want(home, "")
	want(office, "explicit deny")
	if s := r.status(); s.Rules != 2 || s.Source != path {
		t.Errorf("%+v", s)
	}
	var metrics bytes.Buffer
	r.write(&metrics)
	for _, line := range []string{"er_ip_rules 2\n", "er_ip_rules_broken 0\n", `er_ip_denied_total{reason="explicit"} 1` + "\n"} {
		if !strings.Contains(metrics.String(), line) {
			t.Errorf("no %q in %s", line, metrics.String())
		}
	}
	if n := testing.AllocsPerRun(100, func() { r.admit(home, "app") }); n != 0 {
		t.Errorf("a request costs %v allocations", n)
	}
}

func TestIPRulesOfTheStream(t *testing.T) {
	r, err := newIPRules("", zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	client := netip.MustParseAddr("192.0.2.1")
	for _, step := range []struct{ rules, denial string }{
		{"", ""}, {`allow_all { prefix = "10.0.0.0/8" }`, "implicit deny"}, {"allow_all {", "implicit deny"},
		{`allow_all { prefix = "192.0.0.0/8" }`, ""}, {`allow_all { prefix = "10.0.0.0/8" }`, "implicit deny"}, {"", ""},
	} {
		if r.fromStream(step.rules); r.admit(client, "app") != step.denial {
			t.Errorf("after %q: %q", step.rules, r.admit(client, "app"))
		}
	}
}

func (r *ipRules) looked() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text
}
