package router

import "fmt"

// Conflict is an entry that Build left out of the table, or that another one
// keeps from some of the requests it claims.
type Conflict struct {
	Loser *Entry
	// Winner claims the same and comes earlier in source order, or has a lower
	// Rank. It is nil for an entry that cannot be matched at all.
	Winner *Entry
	// Partial: the loser is served where the winner is not; Reason says where that is.
	Partial bool
	// Claim is what the loser claims, for people: "example.com/api".
	Claim  string
	Reason string
}

// String tells the conflict in one line.
func (c Conflict) String() string {
	switch {
	case c.Winner == nil:
		return fmt.Sprintf("%s is not served: %s", c.Loser.name(), c.Reason)
	case c.Partial:
		return fmt.Sprintf("%s, %s, gives way to %s: %s", c.Loser.name(), c.Claim, c.Winner.name(), c.Reason)
	case c.Reason != "":
		return fmt.Sprintf("%s is not served: %s is taken by %s: %s", c.Loser.name(), c.Claim, c.Winner.name(), c.Reason)
	}
	return fmt.Sprintf("%s is not served: %s is taken by %s, which comes first in source order",
		c.Loser.name(), c.Claim, c.Winner.name())
}

// name says whose entry it is, with the words of a definition.
func (e *Entry) name() string {
	return fmt.Sprintf("application %q frontends[%d]", e.App, e.Frontend)
}
