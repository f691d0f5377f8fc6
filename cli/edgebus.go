package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/admin"
	"edgerouter/bus"
	"edgerouter/bus/jetstream"
	"edgerouter/discovery"
	"edgerouter/discovery/stream"
	"edgerouter/metrics"
	"edgerouter/middleware/share"
)

// silentAfter is when a node that tells nothing counts as silent.
const silentAfter = 7 * time.Second

// edgeBus is the event bus of a node and what follows it. A nil one is a bus that
// is off.
type edgeBus struct {
	settings busSettings
	log      bus.Log
	streams  *jetstream.Bus // the log, when its nodes know of one another; else nil
	stream   *stream.Source
	started  time.Time
	more     []func() bus.FollowerStatus // of other streams that this node follows
	sharing  *share.Exchange             // nil: limits count for this node alone

	generation atomic.Int64 // of the applications in service
	news       chan struct{}
	config     func() uint64 // generation of the gateway
}

// newEdgeBus makes the bus and the source of applications on it. Neither has to
// be reachable.
func newEdgeBus(s settings, m *metrics.Set, ipRules func(text string), log zerolog.Logger) (*edgeBus, error) {
	if s.bus == busOff {
		return nil, nil
	}
	opened, err := s.busSettings.open(context.Background(), s.data, m, log)
	if err != nil {
		return nil, err
	}
	e := &edgeBus{settings: s.busSettings, log: opened, started: time.Now(), news: make(chan struct{}, 1)}
	e.streams, _ = opened.(*jetstream.Bus)
	o := stream.Options{
		Log: opened, Tenant: s.tenant, Metrics: m, Logger: log,
		IPRules: ipRules, CheckIPRules: checkIPRules,
		SnapshotPath: filepath.Join(s.data, "snapshots", "t-"+s.tenant+"-loadbalancer"),
	}
	if e.streams == nil {
		o.CheckEvery = -1 // every look is a question to the table already
	}
	e.stream = stream.New(o)
	m.Help("er_bus_generation", "Version of the applications' stream that is in service.")
	m.Gauge("er_bus_generation", func() float64 { return float64(e.generation.Load()) })
	if e.streams != nil {
		e.registerMetrics(m)
	}
	return e, nil
}

func (e *edgeBus) registerMetrics(m *metrics.Set) {
	m.Help("er_bus_nodes", "Nodes of the event bus that were heard of lately.")
	m.Gauge("er_bus_nodes", func() float64 {
		n := 0
		for _, h := range e.streams.Nodes() {
			if time.Since(h.At) < silentAfter {
				n++
			}
		}
		return float64(n)
	})
	m.Help("er_bus_nodes_expected", "Nodes that the configuration of the event bus names; 0: it does not say.")
	m.Gauge("er_bus_nodes_expected", func() float64 { return float64(e.streams.Cluster(e.path()).Expected) })
	m.Help("er_bus_quorum", "1 while appends are possible, as far as this node knows.")
	m.Gauge("er_bus_quorum", func() float64 {
		if e.streams.Cluster(e.path()).Quorum {
			return 1
		}
		return 0
	})
	m.Help("er_bus_leader", "1 on the node that takes the appends of applications.")
	m.Gauge("er_bus_leader", func() float64 {
		if e.streams.Cluster(e.path()).Leader == e.settings.nodeName {
			return 1
		}
		return 0
	})
}

func (e *edgeBus) path() string { return stream.Path(e.settings.tenant) }

// tell fills in what the admin interface asks of the bus.
func (e *edgeBus) tell(d *admin.Deps, config func() uint64) {
	if e == nil {
		return
	}
	e.config = config
	d.Log, d.Cluster, d.Notes = e.log, e.cluster, e.notes
}

// run lets the other nodes know how this one is.
func (e *edgeBus) run(ctx context.Context, running *sync.WaitGroup) {
	if e == nil || e.streams == nil {
		return
	}
	running.Go(func() {
		e.streams.Announce(ctx, func() []byte {
			text, err := json.Marshal(e.status())
			if err != nil {
				return nil
			}
			return text
		}, e.news)
	})
	e.runSharing(ctx, running)
}

