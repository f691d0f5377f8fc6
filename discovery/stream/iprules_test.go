package stream

import (
	"errors"
	"strings"
	"testing"
	"time"

	"edgerouter/bus"
)

// IP rules of the stream: the last good ones count, also after a restart from a
// snapshot, and what comes to nothing keeps those before it.
func TestIPRules(t *testing.T) {
	check := func(text string) error {
		if strings.Contains(text, "bad") {
			return errors.New("bad rules")
		}
		return nil
	}
	s := State{checkRules: check}
	version := int64(0)
	apply := func(lines ...string) {
		version++
		s.Apply(bus.Entry{Cursor: bus.Cursor{Stream: "/t-1/loadbalancer", Version: version}, Events: lines})
	}
	updated := func(text string) string {
		line, err := IPRulesUpdated(time.Now(), text)
		if err != nil {
			t.Fatal(err)
		}
		return line
	}
	want := func(rules string, problems int) {
		t.Helper()
		if got := s.IPRules(); got != rules || len(s.Problems()) != problems {
			t.Errorf("rules %q and problems %v, want %q and %d", got, s.Problems(), rules, problems)
		}
		snapshot, err := s.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		again := State{checkRules: check}
		if err := again.Restore(snapshot); err != nil || again.IPRules() != rules {
			t.Errorf("restored: %q, %v", again.IPRules(), err)
		}
	}
	want("", 0)
	apply(updated("one"))
	want("one", 0)
	apply(updated("bad"))
	want("one", 1)
	apply(strings.Replace(updated("x"), `"x"`, `""`, 1), updated("two"))
	want("two", 2)
	if Touches(updated("x")) != "" {
		t.Error("IP rules touch an application")
	}
	line, err := IPRulesDeleted(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	apply(line)
	want("", 2)
	if s.unknown != 0 || s.invalid != 2 {
		t.Errorf("%d unknown, %d invalid", s.unknown, s.invalid)
	}
}
