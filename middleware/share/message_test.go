package share

import (
	"bytes"
	"slices"
	"testing"
)

// The example of the paper's appendix: key 00 01 .. 0f, input 00 01 .. 0e; and the
// empty input, of the authors' table of test vectors.
func TestSum(t *testing.T) {
	var key [16]byte
	input := make([]byte, 15)
	for i := range key {
		key[i] = byte(i)
	}
	for i := range input {
		input[i] = byte(i)
	}
	k := NewKey(key)
	if got := k.Sum(input); got != 0xa129ca6149be45e5 {
		t.Errorf("15 bytes: %#x", got)
	}
	if got := k.Sum(nil); got != 0x726fdb47dd0e0e31 {
		t.Errorf("nothing: %#x", got)
	}
	if NewKey([16]byte{1}).Sum(input) == k.Sum(input) {
		t.Error("the key does not matter")
	}
}

func BenchmarkSum(b *testing.B) {
	k, input := NewKey([16]byte{1}), make([]byte, 9)
	for b.Loop() {
		k.Sum(input)
	}
}

func TestEncode(t *testing.T) {
	h := head{first: true, last: true, mark: 7, from: 9}
	many := make([]count, 3*maxCounts)
	for i := range many {
		many[i] = count{InFlight, uint64(i / 1000), uint64(i), maxCount}
	}
	for name, counts := range map[string][]count{
		"nothing":   {},
		"one":       {{Rate, 1, 2, 3}},
		"two kinds": {{Rate, 1, 2, 3}, {Rate, 1, 3, 1 << 29}, {InFlight, 1, 2, 1}, {InFlight, 2, 2, 1}},
		"many":      many,
	} {
		messages := encode(h, counts)
		got := []count{}
		for i, m := range messages {
			back, err := decode(m, nil)
			if err != nil || back != (head{i == 0, i == len(messages)-1, 7, 9}) {
				t.Fatalf("%s: %+v, %v", name, back, err)
			}
			_, _ = decode(m, func(c count) { got = append(got, c) })
		}
		if !slices.Equal(got, counts) {
			t.Errorf("%s: %d counts came back of %d", name, len(got), len(counts))
		}
	}
	if m := encode(h, []count{{Rate, 1, 2, maxCount + 5}}); len(m) != 1 {
		t.Error("more than one message")
	} else if _, err := decode(m[0], nil); err != nil {
		t.Errorf("a count that is too large: %v", err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := encode(head{mark: 1, from: 2}, []count{{Rate, 1, 2, 300}})[0]
	change := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(good)) }
	for name, b := range map[string][]byte{
		"nothing":          nil,
		"part of a head":   good[:headLen-1],
		"cut off":          good[:len(good)-1],
		"more than it has": append(bytes.Clone(good), 1),
		"too long":         append(bytes.Clone(good), make([]byte, maxMessage)...),
		"next version":     change(func(b []byte) []byte { b[0]++; return b }),
		"unknown flag":     change(func(b []byte) []byte { b[1] = 4; return b }),
		"unknown kind":     change(func(b []byte) []byte { b[headLen] = 3; return b }),
		"no counts":        change(func(b []byte) []byte { return append(b[:headLen+9], 0) }),
		"far more counts": change(func(b []byte) []byte {
			return append(b[:headLen+9], 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1)
		}),
		"too long a form": change(func(b []byte) []byte { return append(b[:headLen+9], append([]byte{0x81, 0}, b[headLen+10:]...)...) }),
		"a count of 0":    change(func(b []byte) []byte { return append(b[:len(b)-2], 0) }),
		"too much":        change(func(b []byte) []byte { return append(b[:len(b)-2], 0xff, 0xff, 0xff, 0xff, 0x7f) }),
	} {
		if h, err := decode(b, nil); err == nil {
			t.Errorf("%s: %+v", name, h)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(head{mark: 1, from: 2}, nil)[0])
	f.Add(encode(head{first: true, mark: 1, from: 2}, []count{{Rate, 1, 2, 300}, {InFlight, 3, 4, 1}, {InFlight, 3, 5, maxCount}})[0])
	f.Add([]byte{1, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := decode(b, nil)
		if err != nil {
			return
		}
		var counts []count
		if again, err := decode(b, func(c count) { counts = append(counts, c) }); err != nil || again != h {
			t.Fatalf("a second time: %+v, %v", again, err)
		}
		for _, c := range counts {
			if c.n < 1 || c.n > maxCount {
				t.Fatalf("%+v", c)
			}
		}
		var back []count
		for _, m := range encode(h, counts) {
			if _, err := decode(m, func(c count) { back = append(back, c) }); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(counts, back) {
			t.Fatalf("%v became %v", counts, back)
		}
	})
}
