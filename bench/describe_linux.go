package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"edgerouter/bench/peer"
	"edgerouter/bench/report"
)

// describe begins a run with everything that is known before the first round.
func (o *Options) describe(ctx context.Context, proxies []peer.Proxy) *report.Run {
	run := &report.Run{
		Time: time.Now().UTC().Format("2006-01-02 15:04 UTC"), Command: o.Command, Commit: commit(ctx), Base: o.Base,
		Machine: machine(),
	}
	pinned := "not pinned"
	if o.ProxyCPU >= 0 {
		pinned = fmt.Sprintf("the proxy alone on core %d, load and origin on core %d", o.ProxyCPU, o.LoadCPU)
	}
	fields := "all set the same forwarding fields, but httputil only X-Forwarded-* and fasthttp none (forwarded-NAME.txt shows what the peers get)"
	if o.Bare {
		fields = "the others set no forwarding fields (--bare)"
	}
	run.Machine = append(run.Machine,
		report.Fact{Name: "cores", Value: pinned},
		report.Fact{Name: "rounds", Value: fmt.Sprintf("%d; in each every proxy is started anew, warmed up for %s and measured for %s in %d slices that take turns; the order is turned each round", o.Rounds, o.Warmup, o.Duration, o.Slices)},
		report.Fact{Name: "job", Value: fields},
		report.Fact{Name: "CPU time", Value: "user and system, from the kernel's per-process clocks (nanoseconds), all processes and threads of the proxy"},
	)
	for _, p := range proxies {
		run.Programs = append(run.Programs, report.Program{Name: p.Name(), Version: p.Version()})
	}
	return run
}

func machine() []report.Fact {
	var u unix.Utsname
	_ = unix.Uname(&u)
	facts := []report.Fact{
		{Name: "kernel", Value: unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:]) + " " + unix.ByteSliceToString(u.Machine[:])},
		{Name: "CPU", Value: fmt.Sprintf("%s, %d cores", procLine("/proc/cpuinfo", "model name"), runtime.NumCPU())},
		{Name: "memory", Value: procLine("/proc/meminfo", "MemTotal")},
	}
	if procLine("/proc/cpuinfo", "flags") != "" && strings.Contains(procLine("/proc/cpuinfo", "flags"), "hypervisor") {
		facts = append(facts, report.Fact{Name: "virtual", Value: "yes: a virtual machine, whose neighbours can be felt"})
	}
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		facts = append(facts, report.Fact{Name: "load at the start", Value: strings.TrimSpace(string(b))})
	}
	return facts
}

// procLine is the value of the first "name : value" line of a file.
func procLine(file, name string) string {
	b, _ := os.ReadFile(file)
	for line := range strings.SplitSeq(string(b), "\n") {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// commit is the revision that is checked out where the comparison runs, with a
// mark when files were changed since.
func commit(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--abbrev=12").Output()
	if err != nil {
		return "unknown (not in a git checkout)"
	}
	return strings.TrimSpace(string(out))
}
