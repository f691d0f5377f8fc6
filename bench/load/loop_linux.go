package load

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// handler is a file descriptor's owner. ready runs on the loop's goroutine.
type handler interface {
	ready(events uint32)
}

// ticker is something with a clock: due is the next moment (Loop time) at which
// tick wants to run.
type ticker interface {
	due() int64
	tick(now int64)
}

const (
	edge     = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET
	maxBatch = 256
	never    = int64(1) << 62
)

// Loop is an edge-triggered epoll loop on one goroutine. It owns every
// connection of the generators and origins that were added to it.
type Loop struct {
	epfd, wakefd int
	base         time.Time
	handlers     []handler // by file descriptor
	generation   []int32   // by file descriptor; tells a stale event from one of its successor
	tickers      []ticker
	spinning     int // runs that want the loop awake

	mu    sync.Mutex
	queue []func()
	stop  bool

	done chan struct{}
	err  error // why the loop ended by itself; read after done
	tid  int
}

// ErrLoopEnded is returned by Run when the loop was closed or ended under it.
var ErrLoopEnded = errors.New("the load's loop has ended")

func (l *Loop) ended() error {
	<-l.done
	if l.err != nil {
		return fmt.Errorf("%w: %w", ErrLoopEnded, l.err)
	}
	return ErrLoopEnded
}

// NewLoop starts a loop. Close stops it and closes what it owns.
func NewLoop() (*Loop, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make an epoll instance: %w", err)
	}
	wakefd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(epfd)
		return nil, fmt.Errorf("make an eventfd: %w", err)
	}
	l := &Loop{epfd: epfd, wakefd: wakefd, base: time.Now(), done: make(chan struct{})}
	if err := l.add(wakefd, nil, unix.EPOLLIN); err != nil {
		unix.Close(epfd)
		unix.Close(wakefd)
		return nil, err
	}
	started := make(chan struct{})
	go l.run(started)
	<-started
	return l, nil
}

// Close ends the loop and closes every connection in it.
func (l *Loop) Close() {
	l.mu.Lock()
	stopped := l.stop
	l.stop = true
	l.mu.Unlock()
	if !stopped {
		l.wake()
	}
	<-l.done
}

// ThreadID is the kernel's id of the thread that the loop runs on, for its CPU clock.
func (l *Loop) ThreadID() int { return l.tid }

// do runs f on the loop's goroutine and waits for it; false when the loop is closed.
func (l *Loop) do(f func()) bool {
	ran := make(chan struct{})
	l.mu.Lock()
	if l.stop {
		l.mu.Unlock()
		return false
	}
	l.queue = append(l.queue, func() { f(); close(ran) })
	l.mu.Unlock()
	l.wake()
	select {
	case <-ran:
		return true
	case <-l.done:
		return false
	}
}

func (l *Loop) wake() {
	one := [8]byte{1}
	_, _ = unix.Write(l.wakefd, one[:])
}

// now is nanoseconds since the loop began.
func (l *Loop) now() int64 { return int64(time.Since(l.base)) }

func (l *Loop) add(fd int, h handler, events uint32) error {
	for fd >= len(l.handlers) {
		l.handlers = append(l.handlers, make([]handler, fd+64-len(l.handlers))...)
		l.generation = append(l.generation, make([]int32, len(l.handlers)-len(l.generation))...)
	}
	l.generation[fd]++
	l.handlers[fd] = h
	ev := unix.EpollEvent{Events: events, Fd: int32(fd), Pad: l.generation[fd]}
	if err := unix.EpollCtl(l.epfd, unix.EPOLL_CTL_ADD, fd, &ev); err != nil {
		l.handlers[fd] = nil
		return fmt.Errorf("watch a connection: %w", err)
	}
	return nil
}

// closeFD closes a descriptor that was added; closing takes it out of epoll.
func (l *Loop) closeFD(fd int) {
	l.handlers[fd] = nil
	l.generation[fd]++
	_, _, _ = unix.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
}

func (l *Loop) addTicker(t ticker) { l.tickers = append(l.tickers, t) }

func (l *Loop) removeTicker(t ticker) {
	for i, have := range l.tickers {
		if have == t {
			l.tickers = append(l.tickers[:i:i], l.tickers[i+1:]...)
			return
		}
	}
}

func (l *Loop) run(started chan<- struct{}) {
	// The thread has a clock of its own this way, which is how the load core's
	// use is measured.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l.tid = unix.Gettid()
	// Constant rates need wake-ups finer than the default slack of 50 us.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	// Other threads on the core, such as our own runtime's, would add their time
	// slice to a latency. Without the right to it the default stays.
	_ = unix.Setpriority(unix.PRIO_PROCESS, l.tid, -15)
	close(started)
	defer l.shut()
	events := make([]unix.EpollEvent, maxBatch)
	for {
		n, err := l.wait(events)
		if err != nil {
			l.err = fmt.Errorf("wait for events: %w", err)
			return
		}
		woken := false
		for i := range events[:n] {
			ev := &events[i]
			fd := int(ev.Fd)
			if fd == l.wakefd {
				woken = true
				continue
			}
			if h := l.handlers[fd]; h != nil && l.generation[fd] == ev.Pad {
				h.ready(ev.Events)
			}
		}
		if len(l.tickers) > 0 {
			now := l.now()
			for i := 0; i < len(l.tickers); i++ {
				if t := l.tickers[i]; t.due() <= now {
					t.tick(now)
				}
			}
		}
		if woken && !l.runQueue() {
			return
		}
	}
}

// runQueue runs what do() brought; false when the loop is to end.
func (l *Loop) runQueue() bool {
	var count [8]byte
	_, _ = unix.Read(l.wakefd, count[:])
	l.mu.Lock()
	queue, stop := l.queue, l.stop
	l.queue = nil
	l.mu.Unlock()
	for _, f := range queue {
		f()
	}
	return !stop
}

// timespec64 is what epoll_pwait2 takes on every architecture (struct
// __kernel_timespec); unix.Timespec is half as large on 32-bit ones.
type timespec64 struct{ sec, nsec int64 }

func (l *Loop) wait(events []unix.EpollEvent) (int, error) {
	// A raw call that cannot block first: under load there is nearly always
	// something, and the scheduler need not hear of it.
	// epoll_pwait without a mask is epoll_wait, which newer architectures (arm64,
	// riscv64) do not have.
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.epfd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	if errno == 0 && (n > 0 || l.spinning > 0) {
		return int(n), nil
	}
	var ts *timespec64
	if len(l.tickers) > 0 {
		next := never
		for _, t := range l.tickers {
			next = min(next, t.due())
		}
		if next < never {
			left := next - l.now()
			if left <= 0 {
				return 0, nil
			}
			ts = &timespec64{left / 1e9, left % 1e9}
		}
	}
	for {
		n, _, errno = unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(l.epfd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(unsafe.Pointer(ts)), 0, 0)
		switch {
		case errno == 0:
			return int(n), nil
		case errno == unix.EINTR:
			return 0, nil
		case errno == unix.ENOSYS:
			return 0, errors.New("epoll_pwait2 is missing: Linux 5.11 or later is needed")
		default:
			return 0, errno
		}
	}
}

func (l *Loop) shut() {
	for fd, h := range l.handlers {
		if h != nil {
			unix.Close(fd)
		}
	}
	unix.Close(l.wakefd)
	unix.Close(l.epfd)
	close(l.done)
}
