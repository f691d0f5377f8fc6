package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/metrics"
)

// fakes builds backends that remember what happened to them.
type fakes struct {
	mu     sync.Mutex
	built  []*fake
	broken map[string]error // by the first address
}

type fake struct {
	id     string
	addr   string
	closed chan struct{}
	once   sync.Once
}

func (f *fake) Handler(bool) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString(f.addr) }
}

func (f *fake) Direct() bool { return true }

func (f *fake) Close() {
	closed := false
	f.once.Do(func() { close(f.closed); closed = true })
	if !closed {
		panic("backend " + f.addr + " is closed twice")
	}
}

func (f *fake) isClosed() bool {
	select {
	case <-f.closed:
		return true
	default:
		return false
	}
}

func (fs *fakes) build(id string, b app.Backend) (Backend, error) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	addr := b.PeerSet.Addrs[0]
	if err := fs.broken[addr]; err != nil {
		return nil, err
	}
	f := &fake{id: id, addr: addr, closed: make(chan struct{})}
	fs.built = append(fs.built, f)
	return f, nil
}

func (fs *fakes) count() int {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return len(fs.built)
}

// logBuffer is a log that can be read while it is written.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.buf.Reset()
	return l.buf.String()
}

type fixture struct {
	*Gateway
	fakes *fakes
	log   *logBuffer
	ms    *metrics.Set
}

func newFixture(t testing.TB) *fixture {
	f := &fixture{fakes: &fakes{broken: map[string]error{}}, log: &logBuffer{}, ms: metrics.NewSet()}
	f.Gateway = New(Options{
		Builders: map[app.BackendKind]Builder{app.BackendPeerSet: f.fakes.build},
		Middlewares: map[app.MiddlewareKind]MiddlewareBuilder{
			app.MiddlewareHeaders: func(_ string, m app.Middleware) (Wrapper, error) {
				if m.Headers.Request["broken"] != "" {
					return nil, errors.New("this header cannot be set")
				}
				return func(next fasthttp.RequestHandler) fasthttp.RequestHandler {
					return func(ctx *fasthttp.RequestCtx) {
						next(ctx)
						ctx.SetBodyString(m.Headers.Request["tag"] + "(" + string(ctx.Response.Body()) + ")")
					}
				}, nil
			},
		},
		Metrics: f.ms, Log: zerolog.New(f.log), Grace: time.Hour,
	})
	t.Cleanup(f.Close)
	return f
}

// metric reads one line of the metrics.
func (f *fixture) metric(name string) string {
	var b bytes.Buffer
	f.ms.WritePrometheus(&b)
	for {
		line, err := b.ReadString('\n')
		if err == io.EOF {
			return ""
		}
		var n, v string
		if _, err := fmt.Sscanf(line, "%s %s", &n, &v); err == nil && n == name {
			return v
		}
	}
}

func peers(id, addr string, hosts ...string) app.Application {
	a := app.Application{ID: id, Backend: app.Backend{Kind: app.BackendPeerSet, PeerSet: &app.PeerSetOpts{Addrs: []string{addr}}}}
	for _, h := range hosts {
		a.Frontends = append(a.Frontends, app.Frontend{Kind: app.FrontendHostname, Hostname: h})
	}
	return a
}

func rule(id, addr, text string) app.Application {
	a := peers(id, addr)
	a.Frontends = []app.Frontend{{Kind: app.FrontendRule, Rule: text}}
	return a
}

func files(apps ...app.Application) []SourceSet { return []SourceSet{{Source: "file", Apps: apps}} }

// ask says what answers a request: the address of the fake, or "" for nothing.
func (f *fixture) ask(host, path string) string {
	e := f.Lookup([]byte(host), []byte(path), nil)
	if e == nil {
		return ""
	}
	var ctx fasthttp.RequestCtx
	e.Handler(&ctx)
	return string(ctx.Response.Body())
}

func (f *fixture) wantAsk(t *testing.T, host, path, want string) {
	t.Helper()
	if got := f.ask(host, path); got != want {
		t.Errorf("%s%s is answered by %q, want %q", host, path, got, want)
	}
}

func (f *fixture) wantState(t *testing.T, id string, want State) *App {
	t.Helper()
	a := f.Snapshot().App(id)
	if a == nil {
		if want != "" {
			t.Fatalf("application %s is not in the snapshot, want state %s", id, want)
		}
		return nil
	}
	if a.State != want {
		t.Errorf("application %s is %s, want %s", id, a.State, want)
	}
	return a
}