// applied notes what is in service now.
func (e *edgeBus) applied(sets []discovery.Set) {
	if e == nil {
		return
	}
	for _, s := range sets {
		if s.Source == stream.Name && e.generation.Swap(s.Generation) != s.Generation {
			select {
			case e.news <- struct{}{}:
			default:
			}
		}
	}
}

func (e *edgeBus) close() {
	if e != nil {
		e.log.Close()
	}
}

// status is what this node tells the others.
func (e *edgeBus) status() admin.NodeStatus {
	streams := []bus.FollowerStatus{e.stream.Status()}
	for _, status := range e.more {
		streams = append(streams, status())
	}
	return admin.NodeStatus{
		Node: e.settings.nodeName, Version: version(), Generation: e.generation.Load(), ConfigGeneration: e.config(),
		StartedAt: e.started, Streams: streams,
	}
}

// notes say what is wrong with the bus and no reason to keep traffic away.
func (e *edgeBus) notes() []string {
	s := e.stream.Status()
	switch s.State {
	case bus.FromSnapshot, bus.Starting:
		return []string{fmt.Sprintf("the event log %s was not read yet; in service is what the snapshot has (version %d)", s.Stream, s.Version)}
	case bus.Unreachable, bus.Damaged:
		return []string{fmt.Sprintf("the event log %s cannot be followed; version %d stays in service: %s", s.Stream, s.Version, s.Error)}
	}
	return nil
}

// cluster is the bus and its nodes as this node sees them.
func (e *edgeBus) cluster() admin.Cluster {
	own := e.status()
	c := admin.Cluster{Bus: e.settings.bus, Node: own.Node, Generation: own.Generation}
	follows := own.Streams[0]
	if follows.State != bus.Following {
		c.Error = follows.Error
	}
	if e.streams == nil {
		c.Bus, c.Quorum = busEventHorizon, follows.State == bus.Following
		c.Nodes = []admin.ClusterNode{clusterNode(own, 0)}
		return c
	}
	k := e.streams.Cluster(e.path())
	c.Bus, c.Name, c.Expected, c.Leader, c.Quorum, c.Servers = k.Kind, k.Name, k.Expected, k.Leader, k.Quorum, k.Servers
	c.Error = cmp.Or(c.Error, k.Error)
	c.Nodes = e.nodes(own, k)
	return c
}

// nodes are those that were heard of and those that the leader knows, with this
// one as it is now.
func (e *edgeBus) nodes(own admin.NodeStatus, k jetstream.Cluster) []admin.ClusterNode {
	out := []admin.ClusterNode{clusterNode(own, 0)}
	at := func(name string) int {
		return slices.IndexFunc(out, func(n admin.ClusterNode) bool { return n.Node == name })
	}
	for _, h := range e.streams.Nodes() {
		var status admin.NodeStatus
		if h.Node == own.Node || json.Unmarshal(h.Status, &status) != nil {
			continue
		}
		status.Node = h.Node
		out = append(out, clusterNode(status, time.Since(h.At)))
	}
	if k.Kind == busEmbedded {
		for _, c := range k.Copies {
			i := at(c.Node)
			if i < 0 {
				i = len(out)
				out = append(out, admin.ClusterNode{NodeStatus: admin.NodeStatus{Node: c.Node, Generation: -1}, State: admin.NodeSilent, HeardSeconds: -1})
			}
			out[i].Copy = &admin.ClusterCopy{Current: c.Current && !c.Offline, Lag: c.Lag}
		}
		if i := at(k.Leader); k.Leader != "" && i >= 0 {
			out[i].Leader = true
		}
	}
	slices.SortFunc(out, func(a, b admin.ClusterNode) int { return cmp.Compare(a.Node, b.Node) })
	return out
}

func clusterNode(s admin.NodeStatus, ago time.Duration) admin.ClusterNode {
	n := admin.ClusterNode{NodeStatus: s, State: admin.NodeOK, HeardSeconds: ago.Seconds()}
	for _, f := range s.Streams {
		if f.State != bus.Following || f.Lag() > 0 {
			n.State = admin.NodeBehind
		}
	}
	if ago > silentAfter {
		n.State = admin.NodeSilent
	}
	return n
}
