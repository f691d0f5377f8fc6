package eventhorizon

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/bus"
	"edgerouter/bus/bustest"
	"edgerouter/internal/dynamotest"
	"edgerouter/internal/testkit"
	"edgerouter/metrics"
)

// readFaults is a proxy before dynalite that refuses queries while refuse is set.
type readFaults struct {
	to      http.Handler
	refuse  atomic.Pointer[func(http.ResponseWriter, *http.Request, http.Handler)]
	refused atomic.Int64
}

func (f *readFaults) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if refuse := f.refuse.Load(); refuse != nil && strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".Query") {
		w.Header().Set("X-Amzn-Requestid", fmt.Sprintf("REQUEST%d", f.refused.Add(1)))
		(*refuse)(w, r, f.to)
		return
	}
	f.to.ServeHTTP(w, r)
}

// applied is a state that is the list of what was applied.
type applied struct {
	mu  sync.Mutex
	all []string
}

func (a *applied) Restore([]byte) error      { return nil }
func (a *applied) Snapshot() ([]byte, error) { return nil, nil }
func (a *applied) Apply(e bus.Entry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, e.Events...)
}

func (a *applied) list() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.all)
}

// reset ends a connection without an answer to a whole request: during one, the
// client has several words for it.
func reset(w http.ResponseWriter, r *http.Request, _ http.Handler) {
	io.Copy(io.Discard, r.Body)
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
}

// A follower that DynamoDB refuses keeps what it has, says why once, and goes on
// with what was appended meanwhile, each event once.
func TestReadFaults(t *testing.T) {
	endpoint := dynamotest.Start(t)
	for name, c := range map[string]struct {
		refuse func(http.ResponseWriter, *http.Request, http.Handler)
		says   string
	}{
		"throttled":           {apiError(400, "ProvisionedThroughputExceededException"), "capacity is used up"},
		"broken":              {apiError(500, "InternalServerError"), "InternalServerError"},
		"without-a-body":      {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(503) }, "503"},
		"expired-credentials": {apiError(400, "ExpiredTokenException"), "EVENTHORIZON"},
		"reset":               {reset, table},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // each waits for the client's own attempts
			readFault(t, endpoint, "/t-1/"+name, c.refuse, c.says)
		})
	}
}

func readFault(t *testing.T, endpoint, stream string, refuse func(http.ResponseWriter, *http.Request, http.Handler), says string) {
	target, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	f := &readFaults{to: httputil.NewSingleHostReverseProxy(target)}
	front := httptest.NewServer(f)
	t.Cleanup(front.Close)
	// The others' table is never in trouble.
	writer := New(Options{Client: dynamotest.Client(endpoint), Table: table})
	var want []string
	add := func() {
		t.Helper()
		want = append(want, bustest.Event(len(want)))
		if _, err := writer.Append(t.Context(), stream, want[len(want)-1]); err != nil {
			t.Fatal(err)
		}
	}
	add()
	add()

	log, got := &testkit.Buffer{}, &applied{}
	follower := bus.NewFollower(bus.FollowerOptions{
		Log:    New(Options{Client: dynamotest.Client(front.URL), Table: table, Poll: 50 * time.Millisecond}),
		Stream: stream, State: got, Changed: func(bus.Cursor) {}, CheckEvery: 100 * time.Millisecond,
		Metrics: metrics.NewSet(), Logger: zerolog.New(log),
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- follower.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(log.String())
		}
	}()
	level := func() bool {
		return follower.Status().State == bus.Following && slices.Equal(got.list(), want)
	}
	until(t, "the follower is level", level)
	had := got.list()

	f.refuse.Store(&refuse)
	until(t, "the follower says so", func() bool { return follower.Status().State == bus.Unreachable })
	add()
	add()
	// It is asked again and again, and told once: three attempts are one question.
	failed := f.refused.Load()
	until(t, "it is tried again", func() bool { return f.refused.Load() > failed+6 })
	if s := follower.Status(); !strings.Contains(s.Error, says) || !strings.Contains(s.Error, stream) {
		t.Errorf("the status is %q and does not say %q", s.Error, says)
	}
	if !slices.Equal(got.list(), had) {
		t.Errorf("the state became %v", got.list())
	}
	f.refuse.Store(nil)
	until(t, "the follower goes on", level)
	// Looking for the end and reading are told in their own words.
	text := log.String()
	if n := strings.Count(text, `"level":"error"`); n < 1 || n > 2 || !strings.Contains(text, says) || !strings.Contains(text, "the last state stays in service") {
		t.Errorf("%d lines of errors", n)
	}
	if strings.Count(text, "is followed again") != 1 {
		t.Error("its end is not told once")
	}
	add()
	until(t, "the follower has all of it once", level)
	if last, err := writer.Last(t.Context(), stream); err != nil || follower.Status().Version != last.Version {
		t.Errorf("the follower is at %d, the log at %v, %v", follower.Status().Version, last, err)
	}
}

// until calls f until it says true.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	over := time.NewTimer(time.Minute)
	defer over.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-over.C:
			t.Fatalf("it did not come to this: %s", what)
		}
	}
}
