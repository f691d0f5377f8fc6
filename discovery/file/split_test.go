package file

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func texts(data string, spans []span) []string {
	out := []string{}
	for _, s := range spans {
		out = append(out, data[s.start:s.end])
	}
	return out
}

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		in   string
		want []string // nil: not split
	}{
		{`{"apps":[]}`, []string{}},
		{`{"apps":[{}]}`, []string{`{}`}},
		{" { \"apps\" : [ {\"a\":[1,{}]} ,\n{\"b\":\"]}\\\"\"} ] }\n", []string{`{"a":[1,{}]}`, `{"b":"]}\""}`}},
		{`{"apps":[{"a":"\\"},{"b":"\\\\\""}]}`, []string{`{"a":"\\"}`, `{"b":"\\\\\""}`}},
		{`{"$schema":"x","apps":[{"a":1}]}`, []string{`{"a":1}`}},
		{"\ufeff{\"apps\":[{}]}", []string{`{}`}},
		{`{"apps":[{},]}`, nil},
		{`{"apps":[,{}]}`, nil},
		{`{"apps":[{}{}]}`, nil},
		{`{"apps":[{}]`, nil},
		{`{"apps":[{}]}x`, nil},
		{`{"apps":[{}],"x":1}`, nil},
		{`{"apps":[1]}`, nil},
		{`{"apps":{}}`, nil},
		{`{"id":"x"}`, nil},
		{`[{}]`, nil},
		{`{"apps":[{"a":"]}]}`, nil},
		{"", nil},
		{"{", nil},
		{`{"$schema":1,"apps":[]}`, nil},
	} {
		got, ok := split([]byte(c.in))
		if !ok {
			if c.want != nil {
				t.Errorf("split(%q): not split", c.in)
			}
			continue
		}
		if c.want == nil || !slices.Equal(texts(c.in, got), c.want) {
			t.Errorf("split(%q) = %q, want %q", c.in, texts(c.in, got), c.want)
		}
	}
}

// Whatever the change, resplit finds what split finds.
func TestResplit(t *testing.T) {
	base := `{"apps":[{"id":"a"},{"id":"b","x":[{}]}, {"id":"c"}, {"id":"d"}]}`
	pieces := []string{"", "{", "}", "[", "]", `"`, ",", `{"id":"n"},`, ` `, `\`, "x", `},{`, `{"id":"b","x":[{}]}`, `{"id":"a"},{"id":"b","x":[{}]},`}
	spans, ok := split([]byte(base))
	if !ok {
		t.Fatal("base is not split")
	}
	for from := 0; from <= len(base); from++ {
		for to := from; to <= len(base); to++ {
			for _, piece := range pieces {
				compareResplit(t, base, spans, base[:from]+piece+base[to:])
			}
		}
	}
}

func compareResplit(t *testing.T, old string, spans []span, data string) {
	t.Helper()
	want, wantOK := split([]byte(data))
	front := commonPrefix([]byte(old), []byte(data))
	got, kept, gotOK := resplit(version{[]byte(old), spans}, []byte(data), front)
	if wantOK != gotOK || wantOK && !slices.Equal(got, want) {
		t.Fatalf("resplit(%q) = %v %v, split %v %v", data, got, gotOK, want, wantOK)
	}
	if !gotOK {
		return
	}
	before, after := texts(old, spans), texts(data, got)
	if !slices.Equal(before[:kept.front], after[:kept.front]) || !slices.Equal(before[len(before)-kept.back:], after[len(after)-kept.back:]) {
		t.Fatalf("resplit(%q): elements %+v are not the same as in %q", data, kept, old)
	}
}

func FuzzSplit(f *testing.F) {
	f.Add(`{"apps":[{"id":"a"},{"id":"b"}]}`, `{"apps":[{"id":"a"},{"id":"B"}]}`)
	f.Add(`{"$schema":"s","apps":[{"a":"\\\""}]}`, `{"apps":[]}`)
	f.Add(`{"apps":[{}]}`, `{"apps":[{},{"a":{"b":[]}}]}`)
	f.Fuzz(func(t *testing.T, old, data string) {
		spans, ok := split([]byte(data))
		if ok {
			all := true
			for _, e := range texts(data, spans) {
				all = all && json.Valid([]byte(e))
			}
			var file struct {
				Apps []json.RawMessage `json:"apps"`
			}
			clean := strings.TrimPrefix(data, "\ufeff")
			if all && json.Valid([]byte(clean)) {
				if err := json.Unmarshal([]byte(clean), &file); err != nil {
					t.Fatalf("%q: split, and not of the form: %v", data, err)
				}
				want := []string{}
				for _, r := range file.Apps {
					want = append(want, string(r))
				}
				if !slices.Equal(want, texts(data, spans)) {
					t.Fatalf("%q: split into %q, encoding/json says %q", data, texts(data, spans), want)
				}
			} else if all && !strings.Contains(data, "$schema") {
				// A $schema may hold any string bytes; without one, good elements make a good file.
				t.Fatalf("%q: every element is valid and the file is not", data)
			}
		}
		if oldSpans, ok := split([]byte(old)); ok {
			compareResplit(t, old, oldSpans, data)
		}
	})
}

func BenchmarkResplit(b *testing.B) {
	var text strings.Builder
	text.WriteString(`{"apps":[`)
	for i := range 10000 {
		if i > 0 {
			text.WriteByte(',')
		}
		fmt.Fprintf(&text, `{"id":"app-%d","frontends":[{"kind":"hostname","hostname":"h%d.example.com"},{"kind":"hostname","hostname":"h%d.example.com","path_prefix":"/api"},{"kind":"hostname","hostname":"h%d.example.com","path_prefix":"/static"}],"backend":{"kind":"peer_set","peer_set_opts":{"addrs":["http://127.0.0.1:8080","http://127.0.0.1:8081"]}}}`, i, i, i, i)
	}
	text.WriteString(`]}`)
	old := []byte(text.String())
	spans, ok := split(old)
	if !ok {
		b.Fatal("not split")
	}
	changed := []byte(strings.Replace(text.String(), `"id":"app-5000"`, `"id":"app-changed"`, 1))
	b.Run("split", func(b *testing.B) {
		for b.Loop() {
			split(old)
		}
	})
	b.Run("resplit", func(b *testing.B) {
		for b.Loop() {
			resplit(version{old, spans}, changed, commonPrefix(old, changed))
		}
	})
}
