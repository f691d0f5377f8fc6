package admin

import (
	"slices"

	"edgerouter/discovery"
	"edgerouter/gateway"
	"edgerouter/internal/pace"
	"edgerouter/upstream"
)

// Row is one application as the page lists it.
type Row struct {
	ID        string        `json:"id"`
	Source    string        `json:"source"`
	State     gateway.State `json:"state"`
	Frontends []string      `json:"frontends"`
	Backend   string        `json:"backend"`
	// Up are the peers that take requests, of Peers.
	Up       int `json:"up"`
	Peers    int `json:"peers"`
	Problems int `json:"problems"`
}

func (r *Row) equal(o *Row) bool {
	return r.ID == o.ID && r.Source == o.Source && r.State == o.State && r.Backend == o.Backend &&
		r.Up == o.Up && r.Peers == o.Peers && r.Problems == o.Problems && slices.Equal(r.Frontends, o.Frontends)
}

// census is what a look at all applications counted.
type census struct {
	apps, peers, up int
	troubles        []Trouble
}

// rowSet is the rows that were seen last. Its zero value has seen none.
type rowSet struct {
	cells map[string]*cell
	round uint64
}

// cell is a row and what it was made from: as long as that is the same value only
// peers have to be asked.
type cell struct {
	app   *gateway.App // nil: nothing of it is served
	row   Row
	round uint64 // the last look that saw it
}

// look goes over all applications, and returns which rows are not as they were
// and which are gone.
func (r *rowSet) look(a *Admin, s *gateway.Snapshot, sources []discovery.Status) (changed []*Row, gone []string, seen census) {
	if r.cells == nil {
		r.cells = make(map[string]*cell, s.Apps.Len())
	}
	r.round++
	found := troubles{}
	note := func(id string, made *gateway.App, peers []upstream.PeerStatus, describe func() App) {
		c := r.cells[id]
		var row Row
		if c == nil || made == nil || c.app != made {
			row = rowOf(describe())
		} else {
			row = c.row
		}
		row.Peers, row.Up = len(peers), 0
		for i := range peers {
			if peers[i].State == "up" {
				row.Up++
			}
		}
		seen.apps++
		seen.peers += row.Peers
		seen.up += row.Up
		if c != nil && c.row.equal(&row) {
			c.app, c.round = made, r.round
			return
		}
		c = &cell{app: made, row: row, round: r.round}
		r.cells[id] = c
		changed = append(changed, &c.row)
	}
	room := pace.New() // there may be 10,000
	for one := range s.Apps.All() {
		room.Step()
		peers := one.Peers()
		note(one.ID(), one, peers, func() App { return a.describe(one) })
		found.application(one.ID(), one.State, one.Problems, peers)
	}
	for _, broken := range a.unserved(s, sources) {
		note(broken.ID, nil, nil, func() App { return broken })
		found.application(broken.ID, broken.State, broken.Problems, nil)
	}
	if len(r.cells) > seen.apps {
		for id, c := range r.cells {
			if c.round != r.round {
				delete(r.cells, id)
				gone = append(gone, id)
			}
		}
	}
	seen.troubles = found.list
	return changed, gone, seen
}

func rowOf(a App) Row {
	return Row{
		ID: a.ID, Source: a.Source, State: a.State, Frontends: a.Frontends, Backend: a.Backend, Problems: len(a.Problems),
	}
}
