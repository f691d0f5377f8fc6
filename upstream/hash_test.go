package upstream

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"testing"
)

func TestParseHashOn(t *testing.T) {
	for in, want := range map[string]hashOn{
		"":                {hashClientIP, ""},
		"client_ip":       {hashClientIP, ""},
		"path":            {hashPath, ""},
		"header:X-Tenant": {hashHeader, "X-Tenant"},
		"cookie:sid":      {hashCookie, "sid"},
	} {
		if got, err := parseHashOn(in); err != nil || got != want {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"ip", "header", "header:", "header:a b", "cookie:", "cookie:a=b", "path:x", "client_ip:", "header:\u00fc"} {
		if got, err := parseHashOn(in); err == nil {
			t.Errorf("%q: accepted as %v", in, got)
		}
	}
}

// TestHashBytesStable: a new version of the program must send the same clients
// to the same peers.
func TestHashBytesStable(t *testing.T) {
	for in, want := range map[string]uint64{
		"":                               0xb20868d374e41a59,
		"a":                              0xa6b0eed43029eab6,
		"10.1.2.3":                       0xae7f1fe476e9c54c,
		"12345678":                       0x748541510fdd1c5f,
		"123456789":                      0x602c6d3f45970aef,
		"/a/path/that/is/longer/than/16": 0x526df49ceb7b7127,
	} {
		if got := hashBytes([]byte(in)); got != want {
			t.Errorf("%q: %#x", in, got)
		}
	}
}

// TestHashBytesSpread: keys that differ little are spread as by chance.
func TestHashBytesSpread(t *testing.T) {
	const n, buckets = 1 << 16, 256
	for name, key := range map[string]func(i int) []byte{
		"ipv4":    func(i int) []byte { return []byte{10, 0, byte(i >> 8), byte(i)} },
		"text":    func(i int) []byte { return fmt.Appendf(nil, "10.0.%d.%d", i>>8, i&255) },
		"path":    func(i int) []byte { return fmt.Appendf(nil, "/catalogue/items/%d/details", i) },
		"counter": func(i int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(i)) },
		"zeros":   func(i int) []byte { return make([]byte, i) },
	} {
		n := n
		if name == "zeros" {
			n = 4096
		}
		var low, high [buckets]int
		seen := make(map[uint64]bool, n)
		for i := range n {
			h := hashBytes(key(i))
			low[h%buckets]++
			high[h>>56]++
			seen[h] = true
		}
		if len(seen) != n {
			t.Errorf("%s: %d collisions", name, n-len(seen))
		}
		for _, counts := range [][buckets]int{low, high} {
			// Chi-square with 255 degrees of freedom: mean 255, deviation 22.6.
			var chi float64
			want := float64(n) / buckets
			for _, c := range counts {
				chi += (float64(c) - want) * (float64(c) - want) / want
			}
			if chi < 150 || chi > 380 {
				t.Errorf("%s: chi-square %.0f", name, chi)
			}
		}
	}
}

// TestHashAvalanche: one bit of the key moves about half of the hash's bits.
func TestHashAvalanche(t *testing.T) {
	for _, size := range []int{1, 4, 8, 9, 16, 31} {
		var flips, pairs float64
		for i := range 500 {
			key := make([]byte, size)
			for j := range key {
				key[j] = byte(i*31 + j*7)
			}
			h := hashBytes(key)
			for bit := range size * 8 {
				key[bit/8] ^= 1 << (bit % 8)
				d := bits.OnesCount64(h ^ hashBytes(key))
				key[bit/8] ^= 1 << (bit % 8)
				if d < 8 || d > 56 {
					t.Fatalf("size %d bit %d: %d bits differ", size, bit, d)
				}
				flips += float64(d)
				pairs++
			}
		}
		if mean := flips / pairs; math.Abs(mean-32) > 0.5 {
			t.Errorf("size %d: %.2f bits differ on average", size, mean)
		}
	}
}
