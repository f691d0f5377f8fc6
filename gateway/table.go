package gateway

import "edgerouter/router"

// table builds the routing table of g.sets.
func (g *Gateway) table(c *change, total int) (*router.Table, []Conflict) {
	entries := make([]*router.Entry, 0, total+total/2)
	for _, set := range g.sets {
		plain := plainRulesOf(c, set) // sources are not ordered among each other by text
		for _, r := range set.apps {
			c.pace.Step()
			entries = r.entries(entries, plain)
		}
	}
	table, conflicts := router.Build(entries, c.pace.Step)
	return table, g.describeConflicts(conflicts)
}

func (g *Gateway) describeConflicts(found []router.Conflict) []Conflict {
	var out []Conflict
	source := func(id string) string {
		if r := g.byID[id]; r != nil {
			return r.source
		}
		return ""
	}
	for _, f := range found {
		c := Conflict{
			App: f.Loser.App, Frontend: f.Loser.Frontend, Source: source(f.Loser.App),
			Claim: f.Claim, Reason: f.Reason, Partial: f.Partial,
		}
		if f.Winner != nil {
			c.Winner, c.WinnerFrontend, c.WinnerSource = f.Winner.App, f.Winner.Frontend, source(f.Winner.App)
		}
		out = append(out, c)
	}
	return out
}
