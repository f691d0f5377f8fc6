package bustest

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"edgerouter/bus"
)

func empty(t *testing.T, bed Bed, stream string) {
	l, ctx := open(t, bed), limit(t)
	last, err := l.Last(ctx, stream)
	must(t, err)
	if last != bus.Start(stream) {
		t.Errorf("the last entry of a stream that is not there is %v", last)
	}
	for _, after := range []int64{-1, 0, 7} {
		entries, err := l.Read(ctx, bus.Cursor{Stream: stream, Version: after}, 10)
		if err != nil || len(entries) > 0 {
			t.Errorf("after %d: %v, %v", after, entries, err)
		}
	}
}

func appends(t *testing.T, bed Bed, stream string) {
	l, ctx := open(t, bed), limit(t)
	before := time.Now().Add(-time.Minute)
	for i := 1; i <= 3; i++ {
		at, err := l.Append(ctx, stream, Event(i))
		must(t, err)
		if at != (bus.Cursor{Stream: stream, Version: int64(i)}) {
			t.Fatalf("append %d is at %v", i, at)
		}
		last, err := l.Last(ctx, stream)
		if err != nil || last != at {
			t.Fatalf("after append %d the last is %v, %v", i, last, err)
		}
	}
	entries := all(t, open(t, bed), stream, 3)
	started, err := bus.ParseEvent(entries[0].Meta)
	must(t, err)
	if started.Type != bus.TypeStreamStarted || string(started.Data) != `{"Parent":"/t-9"}` || started.Time.Before(before) || len(entries[0].Events) > 0 {
		t.Errorf("entry 0 is %+v", entries[0])
	}
	for i, e := range entries[1:] {
		if e.Meta != "" || !slices.Equal(e.Events, []string{Event(i + 1)}) {
			t.Errorf("entry %d is %+v", i+1, e)
		}
	}
}

func atomic(t *testing.T, bed Bed, stream string) {
	l, ctx := open(t, bed), limit(t)
	lines := []string{
		Event(1),
		`2026-11-01T12:00:00.000Z Test 2 1 2026-10-01T00:00:00.000Z {"Text":"naïve \" \\n  two  spaces <&>"}`,
		`2026-11-01T12:00:00.000Z SomethingNobodyKnows    {}`,
	}
	at, err := l.Append(ctx, stream, lines...)
	must(t, err)
	if e := all(t, l, stream, 1)[1]; e.Cursor != at || !slices.Equal(e.Events, lines) {
		t.Errorf("%+v", e)
	}
}

func separate(t *testing.T, bed Bed, stream string) {
	l, ctx := open(t, bed), limit(t)
	other := stream + "-2"
	_, err := l.Append(ctx, stream, Event(1))
	must(t, err)
	at, err := l.Append(ctx, other, Event(2))
	must(t, err)
	if at.Version != 1 {
		t.Errorf("the other stream begins at %d", at.Version)
	}
	all(t, l, stream, 1)
	if e := all(t, l, other, 1)[1]; e.Events[0] != Event(2) {
		t.Errorf("%+v", e)
	}
}

func refused(t *testing.T, bed Bed, stream string) {
	l, ctx := open(t, bed), limit(t)
	for name, c := range map[string]struct {
		stream string
		lines  []string
	}{
		"no event":    {stream, nil},
		"no line":     {stream, []string{""}},
		"two lines":   {stream, []string{Event(1) + "\n" + Event(2)}},
		"no time":     {stream, []string{`yesterday Test    {}`}},
		"no JSON":     {stream, []string{`2026-11-01T12:00:00.000Z Test    {"a":`}},
		"one is bad":  {stream, []string{Event(1), `2026-11-01T12:00:00.000Z Test {}`}},
		"no stream":   {"", []string{Event(1)}},
		"no slash":    {"t-9", []string{Event(1)}},
		"empty part":  {"/t-9//x", []string{Event(1)}},
		"dots":        {"/t-9/..", []string{Event(1)}},
		"wildcard":    {"/t-9/>", []string{Event(1)}},
		"white space": {"/t-9/a b", []string{Event(1)}},
	} {
		if at, err := l.Append(ctx, c.stream, c.lines...); !errors.Is(err, bus.ErrInvalid) {
			t.Errorf("%s: %v, %v", name, at, err)
		}
	}
	if last, err := l.Last(ctx, stream); err != nil || last.Version != -1 {
		t.Errorf("something was appended: %v, %v", last, err)
	}
}

func largeEntry(t *testing.T, bed Bed, stream string) {
	l, ctx := open(t, bed), limit(t)
	line := func(bytes int) string {
		const frame = `2026-11-01T12:00:00.000Z Test    {"Text":""}`
		return strings.Replace(frame, `""`, `"`+strings.Repeat("x", bytes-len(frame))+`"`, 1)
	}
	half := line(bus.MaxEntry / 2)
	_, err := l.Append(ctx, stream, half, half)
	must(t, err)
	if e := all(t, l, stream, 1)[1]; !slices.Equal(e.Events, []string{half, half}) {
		t.Error("a large entry came back changed")
	}
	if _, err := l.Append(ctx, stream, half, half+" "); !errors.Is(err, bus.ErrTooLarge) {
		t.Errorf("an entry beyond the limit: %v", err)
	}
	all(t, l, stream, 1)
}
