package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Starter starts programs on given cores. It keeps one thread for it: a child
// inherits the affinity of the thread that forks it, and dies with that thread
// when this process is killed.
type Starter struct {
	jobs chan func()
	done chan struct{}
}

// NewStarter makes the thread; Close ends it.
func NewStarter() *Starter {
	s := &Starter{jobs: make(chan func()), done: make(chan struct{})}
	go func() {
		defer close(s.done)
		runtime.LockOSThread() // never unlocked: the thread has a strange affinity and ends with the goroutine
		for f := range s.jobs {
			f()
		}
	}()
	return s
}

// Close ends the thread. Processes that were started must have been stopped.
func (s *Starter) Close() {
	close(s.jobs)
	<-s.done
}

// Process is a started program.
type Process struct {
	Name    string
	PID     int
	LogFile string // its standard output and error

	cmd    *exec.Cmd
	exited chan struct{}
	err    error
	once   sync.Once
}

// Start runs argv in dir with its output in logFile, on the given core (-1: any),
// as the leader of a session of its own.
func (s *Starter) Start(name string, argv []string, dir, logFile string, cpu int) (*Process, error) {
	log, err := os.Create(logFile)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer log.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	p := &Process{Name: name, LogFile: logFile, cmd: cmd, exited: make(chan struct{})}
	started := make(chan error, 1)
	s.jobs <- func() {
		if cpu >= 0 {
			var before unix.CPUSet
			if err := unix.SchedGetaffinity(0, &before); err != nil {
				started <- fmt.Errorf("read the affinity: %w", err)
				return
			}
			if err := pin(0, cpu); err != nil {
				started <- err
				return
			}
			defer func() { _ = unix.SchedSetaffinity(0, &before) }()
		}
		started <- cmd.Start()
	}
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s (%s): %w", name, argv[0], err)
	}
	p.PID = cmd.Process.Pid
	// A session has a share of its core of its own (sched(7), autogroup), and this
	// one gets more of it than the machine's others, so that a stray process does
	// not take ticks from what is measured. Where that is not known or not allowed,
	// nothing happens.
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/autogroup", p.PID), []byte("-15"), 0)
	go func() {
		p.err = cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

func pin(tid, cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(tid, &set); err != nil {
		return fmt.Errorf("pin to core %d: %w", cpu, err)
	}
	return nil
}

// PinSelf moves every thread of this process to one core; threads made later
// inherit it. The returned function undoes it.
func PinSelf(cpu int) (undo func(), err error) {
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return nil, fmt.Errorf("read the affinity: %w", err)
	}
	var set unix.CPUSet
	set.Set(cpu)
	if err := setAll(&set); err != nil {
		return nil, fmt.Errorf("pin to core %d: %w", cpu, err)
	}
	return func() { _ = setAll(&before) }, nil
}

func setAll(set *unix.CPUSet) error {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range tasks {
		var tid int
		if _, err := fmt.Sscan(t.Name(), &tid); err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(tid, set); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}

// CPUs are the cores that this process may use.
func CPUs() []int {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return nil
	}
	var cpus []int
	for i := range 1024 {
		if set.IsSet(i) {
			cpus = append(cpus, i)
		}
	}
	return cpus
}

// Exited is closed when the program has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Err is how it ended, valid after Exited.
func (p *Process) Err() error {
	if p.err == nil {
		return errors.New("exit status 0")
	}
	return p.err
}

// Signal sends sig to the program itself.
func (p *Process) Signal(sig syscall.Signal) error { return p.cmd.Process.Signal(sig) }

// Stop asks the program to end, waits up to grace, and then ends its whole group.
// It returns when the program is gone.
func (p *Process) Stop(grace time.Duration) {
	p.once.Do(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		ctx, cancel := context.WithTimeout(context.Background(), grace)
		defer cancel()
		select {
		case <-p.exited:
		case <-ctx.Done():
		}
		// The process group is the session that was made for it: workers that outlive
		// their master are ended too.
		_ = syscall.Kill(-p.PID, syscall.SIGKILL)
		<-p.exited
	})
}

// RaiseFiles raises the limit of open files for this process and its children to
// n, or as far as is allowed, and returns what it is then.
func RaiseFiles(n uint64) (uint64, error) {
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err != nil {
		return 0, err
	}
	want := syscall.Rlimit{Cur: max(n, lim.Cur), Max: max(n, lim.Max)}
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &want) != nil {
		want = syscall.Rlimit{Cur: lim.Max, Max: lim.Max}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &want); err != nil {
			return lim.Cur, fmt.Errorf("raise the limit of open files: %w", err)
		}
	}
	return want.Cur, nil
}
