// Package discovery finds out which applications there are. Sources (files, the
// event log, Docker, S3) each emit their whole current set whenever it changes;
// Merge supervises them, keeps the last good set of each, and hands the sets on
// in source order, one change at a time.
//
// What goes in: Update values from sources. What comes out: []Set to one apply
// function, always called from one goroutine. A source that fails or goes away
// keeps its last set and shows in Statuses and in the metrics
// er_source_apps{source}, er_source_errors_total{source} and
// er_source_last_update_timestamp_seconds{source}. The package serves nothing
// and knows nothing of how an application is served.
package discovery

import (
	"context"
	"time"

	"edgerouter/app"
)

// Source is somewhere that applications come from.
type Source interface {
	// Name is short and stable, such as "file"; it is a metric label.
	Name() string
	// Run emits the source's whole current set whenever it changes, until ctx
	// ends. A return before that is a failure: the source is started again after
	// a pause, and what it last emitted stays in service. emit never blocks and
	// may be called from any goroutine, but not after Run has returned.
	Run(ctx context.Context, emit func(Update)) error
}

// Update is what a source has to say.
type Update struct {
	// Apps is the source's whole current set. It is kept and compared with the
	// next one: neither the slice nor what its elements point to may be changed
	// after it was emitted. An application that is the same as before costs
	// least when it is the same value (same slices and pointers inside).
	Apps []app.Application
	// Parts is the set in pieces, one after the other, in place of Apps when it is
	// not nil; what is said of Apps holds. A piece that is the same slice as
	// before is not looked into, so that a change of one among thousands of
	// applications costs as much as the piece it is in.
	Parts [][]app.Application
	// Problems are what was found wrong. When one names an application that is
	// not in Apps but was in the previous set, that previous version stays.
	Problems []app.Problem
	// Generation is the source's own count of what the set is of, such as the
	// version of an event stream; it comes back with Set. 0 when there is none.
	Generation int64
	// Err says that the source failed: Apps is ignored and the last set stays.
	// Problems may say more.
	Err error
}

// Set is the current applications of one source as Merge hands them on.
type Set struct {
	Source string
	// Parts are the applications in pieces, as the source gave them; see
	// Update.Parts. With thousands of applications, putting them together for each
	// change would be most of its work.
	Parts    [][]app.Application
	Problems []app.Problem
	// Kept are the ids in Parts whose previous version stands in for a broken one.
	Kept []string
	// Generation is that of the source's last good Update.
	Generation int64
}

// State says how a source is doing.
type State string

// The states of a source.
const (
	StateStarting State = "starting" // nothing was heard of it yet
	StateOK       State = "ok"       // its last update was good
	StateFailing  State = "failing"  // its last update was an error, or it ended; its last set stays
)

// Status is one row of /api/v1/sources.
type Status struct {
	Name  string `json:"name"`
	State State  `json:"state"`
	Apps  int    `json:"apps"`
	// UpdatedAt is when the last good set came; nil: never.
	UpdatedAt  *time.Time `json:"updated_at,omitempty"`
	AgeSeconds float64    `json:"age_seconds"`
	LastError  string     `json:"last_error,omitempty"`
	// LastErrorAt is when LastError came; it stays after the source recovered.
	LastErrorAt *time.Time    `json:"last_error_at,omitempty"`
	Restarts    int           `json:"restarts"`
	Problems    []app.Problem `json:"problems,omitempty"`
}
