package httpcache

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// directives are those of Cache-Control that a shared cache obeys (RFC 9111
// section 5.2, RFC 5861). Lengths of time are -1 when they are not there.
type directives struct {
	noStore, noCache, private, public, mustRevalidate, proxyRevalidate, onlyIfCached bool
	mustUnderstand                                                                   bool
	maxAge, sMaxAge, minFresh, maxStale, staleWhile, staleIfError                    time.Duration
}

const unset = time.Duration(-1)

// none is what no directive says.
var none = directives{maxAge: unset, sMaxAge: unset, minFresh: unset, maxStale: unset, staleWhile: unset, staleIfError: unset}

// parseControl reads Cache-Control. What is malformed is read as the stricter
// meaning: a length that is no number is 0.
func parseControl(fields []string) directives {
	d := none
	for _, f := range fields {
		for _, item := range splitList(f) {
			name, value, given := strings.Cut(item, "=")
			d.add(strings.ToLower(strings.TrimSpace(name)), strings.Trim(strings.TrimSpace(value), `"`), given)
		}
	}
	return d
}

// add takes a directive over; given: it has a value.
func (d *directives) add(name, value string, given bool) {
	switch name {
	case "no-store":
		d.noStore = true
	case "no-cache": // with field names it is taken for all of them
		d.noCache = true
	case "private":
		d.private = true
	case "public":
		d.public = true
	case "must-revalidate":
		d.mustRevalidate = true
	case "proxy-revalidate":
		d.proxyRevalidate = true
	case "must-understand":
		d.mustUnderstand = true
	case "only-if-cached":
		d.onlyIfCached = true
	case "max-age":
		d.maxAge = stricter(d.maxAge, seconds(value))
	case "s-maxage":
		d.sMaxAge = stricter(d.sMaxAge, seconds(value))
	case "min-fresh":
		d.minFresh = seconds(value)
	case "max-stale":
		if d.maxStale = math.MaxInt64; given {
			d.maxStale = seconds(value)
		}
	case "stale-while-revalidate":
		d.staleWhile = seconds(value)
	case "stale-if-error":
		d.staleIfError = seconds(value)
	}
}

// stricter is the shorter of two lengths of the same directive.
func stricter(a, b time.Duration) time.Duration {
	if a == unset {
		return b
	}
	return min(a, b)
}

// splitList splits at commas outside of quotes. A quote that does not end hides
// nothing: it is a character like others, and so are those after it.
func splitList(s string) (items []string) {
	from, broken := 0, false
	for i := 0; i <= len(s); i++ {
		switch {
		case i == len(s) || s[i] == ',':
			if item := strings.TrimSpace(s[from:i]); item != "" {
				items = append(items, item)
			}
			from = i + 1
		case s[i] == '"' && !broken:
			n := quoted(s[i:])
			i += max(n-1, 0)
			broken = n == 0
		}
	}
	return items
}

// quoted is the length of the quoted string that s begins with; 0: it does not end.
func quoted(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return 0
}

// mostTime is what is taken for a length of time that is more (RFC 9111 section 1.2.2).
const mostTime = 1 << 31 * time.Second

// seconds reads delta-seconds; what is too much is a long time, what is no number is
// none.
func seconds(s string) time.Duration {
	for _, c := range s {
		if c < '0' || c > '9' {
			return 0
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	switch {
	case s == "":
		return 0
	case err != nil || n > int64(mostTime/time.Second):
		return mostTime
	}
	return time.Duration(n) * time.Second
}

// heuristic says whether a status may be stored without being told so (RFC 9110
// section 15.1). 206 is left out: ranges are not stored.
func heuristic(status int) bool {
	switch status {
	case 200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501:
		return true
	}
	return false
}
