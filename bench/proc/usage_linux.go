package proc

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// userHz is the unit of the times in /proc/PID/stat, fixed at 100 in Linux's user interface.
const userHz = 100

// Usage is what a process tree has used since it started.
type Usage struct {
	// CPU is user and system time in nanosecond resolution.
	CPU time.Duration
	// User and System are its parts as the kernel's tick sampling splits them (10 ms steps).
	User, System time.Duration
	// Voluntary and Involuntary are context switches of all living threads.
	Voluntary, Involuntary int64
}

// Sub is the use between two readings.
func (u Usage) Sub(before Usage) Usage {
	return Usage{u.CPU - before.CPU, u.User - before.User, u.System - before.System, u.Voluntary - before.Voluntary, u.Involuntary - before.Involuntary}
}

// CPUTime is the time that a process and those descendants that are in pids have
// used, by their CPU clocks (clock_getcpuclockid(3)): one system call each, so it
// can be read at the very edge of a measurement.
func CPUTime(pids []int) (time.Duration, error) {
	var sum time.Duration
	for _, pid := range pids {
		t, err := clock(pid)
		if err != nil {
			return 0, fmt.Errorf("read the CPU clock of process %d: %w", pid, err)
		}
		sum += t
	}
	return sum, nil
}

// clock reads a process's clock; the encoding of its id is the kernel's
// (include/linux/posix-timers.h: the pid inverted, three bits for the kind, 2 is
// the scheduler's precise run time).
func clock(pid int) (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|2), &ts); err != nil {
		return 0, err
	}
	return time.Duration(ts.Nano()), nil
}

// ThreadTime is the CPU time of one thread of this process.
func ThreadTime(tid int) (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^tid<<3|4|2), &ts); err != nil {
		return 0, fmt.Errorf("read the CPU clock of thread %d: %w", tid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// ThreadWait is how long a thread of this process has been ready to run while its
// core was taken (the second figure of schedstat); 0 where the kernel does not say.
func ThreadWait(tid int) time.Duration {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/schedstat", tid))
	f := bytes.Fields(b)
	if len(f) < 2 {
		return 0
	}
	n, _ := strconv.ParseInt(string(f[1]), 10, 64)
	return time.Duration(n)
}

// Tree is a process and its living descendants, itself first.
func Tree(pid int) []int {
	pids := []int{pid}
	for i := 0; i < len(pids); i++ {
		tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pids[i]))
		for _, t := range tasks {
			b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pids[i], t.Name()))
			for _, f := range bytes.Fields(b) {
				if child, err := strconv.Atoi(string(f)); err == nil {
					pids = append(pids, child)
				}
			}
		}
	}
	return pids
}

// Read reads the whole of Usage. Children that a process has waited for are
// included (in steps of 10 ms), so that workers replaced by a reload are not lost.
func Read(pid int) (Usage, error) {
	var u Usage
	pids := Tree(pid)
	for _, p := range pids {
		t, err := clock(p)
		if err != nil {
			if p != pid {
				continue // a worker that has just gone
			}
			return u, fmt.Errorf("read the CPU clock of process %d: %w", p, err)
		}
		u.CPU += t
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p))
		if err != nil {
			continue
		}
		s, err := parseStat(b)
		if err != nil {
			return u, fmt.Errorf("/proc/%d/stat: %w", p, err)
		}
		u.User += s.user
		u.System += s.system
		u.CPU += s.children
		v, i := switches(p)
		u.Voluntary += v
		u.Involuntary += i
	}
	return u, nil
}

type stat struct{ user, system, children time.Duration }

func parseStat(b []byte) (stat, error) {
	// The name in parentheses may hold anything; the fields count from after it.
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 15 {
		return stat{}, fmt.Errorf("%d fields instead of at least 15", len(fields))
	}
	var ticks [4]time.Duration // utime, stime, cutime, cstime: fields 14 to 17 of proc(5)
	for i := range ticks {
		n, err := strconv.ParseInt(string(fields[11+i]), 10, 64)
		if err != nil {
			return stat{}, err
		}
		ticks[i] = time.Duration(n) * time.Second / userHz
	}
	return stat{ticks[0], ticks[1], ticks[2] + ticks[3]}, nil
}

func switches(pid int) (voluntary, involuntary int64) {
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, t := range tasks {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/status", pid, t.Name()))
		voluntary += field(b, "voluntary_ctxt_switches:")
		involuntary += field(b, "nonvoluntary_ctxt_switches:")
	}
	return
}

// field finds a line by its name and returns its number, 0 when it is not there.
func field(b []byte, name string) int64 {
	for line := range bytes.SplitSeq(b, []byte{'\n'}) {
		if rest, ok := strings.CutPrefix(string(line), name); ok {
			if f := strings.Fields(rest); len(f) > 0 {
				n, _ := strconv.ParseInt(f[0], 10, 64)
				return n
			}
		}
	}
	return 0
}

// Memory is what a process tree holds, in bytes.
type Memory struct {
	RSS int64 `json:"rss"` // resident; what processes share is counted in each of them
	PSS int64 `json:"pss"` // proportional: what they share is divided among them
}

// ReadMemory sums over a process and its living descendants.
func ReadMemory(pid int) (Memory, error) {
	var m Memory
	for _, p := range Tree(pid) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p))
		if err != nil {
			if p == pid {
				return m, fmt.Errorf("read the memory of process %d: %w", p, err)
			}
			continue
		}
		m.RSS += field(b, "Rss:") << 10
		m.PSS += field(b, "Pss:") << 10
	}
	return m, nil
}

// RSS is the resident memory of a tree from status alone: cheap enough for sampling.
func RSS(pids []int) int64 {
	var sum int64
	for _, p := range pids {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p))
		sum += field(b, "VmRSS:") << 10
	}
	return sum
}

// CoreTimes is what a core has done since the machine started (10 ms steps).
type CoreTimes struct{ Busy, Steal time.Duration }

// Core reads the times of one core.
func Core(cpu int) (CoreTimes, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return CoreTimes{}, err
	}
	prefix := fmt.Sprintf("cpu%d ", cpu)
	for line := range strings.SplitSeq(string(b), "\n") {
		rest, ok := strings.CutPrefix(line, prefix)
		if !ok {
			continue
		}
		var c CoreTimes
		for i, f := range strings.Fields(rest) {
			n, _ := strconv.ParseInt(f, 10, 64)
			t := time.Duration(n) * time.Second / userHz
			switch i {
			case 0, 1, 2, 5, 6: // user, nice, system, irq, softirq
				c.Busy += t
			case 7:
				c.Steal += t
			}
		}
		return c, nil
	}
	return CoreTimes{}, fmt.Errorf("/proc/stat has no line for cpu%d", cpu)
}
