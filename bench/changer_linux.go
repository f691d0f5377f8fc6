package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"edgerouter/bench/load"
	"edgerouter/bench/peer"
)

const (
	changeEvery = time.Second / 10
	probeEvery  = 2 * time.Millisecond
	// changeLimit is how long one change may take before it counts as not applied.
	changeLimit = 5 * time.Second
)

// changer asks a host what is in service, every 2 ms, and changes that now and then
// or not. It asks in both cases, and writes as many files: both are work of the
// load's core, and with PREEMPT_NONE nothing else runs there meanwhile. The proxy's
// work is so the only difference.
type changer struct {
	bed     *bed
	applied *hdrhistogram.Histogram // nanoseconds from the rename to the first answer that shows the change
	path    string
	unread  string // a file that no proxy reads or watches
	every   time.Duration
	first   time.Duration // until the first change of a window
	request load.Request  // whose answer tells what is in service
	next    func() (change, error)
	last    change

	conn net.Conn
	in   *bufio.Reader
}

// change is the content of the file, and the answer once it is in service.
type change struct {
	content []byte
	answer  string
}

// newChanger makes a changer of one of a proxy's files.
func newChanger(b *bed, name string) (*changer, error) {
	c := &changer{bed: b, applied: load.NewHistogram(), path: filepath.Join(b.job.Dir, name), unread: filepath.Join(b.job.Dir, "unread", filepath.Base(name))}
	if err := os.MkdirAll(filepath.Dir(c.unread), 0o755); err != nil {
		return nil, fmt.Errorf("make a folder for what no proxy reads: %w", err)
	}
	return c, nil
}

// newReloader makes the changer of the probe's peer, ten times a second. It makes
// both versions of the file beforehand: making them costs as much as a proxy needs
// to read them, and the load needs the core.
func newReloader(b *bed) (*changer, error) {
	name := peer.ProbeFile(b.job)
	if b.proxy.Name() == "nginx" {
		name = "nginx.conf"
	}
	c, err := newChanger(b, name)
	if err != nil {
		return nil, err
	}
	var versions [2]change
	for i := range versions {
		job := b.job
		job.Probe = i
		plan, err := b.proxy.Plan(job)
		if err != nil {
			return nil, err
		}
		versions[i] = change{plan.Files[name], strconv.Itoa(int(b.job.Origins[i].Port()))}
	}
	c.every, c.first, c.request = changeEvery, changeEvery, load.NewRequest("GET", peer.ProbeHost, "/who", 0)
	c.last = versions[b.job.Probe]
	c.next = func() (change, error) {
		b.job.Probe = 1 - b.job.Probe
		return versions[b.job.Probe], nil
	}
	return c, nil
}

// during probes, and makes changes if told to, while f runs.
func (c *changer) during(ctx context.Context, changing bool, f func() (*tally, error)) (*tally, error) {
	inner, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- c.run(inner, changing) }()
	t, err := f()
	stop()
	if failed := <-done; err == nil {
		err = failed
	}
	return t, err
}

func (c *changer) run(ctx context.Context, changing bool) error {
	defer c.hangUp()
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	var began time.Time // of the change that is under way; zero: none is
	next := time.Now().Add(c.first)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if began.IsZero() && !time.Now().Before(next) {
			next = next.Add(c.every)
			edit := c.editUnread
			if changing {
				began, edit = time.Now(), c.change
			}
			if err := edit(); err != nil {
				return fmt.Errorf("change the configuration of %s: %w", c.bed.proxy.Name(), err)
			}
		}
		who, err := c.ask(ctx)
		if began.IsZero() {
			continue
		}
		took := time.Since(began)
		switch {
		case err == nil && who == c.last.answer:
			_ = c.applied.RecordValue(int64(took))
			began = time.Time{}
		case took > changeLimit:
			return fmt.Errorf("a change of %s was not in service after %s: the answer is %q instead of %q (%v)", c.bed.proxy.Name(), changeLimit, who, c.last.answer, err)
		}
	}
}

// change makes the next change.
func (c *changer) change() (err error) {
	if c.last, err = c.next(); err != nil {
		return err
	}
	if err := replaceFile(c.path, c.last.content); err != nil {
		return err
	}
	if c.bed.proxy.Name() == "nginx" {
		return c.bed.process.Signal(syscall.SIGHUP) // what nginx -s reload sends
	}
	return nil
}

// editUnread writes what a change would, where it changes nothing.
func (c *changer) editUnread() error { return replaceFile(c.unread, c.last.content) }

func replaceFile(path string, content []byte) error {
	if err := os.WriteFile(path+".new", content, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// ask sends the probe's request on a kept connection, and on a new one when that
// was closed.
func (c *changer) ask(ctx context.Context) (string, error) {
	if c.conn == nil {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", c.bed.job.HTTP.String())
		if err != nil {
			return "", err
		}
		c.conn, c.in = conn, bufio.NewReader(conn)
	}
	_ = c.conn.SetDeadline(time.Now().Add(changeLimit))
	who, err := c.exchange()
	if err != nil {
		c.hangUp()
	}
	return who, err
}

func (c *changer) exchange() (string, error) {
	if _, err := c.conn.Write(c.request.Head); err != nil {
		return "", err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err == nil && (resp.StatusCode != http.StatusOK || resp.Close) {
		err = fmt.Errorf("status %d", resp.StatusCode)
	}
	return string(body), err
}

func (c *changer) hangUp() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}
