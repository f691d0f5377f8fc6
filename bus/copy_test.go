package bus

import (
	"context"
	"errors"
	"testing"
)

func filled(t *testing.T, numbers ...int) *Memory {
	m := &Memory{}
	appendLines(t, m, numbers...)
	return m
}

func TestCopy(t *testing.T) {
	for _, c := range []struct {
		name            string
		from, to        *Memory
		there, appended int64
		err             error
	}{
		{"nothing", filled(t), filled(t), 0, 0, nil},
		{"all", filled(t, 1, 2, 3), filled(t), 0, 3, nil},
		{"the rest", filled(t, 1, 2, 3), filled(t, 1), 1, 2, nil},
		{"the same", filled(t, 1, 2), filled(t, 1, 2), 2, 0, nil},
		{"another", filled(t, 1, 2, 3), filled(t, 1, 9), 1, 0, ErrDiverged},
		{"longer", filled(t, 1, 2), filled(t, 1, 2, 3), 2, 0, ErrDiverged},
		{"to a log, from nothing", filled(t), filled(t, 1), 0, 0, ErrDiverged},
	} {
		t.Run(c.name, func(t *testing.T) {
			told := 0
			got, err := Copy(t.Context(), c.from, c.to, testStream, func(Copied) { told++ })
			if got.There != c.there || got.Appended != c.appended || !errors.Is(err, c.err) || err != nil && c.err == nil || int64(told) != c.appended {
				t.Errorf("%+v, %v, told %d times", got, err, told)
			}
			if err != nil {
				return
			}
			a, _ := c.from.Read(context.Background(), Start(testStream), 100)
			b, _ := c.to.Read(context.Background(), Start(testStream), 100)
			if len(a) != len(b) {
				t.Fatalf("%d and %d entries", len(a), len(b))
			}
			for i := range a {
				if !sameEvents(a[i], b[i]) {
					t.Errorf("version %d: %v and %v", i, a[i], b[i])
				}
			}
		})
	}
}

// Bookkeeping in the middle keeps its version and its line.
func TestCopyBookkeeping(t *testing.T) {
	child := ChildStreamCreated(fixedTime, testStream+"/y")
	from, err := NewMemory([]Entry{
		{Cursor: Cursor{testStream, 0}, Meta: StreamStarted(fixedTime, testStream)},
		{Cursor: Cursor{testStream, 1}, Events: []string{line(1)}},
		{Cursor: Cursor{testStream, 2}, Meta: child},
		{Cursor: Cursor{testStream, 3}, Events: []string{line(2)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	to := &Memory{}
	for range 2 {
		if _, err := Copy(t.Context(), from, to, testStream, nil); err != nil {
			t.Fatal(err)
		}
	}
	entries, _ := to.Read(t.Context(), Start(testStream), 10)
	if len(entries) != 4 || entries[2].Events[0] != child {
		t.Errorf("%+v", entries)
	}
	if _, err := NewMemory([]Entry{{Cursor: Cursor{testStream, 1}}}); !errors.Is(err, ErrDamaged) {
		t.Errorf("a log that begins with version 1: %v", err)
	}
}
