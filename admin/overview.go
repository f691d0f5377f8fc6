package admin

import (
	"math"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/discovery"
	"edgerouter/gateway"
)

// Overview is the answer of /api/v1/overview: the process in one look.
type Overview struct {
	Version string   `json:"version"`
	Node    string   `json:"node,omitempty"`
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons"` // why it is not ready
	// Generation counts the changes that were applied; AppliedAt is of the last.
	Generation uint64    `json:"generation"`
	AppliedAt  time.Time `json:"applied_at"`

	Apps      int `json:"apps"`
	Peers     int `json:"peers"`
	PeersUp   int `json:"peers_up"`
	Conflicts int `json:"conflicts"`
	Certs     int `json:"certs"`
	// IPRules are how many rules of client addresses are in service.
	IPRules int `json:"ip_rules"`

	Sources []OverviewSource `json:"sources"`
	// Bus tells the event bus in a line; empty: there is none.
	Bus   string         `json:"bus,omitempty"`
	Nodes []OverviewNode `json:"nodes"`

	// Troubles are what is wrong now, worst first, the first 100 of TroubleCount.
	Troubles     []Trouble `json:"troubles"`
	TroubleCount int       `json:"trouble_count"`
}

// OverviewSource is a source of applications.
type OverviewSource struct {
	Name      string          `json:"name"`
	State     discovery.State `json:"state"`
	Apps      int             `json:"apps"`
	UpdatedAt *time.Time      `json:"updated_at,omitempty"` // nil: never
	LastError string          `json:"last_error,omitempty"`
}

// OverviewNode is a node of the event bus. What changes by itself every moment is
// left out or rounded, so that an overview is sent when something happened.
type OverviewNode struct {
	Node       string    `json:"node"`
	Version    string    `json:"version"`
	State      NodeState `json:"state"`
	Leader     bool      `json:"leader"`
	Generation int64     `json:"generation"` // version of the applications' stream in service
	// SilentSeconds is how long it was not heard of, in steps of 5 s; below 0: it
	// never was.
	SilentSeconds float64 `json:"silent_seconds"`
}

// overview puts the parts together. What it has of applications is in seen.
func (a *Admin) overview(s *gateway.Snapshot, sources []discovery.Status, seen *census, now time.Time) Overview {
	reasons := a.deps.Ready()
	o := Overview{
		Version: a.deps.Version, Ready: len(reasons) == 0, Reasons: list(reasons),
		Generation: s.Generation, AppliedAt: s.AppliedAt,
		Apps: seen.apps, Peers: seen.peers, PeersUp: seen.up, Conflicts: len(s.Conflicts),
		Sources: make([]OverviewSource, 0, len(sources)), Nodes: []OverviewNode{},
	}
	t := &troubles{list: seen.troubles}
	t.process(reasons, a.notes())
	for _, source := range sources {
		row := OverviewSource{Name: source.Name, State: source.State, Apps: source.Apps, UpdatedAt: source.UpdatedAt}
		if source.State != discovery.StateOK {
			row.LastError = source.LastError
		}
		o.Sources = append(o.Sources, row)
		t.source(source)
	}
	certificates := a.certRows()
	o.Certs = len(certificates)
	t.certificates(certificates, now)
	t.certificateSources(a.certProblems())
	rules := a.readIPRules()
	o.IPRules = rules.Rules
	t.ipRules(rules)
	t.conflicts(s.Conflicts)
	if a.deps.Cluster != nil {
		c := a.deps.Cluster()
		o.Node, o.Bus = c.Node, c.Bus
		if c.Name != "" {
			o.Bus += " " + c.Name
		}
		for _, n := range c.Nodes {
			o.Nodes = append(o.Nodes, OverviewNode{
				Node: n.Node, Version: n.Version, State: n.State, Leader: n.Leader, Generation: n.Generation,
				SilentSeconds: silence(n),
			})
		}
		t.cluster(c)
	}
	o.TroubleCount = len(t.list)
	o.Troubles = t.worst(maxTroubles)
	return o
}

func silence(n ClusterNode) float64 {
	if n.State != NodeSilent || n.HeardSeconds < 0 {
		return min(n.HeardSeconds, 0)
	}
	return math.Floor(n.HeardSeconds/5) * 5
}

func (a *Admin) serveOverview(ctx *fasthttp.RequestCtx) {
	writeJSON(ctx, a.live.look(time.Now()))
}
