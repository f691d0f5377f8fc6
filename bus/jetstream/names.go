package jetstream

import (
	"strings"

	"github.com/nats-io/nats.go"

	"edgerouter/bus"
)

const (
	logSubjects      = "er.log."      // entries, stored
	appendedSubjects = "er.appended." // headers of entries as they are stored, not stored
	nodeSubjects     = "er.node."     // what nodes tell of themselves, not stored
	limitSubjects    = "er.limit."    // what nodes count together, not stored
	streamPrefix     = "er_"

	// metaHeader marks an entry whose line is bookkeeping.
	metaHeader = "Er-Meta"
)

// streamName is what the JetStream stream of an event stream is called: that of
// /t-1/loadbalancer is er_t-1_loadbalancer. Paths have no "_" in them.
func streamName(stream string) string {
	return streamPrefix + strings.ReplaceAll(stream[1:], "/", "_")
}

// streamPath is the reverse; ok is false for streams of others.
func streamPath(name string) (stream string, ok bool) {
	rest, ok := strings.CutPrefix(name, streamPrefix)
	stream = "/" + strings.ReplaceAll(rest, "_", "/")
	return stream, ok && bus.CheckStream(stream) == nil
}

func subjectSuffix(stream string) string { return strings.ReplaceAll(stream[1:], "/", ".") }

func logSubject(stream string) string { return logSubjects + subjectSuffix(stream) }

func appendedSubject(stream string) string { return appendedSubjects + subjectSuffix(stream) }

// appendedStream is the stream that an appended subject is about.
func appendedStream(subject string) string {
	return "/" + strings.ReplaceAll(strings.TrimPrefix(subject, appendedSubjects), ".", "/")
}

// message makes the message of an entry.
func message(stream, meta string, events []string) *nats.Msg {
	m := nats.NewMsg(logSubject(stream))
	if meta != "" {
		m.Header.Set(metaHeader, "1")
		m.Data = []byte(meta)
	} else {
		m.Data = []byte(strings.Join(events, "\n"))
	}
	return m
}

// entry reads a message. What somebody else may have stored there comes out as
// lines that are no events.
func entry(at bus.Cursor, header nats.Header, data []byte) bus.Entry {
	if header.Get(metaHeader) != "" {
		return bus.Entry{Cursor: at, Meta: string(data)}
	}
	return bus.Entry{Cursor: at, Events: strings.Split(string(data), "\n")}
}
