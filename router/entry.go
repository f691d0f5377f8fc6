package router

import (
	"net/netip"
	"time"

	"github.com/valyala/fasthttp"
)

// Kind says what an entry is matched by.
type Kind uint8

// The kinds of entry. See the package comment for the order in which they are
// tried.
const (
	Exact    Kind = iota // Host, whole
	Wildcard             // Host is "*.example.com": exactly one label in place of the star
	Regexp               // HostRegexp
	AnyHost              // PathPrefix alone
	Rule                 // Rule decides
)

// String names the kind in the words of the configuration.
func (k Kind) String() string {
	switch k {
	case Exact:
		return "hostname"
	case Wildcard:
		return "wildcard hostname"
	case Regexp:
		return "hostname_regexp"
	case AnyHost:
		return "path_prefix of any host"
	case Rule:
		return "rule"
	}
	return "unknown kind"
}

// Entry is one frontend of one application, ready to serve. Build keeps the
// pointer and Match returns it: an entry must not change once it is in a table.
type Entry struct {
	// App and Frontend say whose entry this is: the application's id and the
	// index of its frontend. They appear in conflicts and explanations.
	App      string
	Frontend int
	// Order is the place of the application in source order. Among entries
	// that claim the same, the lower wins, then the lower App, then the lower
	// Frontend.
	Order int
	// Rank goes before everything else; see Rank.
	Rank Rank

	Kind       Kind
	Host       string       // Exact, Wildcard; any case, port and trailing dot ignored
	HostRegexp *HostPattern // Regexp
	// PathPrefix is matched by whole segments; "" means "/". It narrows every
	// kind, rules included.
	PathPrefix string
	// StringPrefix has PathPrefix compared as text, as the matcher PathPrefix of a
	// rule is: /products takes /products-for-sale, /products/ does not take
	// /products. An entry with the same prefix by segments goes before it.
	StringPrefix bool
	Rule         Matcher // Rule
	// Text is the rule as it was written. Its length is the rule's default
	// priority. Without it the text of Rule itself is taken, when it has one.
	Text string
	// Priority counts when HasPriority is set: such entries go before all
	// others, the higher first.
	Priority    int
	HasPriority bool
	// RulePriority counts in place of the length of Text (or of a host regexp and
	// its prefix) when HasRulePriority is set: a regexp or rule is then still
	// tried among the others, as in Traefik.
	RulePriority    int
	HasRulePriority bool

	// What follows is carried for the caller; the table does not look at it.

	Handler     fasthttp.RequestHandler
	Observer    Observer
	AllowPlain  bool   // serve plain HTTP instead of redirecting to https
	StripPrefix string // removed from the target before the backend sees it, see StripPrefix
	// LimitsBody: the application has a limit of its own on request bodies, which
	// takes the place of the server's.
	LimitsBody bool
	// Direct: nothing stands between the pipeline and the backend, which
	// reads and writes the wire itself.
	Direct bool
}

// Observer is told of each answered request. *metrics.App is one.
type Observer interface {
	Observe(method []byte, code int, d time.Duration)
}

// Attributes are what rules may ask of a request besides host and path. Nothing
// returned is kept or changed.
type Attributes interface {
	Method() []byte
	// Header returns the first value of the field at or after a place, 0 at first,
	// and the place to go on from; nil when there is none.
	Header(name string, from int) (value []byte, next int)
	// Query is the raw query without the question mark.
	Query() []byte
	// ClientIP is the client's address after trusted proxies were considered.
	ClientIP() netip.Addr
}

// Matcher is a rule. host is canonical (lower case, no port, no trailing dot)
// and path is as NormalizePath returns it. An implementation must be safe for
// concurrent use and should not allocate.
//
// a may be nil when the caller has nothing to offer; the matchers of this
// package then take what they ask for as absent.
type Matcher interface {
	Match(host, path []byte, a Attributes) bool
}
