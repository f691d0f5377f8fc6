package app

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzDecode checks that what is returned is good, that nothing is lost without
// a word, that what is JSON is what encoding/json says, and that what is taken is
// taken by the JSON schema as well.
func FuzzDecode(f *testing.F) {
	for _, in := range problemInputs(f) {
		f.Add([]byte(in.data))
	}
	data, err := os.ReadFile("testdata/full.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	for _, a := range full(f) {
		one, err := json.Marshal(a)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(one)
	}
	root := loadSchema(f).root
	f.Fuzz(func(t *testing.T, data []byte) {
		schema := &schemaChecker{t: t, root: root}
		apps, problems := Decode("f", data)
		if len(apps)+len(problems) == 0 && !strings.Contains(string(data), "apps") && !strings.Contains(string(data), `\u`) {
			t.Fatal("neither applications nor problems")
		}
		for _, p := range problems {
			if p.Message == "" || strings.ContainsAny(p.Error(), "\n\x00\x1b") {
				t.Fatalf("problem %#v", p)
			}
			if p.Line < 1 && !strings.HasSuffix(p.Message, "more problems") {
				t.Fatalf("problem without a place: %v", p)
			}
			if strings.HasPrefix(p.Message, "not JSON") && json.Valid(data) && !isOurs(p.Message) {
				t.Fatalf("encoding/json takes it: %v", p)
			}
		}
		if len(apps) == 0 {
			return
		}
		if body := []byte(strings.TrimPrefix(string(data), "\ufeff")); !json.Valid(body) || !utf8.Valid(body) {
			t.Fatal("applications came out of what is not JSON")
		}
		for _, a := range apps {
			if problems := a.Validate(); len(problems) > 0 {
				t.Fatalf("%v", problems)
			}
			written, err := json.Marshal(a)
			if err != nil {
				t.Fatal(err)
			}
			again, problems := Decode("again", written)
			if len(problems) > 0 || len(again) != 1 || !Equal(a, again[0]) {
				t.Fatalf("%s is read as %+v, %v", written, again, problems)
			}
			if errs := schema.file(written); len(errs) > 0 {
				t.Fatalf("the schema refuses %s: %v", written, errs)
			}
			if !Equal(a, clone(a)) || len(Diff([]Application{a}, again)) > 0 {
				t.Fatal("a copy is not equal")
			}
			Describe(Redact(a))
		}
	})
}

// isOurs says whether a syntax error is one that encoding/json does not make.
func isOurs(message string) bool {
	return strings.Contains(message, "nested deeper") || strings.Contains(message, "half of a") || strings.Contains(message, "not UTF-8")
}

// FuzzScan compares the scanner with encoding/json on any JSON.
func FuzzScan(f *testing.F) {
	for _, s := range []string{`{"a": [1, -2.5e+3, true, null, "x\n\u00e9"]}`, `[]`, `""`, `0`, `-`, `01`, `{"a":1,}`, `[1 2]`, "\"\x01\"", `"\ud83d\ude00"`, `nul`, `{} x`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s := scanner{data: data}
		s.skip()
		if s.err == nil && s.peek() != 0 || s.err == nil && s.pos < len(data) {
			s.fail(s.pos, "rest", "")
		}
		if got, want := s.err == nil, json.Valid(data); got != want && !(want && isOurs(s.err.message)) {
			t.Fatalf("%q: taken is %v, encoding/json says %v (%+v)", data, got, want, s.err)
		}
		if s.err != nil && (s.err.offset < 0 || s.err.offset > len(data)) {
			t.Fatalf("%q: offset %d", data, s.err.offset)
		}
	})
}

func FuzzDuration(f *testing.F) {
	for _, s := range []string{"5s", "1d", "1.5h", "-1s", "1e9", "7d12h", "9999999999h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := ParseDuration(s); err == nil {
			if d < 0 || d > MaxDuration {
				t.Fatalf("%q is %d", s, d)
			}
			if again, err := ParseDuration(d.String()); err != nil || again != d {
				t.Fatalf("%q is written as %s and read as %d, %v", s, d, again, err)
			}
		}
		if n, err := ParseSize(s); err == nil {
			if n < 0 || n > MaxSize {
				t.Fatalf("%q is %d", s, int64(n))
			}
			if again, err := ParseSize(n.String()); err != nil || again != n {
				t.Fatalf("%q is written as %s and read as %d, %v", s, n, int64(again), err)
			}
		}
	})
}
