package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"edgerouter/gateway"
	"edgerouter/metrics"
)

const (
	// beat is the time between two looks at the figures.
	beat = 2 * time.Second
	// keptSamples and keptChanges are what a page that is opened can look back on:
	// five minutes of figures.
	keptSamples = 150
	keptChanges = 100
	// maxTraffic bounds the applications whose figures one beat sends; the others
	// have their turn with the next.
	maxTraffic = 1000
	// rowsPerFrame bounds an event of rows, so that a browser has something to
	// draw before all 10,000 are there.
	rowsPerFrame = 500
	// viewerBuffer is how many frames a viewer may be behind before it is cut off;
	// its browser then connects again and starts from the whole state.
	viewerBuffer = 128
)

// live is what the open pages follow. Whoever looks, looks for all: frames are
// encoded once and handed to every viewer. Without viewers only the sums over
// all applications are kept up.
type live struct {
	admin *Admin

	mu      sync.Mutex
	viewers map[chan []byte]struct{}
	samples []Sample
	changes []LiveChange

	lastAt time.Time
	last   metrics.Counts            // over all applications, at lastAt
	perApp map[string]metrics.Counts // at lastAt; nil: nobody looked
	shown  map[string]Traffic        // what viewers were told; none is zero
	turn   int
	rows   rowSet
	told   []byte // the overview that viewers were told
}

// Sample is a moment of all applications together, for charts. Rates are for a
// second.
type Sample struct {
	At           time.Time `json:"at"`
	Requests     float64   `json:"requests"`
	ClientErrors float64   `json:"client_errors"`
	ServerErrors float64   `json:"server_errors"`
	P50MS        float64   `json:"p50_ms"` // 0 without requests
	P99MS        float64   `json:"p99_ms"`
}

// Traffic is a moment of one application.
type Traffic struct {
	ID       string  `json:"id"`
	Requests float64 `json:"requests"` // a second
	Errors   float64 `json:"errors"`   // 500 and above, a second
	P99MS    float64 `json:"p99_ms"`
}

// LiveHello begins a stream of /api/v1/live.
type LiveHello struct {
	Version string    `json:"version"`
	Now     time.Time `json:"now"`
	// NeedsToken says that the caller has not shown the admin token, so that calls
	// which change something have to.
	NeedsToken bool `json:"needs_token"`
	// History says that there is an event log, with history and rollback.
	History     bool         `json:"history"`
	BeatSeconds float64      `json:"beat_seconds"`
	Samples     []Sample     `json:"samples"`
	Changes     []LiveChange `json:"changes"` // the last ones, oldest first
}

// LiveRows is the event rows: applications that are new or different, and those
// that are gone. The first ones of a stream are all there are.
type LiveRows struct {
	Rows []*Row   `json:"rows"`
	Gone []string `json:"gone,omitempty"`
	// More says that further rows of the same look follow.
	More bool `json:"more,omitempty"`
}

// LiveBeat is the event beat.
type LiveBeat struct {
	Sample  Sample    `json:"sample"`
	Traffic []Traffic `json:"traffic"` // those that are not as they were
}

func newLive(a *Admin) *live {
	return &live{admin: a, viewers: map[chan []byte]struct{}{}, samples: []Sample{}, changes: []LiveChange{}}
}

// Run keeps the figures of the page until ctx ends. Without it there are none,
// and pages see changes only when somebody opens one.
func (a *Admin) Run(ctx context.Context) {
	events, cancel := a.deps.Subscribe()
	defer cancel()
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	a.live.begin(time.Now())
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			a.live.beat(now)
		case e, ok := <-events:
			if !ok {
				return
			}
			a.live.change(e)
		}
	}
}

func (l *live) begin(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.admin.deps.Requests != nil {
		l.last, l.lastAt = l.admin.deps.Requests(nil), now
	}
}

// beat takes a sample and tells viewers what is different.
func (l *live) beat(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	watched := len(l.viewers) > 0
	out := LiveBeat{Sample: Sample{At: now}, Traffic: []Traffic{}}
	if l.admin.deps.Requests != nil {
		out = l.measure(now, watched)
	}
	l.samples = keepLast(append(l.samples, out.Sample), keptSamples)
	if !watched {
		l.rows, l.perApp, l.shown, l.told = rowSet{}, nil, nil, nil
		return
	}
	l.refresh(now)
	l.send("beat", out)
}

// measure reads the counters.
func (l *live) measure(now time.Time, watched bool) LiveBeat {
	seconds := now.Sub(l.lastAt).Seconds()
	out := LiveBeat{Traffic: []Traffic{}}
	var each func(string, *metrics.Counts)
	if watched {
		first := l.perApp == nil
		next := make(map[string]metrics.Counts, len(l.perApp))
		if l.shown == nil {
			l.shown = map[string]Traffic{}
		}
		place := 0
		each = func(id string, c *metrics.Counts) {
			next[id] = *c
			place++
			if first || place <= l.turn || len(out.Traffic) >= maxTraffic {
				return
			}
			before := l.perApp[id]
			since := c.Since(&before)
			t := Traffic{
				ID: id, Requests: round(float64(since.Total()) / seconds), Errors: round(float64(since.ServerErrors) / seconds),
				P99MS: milliseconds(since.Quantile(0.99)),
			}
			if t == l.shown[id] || t == (Traffic{ID: id}) && l.shown[id].ID == "" {
				return
			}
			l.shown[id] = t
			out.Traffic = append(out.Traffic, t)
			if len(out.Traffic) == maxTraffic {
				l.turn = place
			}
		}
		defer func() {
			l.perApp = next
			if len(out.Traffic) < maxTraffic {
				l.turn = 0
			}
		}()
	} else {
		l.turn = 0
	}
	all := l.admin.deps.Requests(each)
	since := all.Since(&l.last)
	l.last, l.lastAt = all, now
	out.Sample = Sample{
		At: now, Requests: round(float64(since.Total()) / seconds), ClientErrors: round(float64(since.ClientErrors) / seconds),
		ServerErrors: round(float64(since.ServerErrors) / seconds),
		P50MS:        milliseconds(since.Quantile(0.5)), P99MS: milliseconds(since.Quantile(0.99)),
	}
	return out
}

