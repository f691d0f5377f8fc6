package load

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// generator is one run: its connections, its clock, its counts. Everything in it
// belongs to the loop's goroutine once it has been started.
type generator struct {
	loop   *Loop
	cfg    Config
	dialer *dialer
	conns  []*clientConn
	next   int // request to send
	from   int // source address to use

	// idle are connections that wait for a due request (constant rate), the
	// longest idle first.
	idle     []*clientConn
	idleHead int
	sent     int64 // requests sent since begin: the number of the next one
	interval float64

	begin, windowFrom, windowTo int64
	sweepAt                     int64
	measuring                   bool
	res                         Result
	finished                    chan struct{}
	over                        bool
	filling                     []byte
}

// Run makes the load and returns what it brought. An error means that the run
// could not be made at all; what went wrong with requests is in the Result. When
// ctx ends, the run ends early with ctx's error.
func Run(ctx context.Context, l *Loop, cfg Config) (*Result, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	g := &generator{loop: l, cfg: cfg, finished: make(chan struct{}), sweepAt: never}
	g.dialer = newDialer(cfg.Target)
	g.filling = pattern(chunkBody)
	g.res.Latency = NewHistogram()
	if cfg.Rate > 0 {
		g.interval = 1e9 / cfg.Rate
	}
	if err := g.connectAll(ctx); err != nil {
		g.abandon()
		return nil, err
	}
	if !l.do(g.start) {
		g.abandon()
		return nil, l.ended()
	}
	var err error
	select {
	case <-g.finished:
	case <-ctx.Done():
		err = ctx.Err()
	case <-l.done:
		return nil, l.ended()
	}
	if err != nil {
		l.do(g.end)
		return nil, err
	}
	return &g.res, nil
}

func (g *generator) sourceAddr() netip.Addr {
	if len(g.cfg.From) == 0 {
		return netip.Addr{}
	}
	g.from++
	return g.cfg.From[g.from%len(g.cfg.From)]
}

// connectAll opens the connections of a keep-alive run before its clock starts.
// Handshakes are made one by one, blocking: they are not what is measured.
func (g *generator) connectAll(ctx context.Context) error {
	for range g.cfg.Connections {
		c := &clientConn{g: g, fd: -1, buf: make([]byte, clientBuf)}
		g.conns = append(g.conns, c)
		if g.cfg.Churn {
			continue
		}
		if err := c.open(ctx); err != nil {
			return fmt.Errorf("connect to %s: %w", g.cfg.Target, err)
		}
	}
	return nil
}

func (g *generator) abandon() {
	for _, c := range g.conns {
		if c.fd >= 0 {
			unix.Close(c.fd)
		}
	}
}

// start puts the connections into the loop and sends the first requests.
func (g *generator) start() {
	g.begin = g.loop.now()
	g.windowFrom = g.begin + int64(g.cfg.Warmup)
	g.windowTo = g.windowFrom + int64(g.cfg.Duration)
	g.sweepAt = g.begin + int64(time.Second)
	g.loop.addTicker(g)
	if g.cfg.Spin {
		g.loop.spinning++
	}
	if g.cfg.Warmup == 0 {
		g.openWindow(g.begin)
	}
	for _, c := range g.conns {
		if c.fd >= 0 {
			if err := g.loop.add(c.fd, c, edge); err != nil {
				g.fail(c, ErrConnect, err)
				continue
			}
		}
		if g.cfg.Rate > 0 {
			g.idle = append(g.idle, c)
			continue
		}
		c.send(g.loop.now())
	}
	if g.cfg.Rate > 0 {
		g.sendDue(g.loop.now())
	}
}

// due is when the generator next wants to be called.
func (g *generator) due() int64 {
	next := min(g.windowTo, g.sweepAt)
	if !g.measuring {
		next = min(next, g.windowFrom)
	}
	if g.cfg.Rate > 0 && g.idleHead < len(g.idle) && !g.held() {
		next = min(next, g.dueAt(g.sent))
	}
	return next
}

// held tells that all that was to be sent has been.
func (g *generator) held() bool { return g.cfg.Hold && g.sent >= g.cfg.MaxRequests }

func (g *generator) dueAt(n int64) int64 { return g.begin + int64(float64(n)*g.interval) }

func (g *generator) tick(now int64) {
	if !g.measuring && now >= g.windowFrom {
		g.openWindow(now)
	}
	if now >= g.windowTo {
		g.finish(now)
		return
	}
	if g.cfg.Rate > 0 {
		g.sendDue(now)
	}
	if now >= g.sweepAt {
		g.sweepAt = now + int64(time.Second)
		g.sweep(now)
	}
}

