package jetstream

import (
	"testing"

	"github.com/rs/zerolog"

	"edgerouter/bus"
	"edgerouter/bus/bustest"
	"edgerouter/internal/testkit"
	"edgerouter/metrics"
)

// start runs a bus until the test ends.
func start(t testing.TB, o Options) (*Bus, *testkit.Buffer) {
	t.Helper()
	out := &testkit.Buffer{}
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
