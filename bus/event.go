package bus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// TimeFormat is how events write the time, always in UTC.
const TimeFormat = "2006-01-02T15:04:05.000Z"

// The types of bookkeeping lines, which any stream may have.
const (
	TypeStreamStarted      = "StreamStarted"
	TypeChildStreamCreated = "ChildStreamCreated"
)

// Event is one event as its line tells it:
//
//	2026-11-01T12:12:00.000Z AppDeleted    {"Id":"doomed"}
//
// TIME TYPE USER IMPERSONATOR BACKDATE JSON, separated by single spaces, empty
// fields empty.
type Event struct {
	// Time is when the writer made it, by the writer's clock. It says nothing
	// about the order of events; their positions do.
	Time time.Time
	Type string
	// User, Impersonator and Backdate are kept as they are.
	User, Impersonator, Backdate string
	// Data is one JSON object.
	Data json.RawMessage
}

// NewEvent makes an event of now. data is encoded as JSON, without escaping what
// only HTML would need.
func NewEvent(now time.Time, typ string, data any) (Event, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(data); err != nil {
		return Event{}, fmt.Errorf("encoding an event %s: %w", typ, err)
	}
	e := Event{Time: now.UTC().Truncate(time.Millisecond), Type: typ, Data: bytes.TrimSpace(b.Bytes())}
	if _, err := ParseEvent(e.Line()); err != nil {
		return Event{}, err
	}
	return e, nil
}

// Line writes the event in one line, without a line end.
func (e Event) Line() string {
	return strings.Join([]string{
		e.Time.UTC().Format(TimeFormat), e.Type, e.User, e.Impersonator, e.Backdate, string(e.Data),
	}, " ")
}

// Bookkeeping says whether the event is about streams and not about what is in them.
func (e Event) Bookkeeping() bool {
	return e.Type == TypeStreamStarted || e.Type == TypeChildStreamCreated
}

// ParseEvent reads a line. Whether Type is known and Data fits it is not its
// business; an error says which field is malformed.
func ParseEvent(line string) (Event, error) {
	if strings.ContainsAny(line, "\n\r\x00") {
		return Event{}, errors.New("an event is one line")
	}
	fields := strings.SplitN(line, " ", 6)
	if len(fields) < 6 {
		return Event{}, fmt.Errorf("the event %q has %d fields, not TIME TYPE USER IMPERSONATOR BACKDATE JSON", beginning(line), len(fields))
	}
	at, err := time.Parse(TimeFormat, fields[0])
	if err != nil || len(fields[0]) != len(TimeFormat) {
		return Event{}, fmt.Errorf("the event %q does not begin with a time such as %s", beginning(line), TimeFormat)
	}
	if !validType(fields[1]) {
		return Event{}, fmt.Errorf("the event %q has no type made of letters, digits and dots after its time", beginning(line))
	}
	data := json.RawMessage(fields[5])
	if len(data) == 0 || data[0] != '{' || !json.Valid(data) {
		return Event{}, fmt.Errorf("the event %q does not end with a JSON object", beginning(line))
	}
	return Event{
		Time: at, Type: fields[1], User: fields[2], Impersonator: fields[3], Backdate: fields[4], Data: data,
	}, nil
}

func validType(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c|0x20-'a' >= 26 && c-'0' > 9 && c != '.' && c != '_' {
			return false
		}
	}
	return s != ""
}

// beginning is what an error tells of a line that is no event: its time and its
// type, as far as it has them. Anything else in it may be part of a secret.
func beginning(line string) string {
	at, rest, _ := strings.Cut(line, " ")
	if _, err := time.Parse(TimeFormat, at); err != nil {
		return "..."
	}
	if typ, _, _ := strings.Cut(rest, " "); validType(typ) && len(typ) <= maxTold {
		return at + " " + typ + " ..."
	}
	return at + " ..."
}

// maxTold bounds, in bytes, how much of a foreign type an error repeats.
const maxTold = 60

// StreamStarted is the first line of a stream.
func StreamStarted(now time.Time, stream string) string {
	return bookkeeping(now, TypeStreamStarted, "Parent", Parent(stream))
}

// ChildStreamCreated is the line that a stream's parent gets.
func ChildStreamCreated(now time.Time, stream string) string {
	return bookkeeping(now, TypeChildStreamCreated, "Stream", stream)
}

func bookkeeping(now time.Time, typ, field, value string) string {
	data, _ := json.Marshal(map[string]string{field: value}) // strings always encode
	return Event{Time: now, Type: typ, Data: data}.Line()
}
