package gateway

import (
	"time"

	"edgerouter/app"
	"edgerouter/router"
)

// Snapshot is the running set at one generation. It is immutable; the peers of
// its applications live on and are asked through App.Peers.
type Snapshot struct {
	// Generation counts the changes that were applied; 0 before the first.
	Generation uint64
	Table      *router.Table
	Apps       Apps // in source order, then as declared
	Conflicts  []Conflict
	AppliedAt  time.Time

	problems int // what er_app_problems says
	hosts    hostIndex
}

// State says how an application of a Snapshot is served.
type State string

// The states of an application.
const (
	// StateRunning: served as declared.
	StateRunning State = "running"
	// StateKept: what is declared now is broken; the previous version is served.
	StateKept State = "previous"
	// StateUnavailable: its backend or a middleware of it is not in this version;
	// its frontends answer 503.
	StateUnavailable State = "unavailable"
	// StateBroken: broken and without a previous version; not served.
	StateBroken State = "broken"
)

// App is one application of a Snapshot; immutable.
type App struct {
	// Definition is what is served; for StateBroken it is what was declared.
	Definition app.Application
	Source     string
	State      State
	// Problems are why it is not served as declared, and what its source warns of.
	Problems []app.Problem

	backend Backend
}

// ID is the application's id.
func (a *App) ID() string { return a.Definition.ID }

// Describe tells the application in a line.
func (a *App) Describe() string { return app.Describe(a.Definition) }

// App finds an application by id; nil when there is none.
func (s *Snapshot) App(id string) *App {
	for a := range s.Apps.All() {
		if a.Definition.ID == id {
			return a
		}
	}
	return nil
}

// Conflict is a frontend that is not served because another one has the same
// claim, or because it cannot be served at all, or that gives way to another one
// for some requests.
type Conflict struct {
	App      string `json:"app"`
	Frontend int    `json:"frontend"` // index
	Source   string `json:"source"`
	Claim    string `json:"claim"` // what both claim: "example.com/api"
	// Winner is the application that is served instead; empty when there is none.
	Winner         string `json:"winner,omitempty"`
	WinnerFrontend int    `json:"winner_frontend"`
	WinnerSource   string `json:"winner_source,omitempty"`
	Reason         string `json:"reason"`
	// Partial: it is served, but not where the winner is; Reason says where that is.
	Partial bool `json:"partial,omitempty"`
}