func (g *generator) openWindow(now int64) {
	g.measuring = true
	g.windowFrom = now
	// When the machine was late to open the window, it does not get shorter.
	g.windowTo = now + int64(g.cfg.Duration)
	h := g.res.Latency
	h.Reset()
	early := g.res.Errors // what went wrong in the warm-up went wrong as well
	first := g.res.FirstError
	g.res = Result{Latency: h, Errors: early, FirstError: first}
	if g.cfg.OnStart != nil {
		g.cfg.OnStart()
	}
}

// sendDue sends what the constant rate wants sent by now, as far as there are
// idle connections. What has to wait keeps its place: its latency counts from
// the moment it was due.
func (g *generator) sendDue(now int64) {
	for g.idleHead < len(g.idle) {
		at := g.dueAt(g.sent)
		if at > now || at >= g.windowTo || g.held() {
			return
		}
		c := g.idle[g.idleHead]
		g.idleHead++
		if g.idleHead == len(g.idle) {
			g.idle, g.idleHead = g.idle[:0], 0
		}
		g.sent++
		c.send(at)
	}
}

// settled is called when a connection has nothing to do any more.
func (g *generator) settled(c *clientConn, now int64) {
	if g.over {
		return
	}
	if g.cfg.Rate == 0 {
		c.send(now)
		return
	}
	if g.idleHead > 4096 && g.idleHead*2 > len(g.idle) {
		g.idle = g.idle[:copy(g.idle, g.idle[g.idleHead:])]
		g.idleHead = 0
	}
	g.idle = append(g.idle, c)
	g.sendDue(now)
}

func (g *generator) answered(c *clientConn, now int64) {
	if g.measuring {
		g.res.Requests++
		record(g.res.Latency, now-c.since)
		g.limit(now)
	}
}

// limit ends the run at the next tick when there have been enough requests, failed
// ones included.
func (g *generator) limit(now int64) {
	if g.cfg.MaxRequests > 0 && !g.cfg.Hold && g.res.Requests+g.res.Errors.Total() >= g.cfg.MaxRequests {
		g.windowTo = min(g.windowTo, now)
	}
}

// fail counts an error and closes the connection.
func (g *generator) fail(c *clientConn, kind ErrorKind, cause error) {
	if !g.over {
		g.count(kind, cause)
		if g.measuring && c.busy && g.cfg.Rate > 0 {
			record(g.res.Latency, g.loop.now()-c.since)
		}
	}
	c.shut()
}

func (g *generator) count(kind ErrorKind, cause error) {
	g.res.Errors[kind]++
	if g.res.FirstError == "" {
		g.res.FirstError = fmt.Sprintf("%s: %v", kind, cause)
	}
	if g.measuring {
		g.limit(g.loop.now())
	}
}

// sweep ends requests that take too long, and puts connections that failed to work again.
func (g *generator) sweep(now int64) {
	for _, c := range g.conns {
		switch {
		case c.busy && now-c.startedAt > int64(g.cfg.Timeout):
			g.fail(c, ErrTimeout, fmt.Errorf("no whole response within %s", g.cfg.Timeout))
			c.retire()
		case c.leaving && now-c.startedAt > int64(g.cfg.Timeout):
			g.fail(c, ErrTimeout, fmt.Errorf("not closed within %s although the request said Connection: close", g.cfg.Timeout))
			c.retire()
		case c.broken:
			c.broken = false
			g.settled(c, now)
		}
	}
}

func (g *generator) finish(now int64) {
	if g.cfg.OnEnd != nil {
		g.cfg.OnEnd()
	}
	g.res.Duration = time.Duration(now - g.windowFrom)
	// With a connection idle, what became due at the very end was about to be sent.
	if g.cfg.Rate > 0 && g.cfg.MaxRequests == 0 && g.idleHead == len(g.idle) {
		for at := g.dueAt(g.sent); at < g.windowTo; at = g.dueAt(g.sent) {
			if at >= g.windowFrom {
				g.count(ErrUnsent, fmt.Errorf("all %d connections were busy for %s", g.cfg.Connections, time.Duration(now-at)))
				record(g.res.Latency, now-at)
			}
			g.sent++
		}
	}
	// A request still on its way at the end of a window is no error, but with a
	// constant rate what it has waited already belongs in the latencies.
	if g.cfg.Rate > 0 {
		for _, c := range g.conns {
			if c.busy && now-c.since > g.res.Latency.Max() {
				record(g.res.Latency, now-c.since)
			}
		}
	}
	g.end()
}

// end takes everything out of the loop.
func (g *generator) end() {
	if g.over {
		return
	}
	g.over = true
	g.loop.removeTicker(g)
	if g.cfg.Spin {
		g.loop.spinning--
	}
	for _, c := range g.conns {
		c.shut()
	}
	close(g.finished)
}
