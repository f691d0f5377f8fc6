// Package router finds the entry that takes a request: an immutable Table made
// from entries (frontends of applications), asked with a host, a path and,
// where rules need more, the request's attributes.
//
// Build takes entries in any order and returns a table and the conflicts; the
// same entries give the same table whatever their order. A table never changes:
// to change what is served, build another and swap the pointer. Match is safe
// for any number of goroutines, takes no lock and allocates nothing.
//
// # Order
//
// Entries are tried in this order and the first that takes the request wins:
//
//  1. entries with an explicit priority, the highest first;
//  2. path prefixes of any host, the longest first;
//  3. exact hosts, within a host the longest prefix first;
//  4. wildcard hosts (exactly one label in place of the star), the same way;
//  5. host regexps and rules by RulePriority, by default the length of their text
//     (host regexp and path prefix, or the rule as written).
//
// A host whose prefixes do not fit does not end the search: /x of a.example.com
// goes to *.example.com when a.example.com has only /api. What is equal so far
// is ordered by longer prefix, regexps before rules, then Order, App, Frontend.
//
// # Ranks
//
// That is the order among entries of one Rank. Of several that take a request the
// one of the lowest Rank wins, whatever kinds and priorities say. What is more, an
// entry that may take hosts it does not list (any host, a wildcard, a regexp, a
// rule that is not bound to hosts) takes no request at all for a host that an entry
// of a lower Rank names: exactly, by wildcard, or by an expression that is not for
// any host. From RankDocker on such an entry takes nothing below
// /.well-known/acme-challenge/ either.
//
// # Hosts and paths
//
// Hosts are compared without ASCII case, port and one trailing dot. Names with
// other letters are expected in A-label form (RFC 5890) and not converted.
//
// Path prefixes match whole segments: /foo and /foo/ both take /foo and
// /foo/bar and not /foobar. The rule matcher PathPrefix is the exception: as in
// Traefik it is a plain string prefix. So is the prefix of an entry that says
// StringPrefix, which is how a rule of hosts and such a prefix is had for the
// price of hosts; at the same length a prefix by segments goes first.
//
// Match wants the path as NormalizePath returns it. That form keeps %2F (and
// %5C) encoded, so an encoded slash never separates segments. Servers differ in
// what they make of such bytes, of parameters, of what is encoded twice and more
// (see the table of readings): a path that has another reading is looked up in
// each, and when one would not belong to the same application the request is
// Ambiguous: no reading can be used to reach what another application protects.
//
// # Conflicts
//
// Two entries of one rank that claim the same (kind, host or expression, prefix and
// priority) conflict: the lower Order wins, then App, then Frontend; the other
// is reported and stays out of the table. The text of a host regexp counts
// without the names of its parts. An entry that those of lower ranks keep from
// requests is reported as well.
//
// The package imports nothing of ours, does no I/O and keeps no state.
package router
