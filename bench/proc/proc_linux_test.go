package proc

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const rest = " S 1 2 3 4 5 6 7 8 9 10 150 50 30 20 20 0 1 0 100 200 300"
	for _, name := range []string{"(nginx)", "(a b)", "(we) ird (x)", "()"} {
		s, err := parseStat([]byte("42 " + name + rest))
		want := stat{1500 * time.Millisecond, 500 * time.Millisecond, 500 * time.Millisecond}
		if err != nil || s != want {
			t.Errorf("%s: %+v, %v; want %+v", name, s, err, want)
		}
	}
	for _, wrong := range []string{"", "42 (x) S 1", "42 (x)" + strings.Replace(rest, "150", "x", 1)} {
		if _, err := parseStat([]byte(wrong)); err == nil {
			t.Errorf("%q: accepted", wrong)
		}
	}
}

func TestField(t *testing.T) {
	const b = "Rss:  1024 kB\nPss_Dirty: 7 kB\nPss:\t12 kB\nEmpty:\n"
	for name, want := range map[string]int64{"Rss:": 1024, "Pss:": 12, "Pss_Dirty:": 7, "Empty:": 0, "None:": 0} {
		if got := field([]byte(b), name); got != want {
			t.Errorf("%s %d, want %d", name, got, want)
		}
	}
}

// start runs a shell in a session of its own that prints ready.
func start(t *testing.T, script string, cpu int) *Process {
	t.Helper()
	s := NewStarter()
	t.Cleanup(s.Close)
	log := filepath.Join(t.TempDir(), "log")
	p, err := s.Start("test", []string{"/bin/sh", "-c", script}, t.TempDir(), log, cpu)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(time.Second) })
	eventually(t, "the script is ready", func() bool {
		b, _ := os.ReadFile(log)
		return strings.Contains(string(b), "ready")
	})
	return p
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

func TestUsageOfATree(t *testing.T) {
	// The child works for as long as it lives, the parent waits.
	p := start(t, "(while :; do :; done) & echo ready; wait", -1)
	var tree []int
	eventually(t, "the child is there", func() bool { tree = Tree(p.PID); return len(tree) == 2 })
	if tree[0] != p.PID {
		t.Fatalf("tree %v of %d", tree, p.PID)
	}
	before, err := CPUTime(tree)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "20 ms of CPU time", func() bool {
		now, err := CPUTime(tree)
		return err == nil && now-before > 20*time.Millisecond
	})
	u, err := Read(p.PID)
	if err != nil || u.CPU < 20*time.Millisecond || u.Voluntary+u.Involuntary == 0 {
		t.Errorf("usage %+v, %v", u, err)
	}
	m, err := ReadMemory(p.PID)
	if err != nil || m.RSS < 100<<10 || m.PSS <= 0 || m.PSS > m.RSS {
		t.Errorf("memory %+v, %v", m, err)
	}
	if rss := RSS(tree); rss < 100<<10 {
		t.Errorf("RSS %d", rss)
	}
	p.Stop(time.Second)
	eventually(t, "the child is gone too", func() bool { return syscall.Kill(tree[1], 0) != nil })
	if _, err := CPUTime(tree); err == nil {
		t.Error("the clock of a process that has gone was read")
	}
	if _, err := ReadMemory(p.PID); err == nil {
		t.Error("the memory of a process that has gone was read")
	}
}

func TestPinning(t *testing.T) {
	cpus := CPUs()
	cpu := cpus[len(cpus)-1]
	p := start(t, "echo ready; exec sleep 60", cpu)
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID))
	if err != nil {
		t.Fatal(err)
	}
	if got := field(b, "Cpus_allowed_list:"); got != int64(cpu) || strings.Contains(line(b, "Cpus_allowed_list:"), ",") {
		t.Errorf("allowed on %q, want core %d", line(b, "Cpus_allowed_list:"), cpu)
	}
	undo, err := PinSelf(cpu)
	if err != nil {
		t.Fatal(err)
	}
	if got := CPUs(); !slices.Equal(got, []int{cpu}) {
		t.Errorf("pinned to %v", got)
	}
	undo()
	if got := CPUs(); !slices.Equal(got, cpus) {
		t.Errorf("afterwards %v, before %v", got, cpus)
	}
}

func line(b []byte, name string) string {
	_, rest, _ := strings.Cut(string(b), name)
	l, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(l)
}

func TestStopIsSureAndQuiet(t *testing.T) {
	p := start(t, "trap '' TERM; echo ready; while :; do sleep 1; done", -1)
	p.Stop(20 * time.Millisecond) // it does not listen
	select {
	case <-p.Exited():
	default:
		t.Error("still there")
	}
	p.Stop(time.Second)
	if p.Err() == nil {
		t.Error("no reason")
	}
}

func TestStartOfNothing(t *testing.T) {
	s := NewStarter()
	defer s.Close()
	if _, err := s.Start("none", []string{"/nonexistent/program"}, t.TempDir(), filepath.Join(t.TempDir(), "log"), -1); err == nil || !strings.Contains(err.Error(), "/nonexistent/program") {
		t.Errorf("error %v", err)
	}
	if _, err := s.Start("none", []string{"/bin/true"}, t.TempDir(), "/nonexistent/log", -1); err == nil {
		t.Error("started without a log")
	}
}

func TestThreadClocks(t *testing.T) {
	tid := syscall.Gettid()
	if d, err := ThreadTime(tid); err != nil || d <= 0 {
		t.Errorf("%s, %v", d, err)
	}
	if d := ThreadWait(tid); d < 0 {
		t.Errorf("waited %s", d)
	}
	if c, err := Core(CPUs()[0]); err != nil || c.Busy <= 0 {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := Core(100_000); err == nil {
		t.Error("a core that is not there was read")
	}
}
