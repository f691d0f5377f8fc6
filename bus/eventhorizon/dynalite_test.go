package eventhorizon

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"edgerouter/bus"
	"edgerouter/bus/bustest"
	"edgerouter/discovery/stream"
	"edgerouter/internal/dynamotest"
)

const table = dynamotest.Table

func TestContract(t *testing.T) {
	endpoint := dynamotest.Start(t)
	bustest.Run(t, bustest.Bed{
		Open: func(*testing.T) bus.Log {
			return New(Options{Client: dynamotest.Client(endpoint), Table: table, Poll: 50 * time.Millisecond})
		},
		Large: 300,
	})
}

func testItems(t *testing.T) []dynamotest.Item { return dynamotest.Items(t, "testdata/items.json") }

// A table of EventHorizon is read as it is, and what is appended has its form.
func TestSideBySide(t *testing.T) {
	endpoint := dynamotest.Start(t)
	db := dynamotest.Client(endpoint)
	items := testItems(t)
	dynamotest.Load(t, db, items)
	l := New(Options{Client: db, Table: table})
	ctx := t.Context()
	for _, stream := range []string{"/t-1/certbus", "/t-1/loadbalancer", "/t-1"} {
		entries, err := l.Read(ctx, bus.Start(stream), 1000)
		if err != nil {
			t.Fatal(err)
		}
		i := 0
		for _, want := range items {
			if want.S != stream {
				continue
			}
			got := entries[i]
			meta := ""
			if want.Meta != nil {
				meta = *want.Meta
			}
			if got.Version != want.V || got.Meta != meta || !slices.Equal(got.Events, want.E) {
				t.Errorf("%s %d: %+v, want %+v", stream, i, got, want)
			}
			for _, line := range got.Lines() {
				if e, err := bus.ParseEvent(line); err != nil || e.Line() != line {
					t.Errorf("%s: %v", line, err)
				}
			}
			i++
		}
		if i != len(entries) {
			t.Errorf("%s has %d entries, want %d", stream, len(entries), i)
		}
	}

	var state stream.State
	entries, err := l.Read(ctx, bus.Start("/t-1/loadbalancer"), 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		state.Apply(e)
	}
	var apps []string
	for _, a := range state.Apps() {
		apps = append(apps, a.ID+" "+strings.Join(a.Backend.PeerSet.Addrs, " "))
	}
	if want := []string{"example.com http://127.0.0.1:9103", "example.com-api http://127.0.0.1:9102"}; !slices.Equal(apps, want) {
		t.Errorf("the applications are %v, want %v", apps, want)
	}

	last, err := l.Last(ctx, "/t-1/loadbalancer")
	if err != nil {
		t.Fatal(err)
	}
	event, err := bus.NewEvent(time.Now(), "AppDeleted", map[string]string{"Id": "example.com"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.AppendAfter(ctx, last, event.Line()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(ctx, "/t-1/new", event.Line()); err != nil {
		t.Fatal(err)
	}
	out, err := db.Scan(ctx, &dynamodb.ScanInput{TableName: aws.String(table)})
	if err != nil {
		t.Fatal(err)
	}
	if out.Count != int32(len(items)+4) { // the event; the new stream's two; its parent's one
		t.Errorf("%d items, want %d", out.Count, len(items)+4)
	}
	for _, item := range out.Items {
		names := []string{}
		for name := range item {
			names = append(names, name)
		}
		slices.Sort(names)
		if !slices.Equal(names, []string{"e", "meta_event", "s", "v"}) {
			t.Errorf("an item has the attributes %v", names)
		}
		if _, err := fromItem(item); err != nil {
			t.Error(err)
		}
	}
	parent, err := l.Read(ctx, bus.Cursor{Stream: "/t-1", Version: 2}, 10)
	if err != nil || len(parent) != 1 || !strings.HasSuffix(parent[0].Meta, `ChildStreamCreated    {"Stream":"/t-1/new"}`) {
		t.Errorf("the parent of a new stream has %+v, %v", parent, err)
	}
}

// faults is a proxy before dynalite that answers as a DynamoDB in trouble does.
type faults struct {
	mu   sync.Mutex
	plan []func(http.ResponseWriter, *http.Request, http.Handler) // for the next puts
	to   http.Handler
}

func (f *faults) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".PutItem") {
		f.to.ServeHTTP(w, r)
		return
	}
	f.mu.Lock()
	var fault func(http.ResponseWriter, *http.Request, http.Handler)
	if len(f.plan) > 0 {
		fault, f.plan = f.plan[0], f.plan[1:]
	}
	f.mu.Unlock()
	if fault == nil {
		f.to.ServeHTTP(w, r)
		return
	}
	fault(w, r, f.to)
}

func apiError(code int, name string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(code)
		w.Write([]byte(`{"__type":"com.amazonaws.dynamodb.v20120810#` + name + `","message":"of the test"}`))
	}
}

