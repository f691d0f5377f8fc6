package load

import (
	"fmt"

	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// ErrorKind says what went wrong with a request.
type ErrorKind uint8

// The kinds of error that a run counts.
const (
	ErrConnect  ErrorKind = iota // no connection, or its TLS handshake failed
	ErrRead                      // the connection broke while a response was awaited or read
	ErrWrite                     // the connection broke while the request was written
	ErrClosed                    // the connection ended before the response did
	ErrStale                     // a kept connection ended just as a request was sent: no byte of a response came
	ErrProtocol                  // what came is not HTTP/1.1, or more came than was asked for
	ErrStatus                    // another status than the wanted one
	ErrLength                    // a body of another length than the wanted one
	ErrTimeout                   // no response within the time limit
	ErrUnsent                    // due at the constant rate but never sent: all connections were busy until the end
	errKinds
)

var errorNames = [errKinds]string{"connect", "read", "write", "closed early", "closed unanswered", "protocol", "status", "length", "timeout", "unsent"}

func (k ErrorKind) String() string { return errorNames[k] }

// Errors counts what went wrong, by kind.
type Errors [errKinds]int64

// Total is the number of all errors.
func (e *Errors) Total() int64 {
	var n int64
	for _, k := range e {
		n += k
	}
	return n
}

// String lists the kinds that occurred: "3 closed early, 1 status", or "none".
func (e *Errors) String() string {
	var parts []string
	for k, n := range e {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, ErrorKind(k)))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// Map is the counts by name, for JSON; nil when there were none.
func (e *Errors) Map() map[string]int64 {
	var m map[string]int64
	for k, n := range e {
		if n > 0 {
			if m == nil {
				m = map[string]int64{}
			}
			m[ErrorKind(k).String()] = n
		}
	}
	return m
}

// Result is what the measured window of a run brought.
type Result struct {
	Duration    time.Duration // of the window
	Requests    int64         // answered as wanted
	Connections int64         // opened
	Bytes       int64         // of response bodies and heads
	Dropped     int64         // idle connections that the other side closed
	Errors      Errors
	FirstError  string // in words, "" when there was none
	// Latency is in nanoseconds: from the request's first byte written (closed
	// loop) or from the moment it was due (constant rate) to its last byte read.
	// With a new connection per request it begins with the connect.
	Latency *hdrhistogram.Histogram
}

// NewHistogram covers 1 us to 2 minutes with three digits, in nanoseconds.
func NewHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(int64(time.Microsecond), int64(2*time.Minute), 3)
}

func record(h *hdrhistogram.Histogram, ns int64) {
	if h.RecordValue(ns) != nil {
		_ = h.RecordValue(h.HighestTrackableValue())
	}
}

// Add takes another window's result in, as if both had been one.
func (r *Result) Add(o *Result) {
	r.Duration += o.Duration
	r.Requests += o.Requests
	r.Connections += o.Connections
	r.Bytes += o.Bytes
	r.Dropped += o.Dropped
	for k, n := range o.Errors {
		r.Errors[k] += n
	}
	if r.FirstError == "" {
		r.FirstError = o.FirstError
	}
	r.Latency.Merge(o.Latency)
}

// Rate is answered requests per second.
func (r *Result) Rate() float64 {
	if r.Duration <= 0 {
		return 0
	}
	return float64(r.Requests) / r.Duration.Seconds()
}

// Quantile is a latency; q is in percent.
func (r *Result) Quantile(q float64) time.Duration {
	return time.Duration(r.Latency.ValueAtPercentile(q))
}

// String is the result in a few lines for people.
func (r *Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "requests     %d in %s, %.0f a second, on %d new connections\n", r.Requests, r.Duration.Round(time.Millisecond), r.Rate(), r.Connections)
	fmt.Fprintf(&b, "received     %.1f MB\n", float64(r.Bytes)/1e6)
	qs := []float64{50, 90, 99, 99.9, 100}

	fmt.Fprintf(&b, "latency     ")
	for _, q := range qs {
		fmt.Fprintf(&b, " p%g %s", q, r.Quantile(q).Round(time.Microsecond))
	}
	fmt.Fprintf(&b, "\nerrors       %s\n", r.Errors.String())
	if r.FirstError != "" {
		fmt.Fprintf(&b, "first error  %s\n", r.FirstError)
	}
	return b.String()
}
