package bus

import (
	"strings"
	"testing"
	"time"
)

func TestParseEvent(t *testing.T) {
	at := time.Date(2026, 11, 1, 12, 12, 0, 0, time.UTC)
	for _, c := range []struct {
		line string
		want Event
	}{
		{`2026-11-01T12:12:00.000Z AppDeleted    {"Id":"doomed"}`, Event{Time: at, Type: "AppDeleted", Data: []byte(`{"Id":"doomed"}`)}},
		{`2026-11-01T12:12:00.007Z a.B_1 2 1 then {"a": "b  c"}`, Event{Time: at.Add(7 * time.Millisecond), Type: "a.B_1", User: "2", Impersonator: "1", Backdate: "then", Data: []byte(`{"a": "b  c"}`)}},
		{`0001-01-01T00:00:00.000Z X    {}`, Event{Type: "X", Data: []byte(`{}`)}},
	} {
		got, err := ParseEvent(c.line)
		if err != nil {
			t.Errorf("%s: %v", c.line, err)
			continue
		}
		if !got.Time.Equal(c.want.Time) || got.Type != c.want.Type || got.User != c.want.User ||
			got.Impersonator != c.want.Impersonator || got.Backdate != c.want.Backdate || string(got.Data) != string(c.want.Data) {
			t.Errorf("%s: %+v", c.line, got)
		}
		if got.Line() != c.line {
			t.Errorf("%s became %s", c.line, got.Line())
		}
	}
	for _, line := range []string{
		"", " ", "x", `2026-11-01T12:12:00.000Z AppDeleted {"Id":"doomed"}`,
		`2026-11-01T12:12:00Z AppDeleted    {}`, `2026-11-01T12:12:00.000+01:00 AppDeleted    {}`, `2026-11-01T12:12:00.0000Z A    {}`,
		`2026-13-01T12:12:00.000Z AppDeleted    {}`, `2026-11-01T12:12:00.000Z     {}`, `2026-11-01T12:12:00.000Z App/Deleted    {}`,
		`2026-11-01T12:12:00.000Z A    `, `2026-11-01T12:12:00.000Z A    []`, `2026-11-01T12:12:00.000Z A    {"a"}`,
		`2026-11-01T12:12:00.000Z A    {} {}`, "2026-11-01T12:12:00.000Z A    {}\n", "2026-11-01T12:12:00.000Z A    {\x00}",
	} {
		if e, err := ParseEvent(line); err == nil {
			t.Errorf("%q was taken for %+v", line, e)
		}
	}
}

// What a payload says stays out of errors, which are logged.
func TestParseEventKeepsPayloadsSecret(t *testing.T) {
	_, err := ParseEvent(`2026-11-01T12:12:00.000Z A {"token":"hunter2"}`)
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Error(err)
	}
}

func TestNewEvent(t *testing.T) {
	now := time.Date(2026, 11, 1, 13, 12, 0, 123456789, time.FixedZone("CET", 3600))
	e, err := NewEvent(now, "AppUpdated", map[string]string{"a": "<b> & c"})
	if err != nil || e.Line() != `2026-11-01T12:12:00.123Z AppUpdated    {"a":"<b> & c"}` {
		t.Errorf("%s, %v", e.Line(), err)
	}
	for name, f := range map[string]func() (Event, error){
		"no object": func() (Event, error) { return NewEvent(now, "A", 1) },
		"no type":   func() (Event, error) { return NewEvent(now, "", struct{}{}) },
		"no JSON":   func() (Event, error) { return NewEvent(now, "A", func() {}) },
	} {
		if e, err := f(); err == nil {
			t.Errorf("%s: %s", name, e.Line())
		}
	}
}

func TestBookkeepingLines(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for got, want := range map[string]string{
		StreamStarted(now, "/"):               `2026-11-01T12:00:00.000Z StreamStarted    {"Parent":""}`,
		StreamStarted(now, "/t-1"):            `2026-11-01T12:00:00.000Z StreamStarted    {"Parent":"/"}`,
		StreamStarted(now, "/t-1/certbus"):    `2026-11-01T12:00:00.000Z StreamStarted    {"Parent":"/t-1"}`,
		ChildStreamCreated(now, "/t-1/other"): `2026-11-01T12:00:00.000Z ChildStreamCreated    {"Stream":"/t-1/other"}`,
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func FuzzParseEvent(f *testing.F) {
	f.Add(`2026-11-01T12:12:00.000Z AppDeleted    {"Id":"doomed"}`)
	f.Add(`2026-11-01T12:12:00.000Z A 1 2 3 {"a": "b  c"}`)
	f.Add(`2026-11-01T12:12:00.000Z A    `)
	f.Fuzz(func(t *testing.T, line string) {
		e, err := ParseEvent(line)
		if err == nil && e.Line() != line {
			t.Errorf("%q became %q", line, e.Line())
		}
	})
}

var fixedTime = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
