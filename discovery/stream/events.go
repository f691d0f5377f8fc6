// Package stream is the discovery source that reads applications from the event
// stream /t-N/loadbalancer, and what commands need to write them there.
//
// Entries of a bus.Log go in, discovery.Updates come out, with the version that
// they are of (Update.Generation). Events are AppUpdated with a whole definition
// and AppDeleted with an id; IpRulesUpdated and IpRulesDeleted say which client
// addresses may enter. An event of another type is counted and passed over;
// one whose application is invalid is a problem, and changes nothing. The state
// is the same on every node that has applied the same entries.
package stream

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"edgerouter/app"
	"edgerouter/bus"
)

// The event types of applications.
const (
	TypeUpdated = "AppUpdated"
	TypeDeleted = "AppDeleted"
)

// The event types of IP rules (see package auth).
const (
	TypeIPRulesUpdated = "IpRulesUpdated"
	TypeIPRulesDeleted = "IpRulesDeleted"
)

// IPRulesUpdated is the line that declares IP rules, which are HCL and have been
// checked.
func IPRulesUpdated(now time.Time, rules string) (string, error) {
	e, err := bus.NewEvent(now, TypeIPRulesUpdated, struct{ Rules string }{rules})
	return e.Line(), err
}

// IPRulesDeleted is the line that takes the IP rules away: everybody may enter.
func IPRulesDeleted(now time.Time) (string, error) {
	e, err := bus.NewEvent(now, TypeIPRulesDeleted, struct{}{})
	return e.Line(), err
}

// Path is the stream of a tenant's applications.
func Path(tenant string) string { return bus.StreamPath(tenant, "loadbalancer") }

// Updated is the line that declares an application. definition is its JSON, which
// has been checked.
func Updated(now time.Time, definition json.RawMessage) (string, error) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, definition); err != nil {
		return "", fmt.Errorf("encoding an application: %w", err)
	}
	e, err := bus.NewEvent(now, TypeUpdated, struct{ Application json.RawMessage }{compact.Bytes()})
	return e.Line(), err
}

// Deleted is the line that takes an application away.
func Deleted(now time.Time, id string) (string, error) {
	e, err := bus.NewEvent(now, TypeDeleted, struct{ Id string }{id})
	return e.Line(), err
}

// change is what one event says.
type change struct {
	id      string
	deleted bool
	raw     json.RawMessage // the definition as it stands in the event
	app     app.Application // of raw, if there are no problems
	// problems are why the definition changes nothing.
	problems []app.Problem
	rules    string // of kindIPRules; empty: there are none any more
}

// kind is what a line turned out to be.
type kind uint8

const (
	kindChange  kind = iota
	kindIPRules      // change.rules
	kindUnknown      // a type that is not of applications
	kindBroken       // of a type of applications, and malformed
)

// read takes a line apart. at is where it stands, for problems.
func read(at bus.Cursor, line string) (change, kind) {
	e, err := bus.ParseEvent(line)
	if err != nil {
		return change{problems: []app.Problem{{File: place(at), Message: err.Error()}}}, kindBroken
	}
	switch e.Type {
	case TypeUpdated:
		var payload struct{ Application json.RawMessage }
		if err := json.Unmarshal(e.Data, &payload); err != nil || len(payload.Application) == 0 {
			return broken(at, e.Type, `want {"Application": {...}}`), kindBroken
		}
		return definition(at, payload.Application), kindChange
	case TypeDeleted:
		var payload struct{ Id string }
		if err := json.Unmarshal(e.Data, &payload); err != nil || payload.Id == "" {
			return broken(at, e.Type, `want {"Id": "..."}`), kindBroken
		}
		return change{id: payload.Id, deleted: true}, kindChange
	}
	switch e.Type {
	case TypeIPRulesUpdated:
		var payload struct{ Rules string }
		if err := json.Unmarshal(e.Data, &payload); err != nil || payload.Rules == "" {
			return broken(at, e.Type, `want {"Rules": "allow_all { prefix = ... }"}`), kindBroken
		}
		return change{rules: payload.Rules}, kindIPRules
	case TypeIPRulesDeleted:
		return change{}, kindIPRules
	}
	return change{}, kindUnknown
}

func broken(at bus.Cursor, typ, want string) change {
	return change{problems: []app.Problem{{File: place(at), Field: typ, Message: "the event has not the form of its type", Suggestion: want}}}
}

// definition decodes and checks one application.
func definition(at bus.Cursor, raw json.RawMessage) change {
	c := change{raw: raw}
	var apps []app.Application
	apps, c.problems = app.Decode(place(at), raw)
	switch {
	case len(apps) == 1 && len(c.problems) == 0:
		c.app, c.id = apps[0], apps[0].ID
		return c
	case len(c.problems) == 0: // such as {"apps": []}, which is a file and not an application
		c.problems = []app.Problem{{File: place(at), Message: "the event declares no application"}}
	}
	var named struct{ ID string }
	if json.Unmarshal(raw, &named) == nil {
		c.id = named.ID
	}
	return c
}

// place names a version of the stream as problems name files.
func place(at bus.Cursor) string { return fmt.Sprintf("%s@%d", at.Stream, at.Version) }

// Touches is the id of the application that an event line is about; empty when it
// is about none.
func Touches(line string) string {
	c, kind := read(bus.Cursor{}, line)
	if kind != kindChange {
		return ""
	}
	return c.id
}
