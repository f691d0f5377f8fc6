package jetstream

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	announceEvery = 2 * time.Second
	// maxNodes bounds the table; maxAnnounced what one node may tell.
	maxNodes     = 100
	maxAnnounced = 64 << 10
	// forgottenAfter is when a node that is silent is taken off the table.
	forgottenAfter = time.Hour
)

// Heard is what a node last told of itself.
type Heard struct {
	Node   string
	Status []byte
	At     time.Time // by this node's clock
}

// nodeTable is what nodes tell of themselves, and what the leader tells of the
// copies of the log.
type nodeTable struct {
	mu      sync.Mutex
	heard   map[string]Heard
	streams map[string]streamSeen
}

type streamSeen struct {
	info *jetstream.StreamInfo // nil: there is no such stream yet
	at   time.Time
}

func (t *nodeTable) receive(m *nats.Msg) {
	node := strings.TrimPrefix(m.Subject, nodeSubjects)
	if len(m.Data) > maxAnnounced || len(node) > 128 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for name, h := range t.heard {
		if now.Sub(h.At) > forgottenAfter {
			delete(t.heard, name)
		}
	}
	if t.heard == nil {
		t.heard = map[string]Heard{}
	}
	if _, known := t.heard[node]; known || len(t.heard) < maxNodes {
		t.heard[node] = Heard{Node: node, Status: slices.Clone(m.Data), At: now}
	}
}

func (t *nodeTable) sawStream(stream string, info *jetstream.StreamInfo) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.streams == nil {
		t.streams = map[string]streamSeen{}
	}
	t.streams[stream] = streamSeen{info, time.Now()}
}

// Announce tells the other nodes what status returns, every two seconds and
// whenever now says so, until ctx ends.
func (b *Bus) Announce(ctx context.Context, status func() []byte, now <-chan struct{}) {
	every := time.NewTicker(announceEvery)
	defer every.Stop()
	for {
		if s := b.current.Load(); s != nil {
			// What does not arrive is told again.
			_ = s.nc.Publish(nodeSubjects+b.opts.Node, status())
		}
		select {
		case <-every.C:
		case <-now:
		case <-ctx.Done():
			return
		}
	}
}

// Nodes are the nodes that were heard of, this one among them, by name.
func (b *Bus) Nodes() []Heard {
	b.nodes.mu.Lock()
	defer b.nodes.mu.Unlock()
	out := make([]Heard, 0, len(b.nodes.heard))
	for _, h := range b.nodes.heard {
		out = append(out, h)
	}
	slices.SortFunc(out, func(x, y Heard) int { return cmp.Compare(x.Node, y.Node) })
	return out
}

// Copy is one node's copy of a stream, as the stream's leader sees it.
type Copy struct {
	Node    string `json:"node"`
	Leader  bool   `json:"leader"`
	Current bool   `json:"current"` // it has all entries that are acknowledged
	Offline bool   `json:"offline"`
	Lag     uint64 `json:"lag"` // entries that it lacks
}

// Cluster is what the bus stands on.
type Cluster struct {
	Kind string `json:"kind"` // embedded or nats
	Name string `json:"name,omitempty"`
	// Expected is how many nodes the configuration names; 0: it does not.
	Expected int      `json:"expected,omitempty"`
	Servers  []string `json:"servers,omitempty"`
	// Leader takes the appends; empty: there is none, or no node knows it.
	Leader string `json:"leader,omitempty"`
	// Quorum says that appends are possible, as far as the last answer tells.
	Quorum bool   `json:"quorum"`
	Copies []Copy `json:"copies,omitempty"`
	Error  string `json:"error,omitempty"`
}

// seenFor is how long the leader's answer counts.
const seenFor = 3 * announceEvery

// Cluster tells how the copies of a stream are, from what was last answered; it
// asks nobody.
func (b *Bus) Cluster(stream string) Cluster {
	c := Cluster{Kind: "embedded", Expected: b.opts.nodes()}
	if b.opts.external() {
		c.Kind, c.Servers = "nats", b.Addresses()
	} else if b.opts.clustered() {
		c.Name = b.opts.Cluster
	}
	b.mu.Lock()
	if b.why != nil {
		c.Error = b.why.Error()
	}
	b.mu.Unlock()
	b.nodes.mu.Lock()
	seen := b.nodes.streams[stream]
	b.nodes.mu.Unlock()
	if time.Since(seen.at) > seenFor || c.Error != "" {
		return c
	}
	if seen.info == nil {
		c.Quorum = true // somebody could say so
		return c
	}
	if seen.info.Cluster == nil || seen.info.Cluster.Leader == "" && len(seen.info.Cluster.Replicas) == 0 {
		c.Leader, c.Quorum = b.opts.Node, true
		if b.opts.external() {
			c.Leader = ""
		}
		return c
	}
	k := seen.info.Cluster
	c.Leader, c.Quorum = k.Leader, k.Leader != ""
	c.Copies = append(c.Copies, Copy{Node: k.Leader, Leader: true, Current: true})
	for _, r := range k.Replicas {
		c.Copies = append(c.Copies, Copy{Node: r.Name, Current: r.Current, Offline: r.Offline, Lag: r.Lag})
	}
	slices.SortFunc(c.Copies, func(x, y Copy) int { return cmp.Compare(x.Node, y.Node) })
	return c
}
