package cli

import (
	"bytes"
	"io"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/rs/zerolog/diode"

	"edgerouter/server"
)

// accessLines is how many lines wait for a slow reader of the access log before
// lines are dropped: a log must not hold up requests.
const accessLines = 4096

// accessLog writes a line for each request. The zero kind writes nothing.
type accessLog struct {
	out     *diode.Writer
	lines   zerolog.Logger
	dropped atomic.Uint64
}

func newAccessLog(kind string, w io.Writer) *accessLog {
	a := &accessLog{}
	if kind == "off" {
		return a
	}
	if kind == "console" {
		// The lines have no level.
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: logTime, TimeLocation: time.UTC, PartsExclude: []string{zerolog.LevelFieldName, zerolog.MessageFieldName}}
	}
	out := diode.NewWriter(w, accessLines, 10*time.Millisecond, func(missed int) { a.dropped.Add(uint64(missed)) })
	a.out = &out
	a.lines = zerolog.New(out)
	return a
}

// log is nil when there is nothing to write.
func (a *accessLog) log() server.AccessLog {
	if a.out == nil {
		return nil
	}
	return func(r *server.Access) {
		e := a.lines.Log().
			Time("time", r.Time.UTC()).
			Str("app", r.App).
			Str("client", clientText(r.Client)).
			Bytes("method", r.Method).
			Bytes("host", r.Host).
			Bytes("uri", loggedURI(r.Target)).
			Str("protocol", r.Protocol).
			Bool("tls", r.Secure).
			Int("status", r.Status).
			Int64("received", r.Received).
			Int64("sent", r.Sent).
			Float64("duration_ms", float64(r.Duration)/float64(time.Millisecond)).
			Bytes("request_id", r.RequestID)
		if len(r.UserAgent) > 0 {
			e.Bytes("user_agent", r.UserAgent)
		}
		if len(r.Referer) > 0 {
			e.Bytes("referer", loggedURI(r.Referer))
		}
		e.Send()
	}
}

// loggedURI is a URI without the query if it is one of those that sign somebody in
// (see package auth): the query has the user's token or code in it.
func loggedURI(uri []byte) []byte {
	path, _, query := bytes.Cut(uri, []byte("?"))
	if query && bytes.Contains(path, []byte("/_auth/")) {
		return path
	}
	return uri
}

func (a *accessLog) close() {
	if a.out != nil {
		a.out.Close()
	}
}

// clientText is a client's address; one that a trusted proxy named in no readable
// way is unknown.
func clientText(a netip.Addr) string {
	if !a.IsValid() {
		return "unknown"
	}
	return a.String()
}
