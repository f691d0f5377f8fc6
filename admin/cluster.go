package admin

import (
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/bus"
)

// Cluster is the answer of /api/v1/cluster: the event bus as this node sees it.
type Cluster struct {
	Bus  string `json:"bus"` // off, embedded, nats or eventhorizon
	Name string `json:"name,omitempty"`
	Node string `json:"node"` // this one
	// Expected is how many nodes the configuration names; 0: it does not say.
	Expected int `json:"expected,omitempty"`
	// Leader takes the appends, and Quorum says that they are possible; as far as
	// this node knows.
	Leader  string   `json:"leader,omitempty"`
	Quorum  bool     `json:"quorum"`
	Servers []string `json:"servers,omitempty"`
	Error   string   `json:"error,omitempty"`
	// Generation is the version of the applications' stream that is in service on
	// this node.
	Generation int64         `json:"generation"`
	Nodes      []ClusterNode `json:"nodes"`
}

// ClusterNode is one node in Cluster.
type ClusterNode struct {
	NodeStatus
	State NodeState `json:"state"`
	// HeardSeconds is how long ago the node told its status; below 0: never.
	HeardSeconds float64 `json:"heard_seconds"`
	Leader       bool    `json:"leader"`
	// Copy is how its copy of the log is, as the leader sees it; nil: not known.
	Copy *ClusterCopy `json:"copy,omitempty"`
}

// ClusterCopy is a copy of the applications' stream.
type ClusterCopy struct {
	Current bool   `json:"current"`
	Lag     uint64 `json:"lag"` // entries
}

// NodeStatus is what a node tells of itself.
type NodeStatus struct {
	Node    string `json:"node"`
	Version string `json:"version"`
	// Generation is the version of the applications' stream that is in service,
	// and ConfigGeneration counts the node's own changes, whatever their source.
	Generation       int64                `json:"generation"`
	ConfigGeneration uint64               `json:"config_generation"`
	StartedAt        time.Time            `json:"started_at"`
	Streams          []bus.FollowerStatus `json:"streams"`
}

// NodeState says how a node is heard.
type NodeState string

// The states of a node.
const (
	NodeOK     NodeState = "ok"
	NodeBehind NodeState = "behind" // heard of, and not level with the log, or cannot reach it
	NodeSilent NodeState = "silent" // not heard of for a while
)

func (a *Admin) cluster(ctx *fasthttp.RequestCtx) {
	if a.deps.Cluster == nil {
		writeJSON(ctx, Cluster{Bus: "off", Nodes: []ClusterNode{}})
		return
	}
	c := a.deps.Cluster()
	c.Nodes = list(c.Nodes)
	for i := range c.Nodes {
		c.Nodes[i].Streams = list(c.Nodes[i].Streams)
	}
	writeJSON(ctx, c)
}