// change notes an applied change and tells it.
func (l *live) change(e gateway.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := liveChange(e)
	l.changes = keepLast(append(l.changes, c), keptChanges)
	if len(l.viewers) > 0 {
		l.send("change", c)
		l.refresh(time.Now())
	}
}

// look is the overview now.
func (l *live) look(now time.Time) Overview {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refresh(now)
}

// refresh looks at everything, and tells viewers what is not as they were told.
func (l *live) refresh(now time.Time) Overview {
	s, sources := l.admin.deps.Snapshot(), l.admin.deps.Sources()
	changed, gone, seen := l.rows.look(l.admin, s, sources)
	o := l.admin.overview(s, sources, &seen, now)
	if len(l.viewers) == 0 {
		return o
	}
	for _, frame := range rowFrames(changed, gone) {
		l.sendFrame(frame)
	}
	if told := frame("overview", o); !bytes.Equal(told, l.told) {
		l.told = told
		l.sendFrame(told)
	}
	return o
}

// join makes a viewer. frames are those that come before what the channel has;
// the channel is closed when the viewer is too slow.
func (l *live) join(now time.Time, hello LiveHello) (frames [][]byte, viewer chan []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	viewer = make(chan []byte, viewerBuffer)
	// First, so that the others are told what is new and this one everything.
	o := l.refresh(now)
	hello.Samples, hello.Changes = l.samples, l.changes
	frames = append(frames, frame("hello", hello), frame("overview", o))
	all := make([]*Row, 0, len(l.rows.cells))
	for _, c := range l.rows.cells {
		all = append(all, &c.row)
	}
	frames = append(frames, rowFrames(all, nil)...)
	if len(l.shown) > 0 {
		out := LiveBeat{Traffic: make([]Traffic, 0, len(l.shown))}
		for _, t := range l.shown {
			out.Traffic = append(out.Traffic, t)
		}
		if len(l.samples) > 0 {
			out.Sample = l.samples[len(l.samples)-1]
		}
		frames = append(frames, frame("traffic", out))
	}
	l.viewers[viewer] = struct{}{}
	return frames, viewer
}

func (l *live) leave(viewer chan []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, there := l.viewers[viewer]; there {
		delete(l.viewers, viewer)
		close(viewer)
	}
}

func (l *live) send(name string, v any) { l.sendFrame(frame(name, v)) }

func (l *live) sendFrame(f []byte) {
	for v := range l.viewers {
		select {
		case v <- f:
		default:
			delete(l.viewers, v)
			close(v)
		}
	}
}

func rowFrames(rows []*Row, gone []string) (frames [][]byte) {
	for len(rows) > 0 || len(gone) > 0 || frames == nil && rows != nil {
		n := min(rowsPerFrame, len(rows))
		f := LiveRows{Rows: rows[:n], Gone: gone, More: n < len(rows)}
		frames, rows, gone = append(frames, frame("rows", f)), rows[n:], nil
	}
	return frames
}

// frame is a server-sent event. What is encoded here always can be.
func frame(name string, v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		data = []byte("{}")
	}
	return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", name, data)
}

// LiveChange is the event change: an applied change.
type LiveChange struct {
	Generation uint64              `json:"generation"`
	At         time.Time           `json:"at"`
	Changes    []gateway.AppChange `json:"changes"`
	More       int                 `json:"more,omitempty"` // changes that are not listed
	// Conflicts and Problems are those that are new, in a line each.
	Conflicts []string `json:"conflicts,omitempty"`
	Problems  []string `json:"problems,omitempty"`
	Missed    int      `json:"missed,omitempty"` // events before this one that were lost
}

// What is told of one change; the log has the rest.
const (
	maxListed  = 50
	maxDetails = 30
)

// liveChange shortens an event.
func liveChange(e gateway.Event) LiveChange {
	c := LiveChange{Generation: e.Generation, At: e.At, Changes: []gateway.AppChange{}, Missed: e.Missed}
	for _, ch := range e.Changes[:min(len(e.Changes), maxListed)] {
		if more := len(ch.Details) - maxDetails; more > 0 {
			ch.Details = append(ch.Details[:maxDetails:maxDetails], fmt.Sprintf("and %d more", more))
		}
		c.Changes = append(c.Changes, ch)
	}
	c.More = len(e.Changes) - len(c.Changes)
	for _, x := range e.Conflicts[:min(len(e.Conflicts), maxListed)] {
		c.Conflicts = append(c.Conflicts, x.App+" "+conflictText(x))
	}
	for _, p := range e.Problems[:min(len(e.Problems), maxListed)] {
		c.Problems = append(c.Problems, p.Error())
	}
	return c
}

func keepLast[T any](l []T, n int) []T {
	if len(l) > n {
		return append(l[:0:0], l[len(l)-n:]...)
	}
	return l
}
