package jetstream

import (
	"bytes"
	"net"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"edgerouter/bus"
	"edgerouter/bus/bustest"
	"edgerouter/metrics"
)

// lockedBuffer is where a test's log goes; servers write from many goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start runs a bus until the test ends.
func start(t testing.TB, o Options) (*Bus, *lockedBuffer) {
	t.Helper()
	out := &lockedBuffer{}
	if o.Node == "" {
		o.Node = "test"
	}
	o.Metrics, o.Logger = metrics.NewSet(), zerolog.New(out).Level(zerolog.InfoLevel)
	b, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.Close()
		if t.Failed() {
			t.Logf("log of %s:\n%s", o.Node, out.String())
		}
	})
	return b, out
}

func freeAddr(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// shared is a bus under test that several handles use.
type shared struct{ *Bus }

func (shared) Close() error { return nil }

func TestEmbeddedContract(t *testing.T) {
	folder := t.TempDir()
	b, _ := start(t, Options{Embedded: Embedded{Folder: folder}})
	bustest.Run(t, bustest.Bed{
		Open: func(t *testing.T) bus.Log {
			if t.Name() == "TestEmbeddedContract/closed" {
				other, _ := start(t, Options{Embedded: Embedded{Folder: t.TempDir()}})
				return other
			}
			return shared{b}
		},
		Interrupt: func(t *testing.T) { stopServer(b.current.Load().srv) },
		Large:     500,
	})
}
