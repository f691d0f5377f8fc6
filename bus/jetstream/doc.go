// Package jetstream is the event log on NATS JetStream: in the process (one node,
// or three and five that make a cluster) or on servers of its own.
//
// One event stream is one JetStream stream with file storage; version v of it is
// the message with sequence v+1, whose body is the event lines, one per line.
// Writers use message ids, so that an append can be sent again after an answer
// got lost, and the expected last sequence for AppendAfter. Readers ask for
// messages by their sequence and keep nothing on the server; a message that the
// stream republishes without its body as it is stored wakes them up.
//
// An acknowledged append survives a power cut: the server writes with O_SYNC
// (sync_interval always), in a cluster on a majority of the nodes. What that costs
// is in docs/clustering.md.
//
// Nothing here needs to be up: New returns at once, and what is asked before the
// bus can be reached fails with bus.ErrUnavailable. An embedded server that gives
// up, as JetStream does when the disk is full, is started again.
package jetstream
