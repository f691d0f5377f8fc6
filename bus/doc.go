// Package bus is the event log that every node follows: durable, ordered streams
// of entries, appended with optimistic locking and applied exactly once.
//
// A Log holds streams such as /t-1/loadbalancer. What goes in: event lines
// (Event.Line), one or more as one entry. What comes out: the same lines in
// entries whose versions count from 0 without a gap, the same on every node.
// bus/jetstream, bus/eventhorizon and bus/remote are Logs, Memory is one for
// tests, and bus/bustest is the contract that all of them pass.
//
// A Follower keeps the state of a stream on one node: it starts from a snapshot,
// applies what follows by position, never an entry twice and never past one that
// is missing, and goes on with what it has while the log cannot be reached.
//
// The package knows nothing of applications or certificates, and it never
// changes or removes what was appended.
package bus