// lostAnswer lets the put happen and answers with an error.
func lostAnswer(w http.ResponseWriter, r *http.Request, to http.Handler) {
	to.ServeHTTP(&nowhere{header: http.Header{}}, r)
	apiError(500, "InternalServerError")(w, r, to)
}

type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (n *nowhere) WriteHeader(int)             {}

func TestFaults(t *testing.T) {
	target, _ := url.Parse(dynamotest.Start(t))
	f := &faults{to: httputil.NewSingleHostReverseProxy(target)}
	srv := &http.Server{Handler: f}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	l := New(Options{Client: dynamotest.Client("http://" + ln.Addr().String()), Table: table})
	const stream = "/t-1/faults"
	at, err := l.Append(t.Context(), stream, bustest.Event(0))
	if err != nil {
		t.Fatal(err)
	}
	throttle, broken := apiError(400, "ProvisionedThroughputExceededException"), apiError(500, "InternalServerError")
	type plan = []func(http.ResponseWriter, *http.Request, http.Handler)
	for _, c := range []struct {
		name   string
		plan   plan
		err    error // nil: it works
		unsure bool
		says   string
	}{
		{"throttled twice", plan{throttle, throttle}, nil, false, ""},
		{"throttled", plan{throttle, throttle, throttle, throttle}, bus.ErrUnavailable, false, "capacity"},
		{"500 twice", plan{broken, broken}, nil, false, ""},
		{"500", plan{broken, broken, broken, broken}, bus.ErrUnavailable, true, ""},
		{"the answer is lost", plan{lostAnswer}, nil, false, ""},
		{"expired credentials", plan{apiError(400, "ExpiredTokenException")}, bus.ErrUnavailable, false, "EVENTHORIZON"},
		{"no such table", plan{apiError(400, "ResourceNotFoundException")}, bus.ErrUnavailable, false, table},
	} {
		f.plan = c.plan
		next, err := l.AppendAfter(t.Context(), at, bustest.Event(int(at.Version)))
		f.plan = nil
		if c.err == nil {
			if err != nil || next.Version != at.Version+1 {
				t.Errorf("%s: %v, %v", c.name, next, err)
			}
			at.Version++
		} else if !errors.Is(err, c.err) || errors.Is(err, bus.ErrUnacknowledged) != c.unsure || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
		entries, err := l.Read(context.Background(), bus.Start(stream), 100)
		if err != nil || len(entries) != int(at.Version)+1 {
			t.Errorf("%s: %d entries, want %d, %v", c.name, len(entries), at.Version+1, err)
		}
	}
	// Another writer took the version while our answer was lost: that is a conflict.
	f.plan = plan{func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		other := New(Options{Client: dynamotest.Client(target.String()), Table: table})
		if _, err := other.Append(context.Background(), stream, bustest.Event(12345)); err != nil {
			t.Error(err)
		}
		broken(w, r, nil)
	}}
	if _, err := l.AppendAfter(t.Context(), at, bustest.Event(1)); !errors.Is(err, bus.ErrConflict) {
		t.Errorf("a version that another writer took: %v", err)
	}
}
