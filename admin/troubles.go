package admin

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"edgerouter/app"
	"edgerouter/certs"
	"edgerouter/discovery"
	"edgerouter/gateway"
	"edgerouter/upstream"
)

const (
	// maxTroubles bounds those that an Overview names.
	maxTroubles = 100
	// expiresSoon is when a certificate that was not renewed becomes a trouble: ACME
	// and CertBus renew a month before the end.
	expiresSoon = 14 * 24 * time.Hour
)

// Trouble is one thing that is wrong now.
type Trouble struct {
	// Severity is bad when requests fail or may be about to, else warn.
	Severity string `json:"severity" enum:"bad,warn"`
	// What it is about: process, bus, node, source, application, certificate,
	// certificates (a source of them) or ip_rules; and its name or id.
	What string `json:"what" enum:"process,bus,node,source,application,certificate,certificates,ip_rules"`
	Name string `json:"name,omitempty"`
	Text string `json:"text"`

	rank int
}

// The ranks of troubles, worst first: what keeps all clients from an answer,
// then those of one application, then what has not hurt anyone yet.
const (
	rankProcess = iota
	rankExpired
	rankNotServed
	rankNoPeers
	rankUnavailable
	rankBus
	rankNode
	rankSource
	rankPrevious
	rankSomePeers
	rankConflict
	rankExpires
	rankNote
	rankWarning

	firstWarn = rankPrevious
)

type troubles struct{ list []Trouble }

func (t *troubles) add(rank int, what, name, text string) {
	severity := "bad"
	if rank >= firstWarn {
		severity = "warn"
	}
	t.list = append(t.list, Trouble{Severity: severity, What: what, Name: name, Text: text, rank: rank})
}

// worst are the first n, ordered by rank, then as they were found.
func (t *troubles) worst(n int) []Trouble {
	slices.SortStableFunc(t.list, func(x, y Trouble) int { return cmp.Compare(x.rank, y.rank) })
	return list(t.list[:min(n, len(t.list))])
}

func (t *troubles) process(reasons, notes []string) {
	for _, r := range reasons {
		t.add(rankProcess, "process", "", "not ready: "+r)
	}
	for _, n := range notes {
		t.add(rankNote, "process", "", n)
	}
}

func (t *troubles) source(s discovery.Status) {
	if s.State == discovery.StateFailing {
		t.add(rankSource, "source", s.Name, "failing, its last applications stay: "+s.LastError)
	}
	for _, p := range s.Problems {
		if p.App == "" { // the others are told with their application
			t.add(rankWarning, "source", s.Name, p.Error())
		}
	}
}

func (t *troubles) certificates(rows []certs.Status, now time.Time) {
	for _, c := range rows {
		name := strings.Join(c.Names, " ")
		switch left := c.NotAfter.Sub(now); {
		case c.Expired || left <= 0:
			t.add(rankExpired, "certificate", name, "expired "+c.NotAfter.UTC().Format(time.DateTime+" UTC"))
		case left < expiresSoon && c.NotAfter.Sub(c.NotBefore) > expiresSoon:
			t.add(rankExpires, "certificate", name, fmt.Sprintf("%d days left", int(left.Hours()/24)))
		}
	}
}

// certificateSources tells what keeps a source from new certificates; those in
// service stay.
func (t *troubles) certificateSources(problems map[string][]certs.Problem) {
	for _, source := range slices.Sorted(maps.Keys(problems)) {
		for _, p := range problems[source] {
			t.add(rankSource, "certificates", source, p.Error())
		}
	}
}

func (t *troubles) ipRules(r IPRules) {
	if r.Problem != "" {
		t.add(rankSource, "ip_rules", "", "newer rules cannot be used, those that were in service stay: "+r.Problem)
	}
}

func (t *troubles) conflicts(conflicts []gateway.Conflict) {
	for _, c := range conflicts {
		t.add(rankConflict, "application", c.App, conflictText(c))
	}
}

func (t *troubles) cluster(c Cluster) {
	switch {
	case c.Error != "":
		t.add(rankBus, "bus", c.Name, "cannot be followed; what is in service stays: "+c.Error)
	case !c.Quorum:
		t.add(rankBus, "bus", c.Name, "cannot be appended to, as far as this node knows; what is in service stays")
	}
	for _, n := range c.Nodes {
		switch n.State {
		case NodeSilent:
			t.add(rankNode, "node", n.Node, "not heard of for a while")
		case NodeBehind:
			t.add(rankSomePeers, "node", n.Node, "behind the event log, or cannot reach it")
		}
	}
}

// application tells what is wrong with one. peers are those it has now.
func (t *troubles) application(id string, state gateway.State, problems []app.Problem, peers []upstream.PeerStatus) {
	why := ""
	if len(problems) > 0 {
		why = ": " + problemText(problems[0])
	}
	switch state {
	case gateway.StateBroken:
		t.add(rankNotServed, "application", id, "broken and not served"+why)
	case gateway.StateUnavailable:
		t.add(rankUnavailable, "application", id, "answers 503"+why)
	case gateway.StateKept:
		t.add(rankPrevious, "application", id, "what is declared now is broken, the previous version is served"+why)
	default:
		for _, p := range problems {
			t.add(rankWarning, "application", id, problemText(p))
		}
	}
	up := 0
	var first *upstream.PeerStatus
	for i := range peers {
		switch p := &peers[i]; {
		case p.State == "up" || p.State == "joining":
			up++
		case first == nil && (p.State == "down" || p.State == "ejected"):
			first = p
		}
	}
	if first == nil && (up > 0 || len(peers) == 0) {
		return
	}
	text := fmt.Sprintf("%d of %d peers up", up, len(peers))
	if first != nil {
		text += fmt.Sprintf("; %s is %s", first.Addr, first.State)
		if first.Reason != "" {
			text += ": " + first.Reason
		}
	}
	rank := rankSomePeers
	if up == 0 {
		rank = rankNoPeers
	}
	t.add(rank, "application", id, text)
}

func conflictText(c gateway.Conflict) string {
	text := fmt.Sprintf("frontends[%d] is not served: %s", c.Frontend, c.Claim)
	if c.Partial {
		return fmt.Sprintf("frontends[%d], %s, gives way to %s: %s", c.Frontend, c.Claim, c.Winner, c.Reason)
	}
	if c.Winner != "" {
		text += " goes to " + c.Winner
	}
	if c.Reason != "" {
		text += ": " + c.Reason
	}
	return text
}

// problemText is a problem without its application, which is told beside it.
func problemText(p app.Problem) string {
	p.App = ""
	return p.Error()
}
