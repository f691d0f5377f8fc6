package middleware

import (
	"strings"
	"testing"
)

func TestAcceptEncoding(t *testing.T) {
	usual := []coding{zstdCoding, brotliCoding, gzipCoding}
	for _, c := range []struct {
		offered []coding
		fields  string // joined by |
		want    coding
	}{
		{usual, "", identity},
		{usual, "gzip", gzipCoding},
		{usual, "x-gzip", gzipCoding},
		{usual, "GZip, deflate", gzipCoding},
		{usual, "gzip, deflate, br", brotliCoding},
		{usual, "gzip, deflate, br, zstd", zstdCoding},
		{usual, "gzip|br", brotliCoding},
		{[]coding{gzipCoding, brotliCoding}, "gzip, deflate, br, zstd", gzipCoding},
		{[]coding{gzipCoding}, "br", identity},
		{usual, "br;q=0.9, gzip", gzipCoding},
		{usual, "br;q=0.9, gzip;q=0.8, zstd;q=0.899", brotliCoding},
		{usual, "br;q=0, gzip;q=0", identity},
		{usual, "br ; q=0.5 , gzip\t;\tq=0.6", gzipCoding},
		{usual, "br;Q=0.5,gzip;q=0.4", brotliCoding},
		{usual, "br;x=1;q=0.1;y, gzip;q=0.2", gzipCoding},
		{usual, "*", zstdCoding},
		{usual, "*;q=0.1", zstdCoding},
		{usual, "*, zstd;q=0", brotliCoding},
		{usual, "gzip, *;q=0", gzipCoding},
		{usual, "*;q=0", identity},
		{usual, "identity", identity},
		{usual, "identity, gzip", gzipCoding},
		{usual, "identity, gzip;q=0.5", identity},
		{usual, "identity;q=0.5, gzip;q=0.5", gzipCoding},
		{usual, "identity;q=0, br", brotliCoding},
		{usual, "gzip;q=1.000", gzipCoding},
		// What is malformed was not sent.
		{usual, "gzip;q=1.001", identity},
		{usual, "gzip;q=2", identity},
		{usual, "gzip;q=-1, br;q=0.1", brotliCoding},
		{usual, "gzip;q=", identity},
		{usual, "gzip;q=0.1234", identity},
		{usual, "gzip;q=.5", identity},
		{usual, "gzip;q=1x", identity},
		{usual, ",,;q=1,=,;,gzip", gzipCoding},
		{usual, "gzipped, brr, zstdx", identity},
		{usual, "br;q=0.001", brotliCoding},
		{usual, "gzip, gzip;q=0", identity},
	} {
		a := newAccepted()
		for f := range strings.SplitSeq(c.fields, "|") {
			a.add([]byte(f))
		}
		if got := a.best(c.offered); got != c.want {
			t.Errorf("%q of %v: %v, want %v", c.fields, c.offered, got, c.want)
		}
	}
}

// FuzzAcceptEncoding looks for fields that choose what the client has ruled out,
// or that differ from what their parts say.
func FuzzAcceptEncoding(f *testing.F) {
	for _, s := range []string{"gzip", "br;q=0.5, gzip;q=0.1", "*", "identity;q=1, *;q=0", "gzip;q=1.0001", ";;,,", "\tzstd ; q = 1", "br;q=0,br"} {
		f.Add(s, "gzip;q=0.3")
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		together, apart := newAccepted(), newAccepted()
		together.add([]byte(one + "," + two))
		apart.add([]byte(one))
		apart.add([]byte(two))
		if together != apart {
			t.Fatalf("%q and %q: together %v, apart %v", one, two, together, apart)
		}
		for _, offered := range [][]coding{{zstdCoding, brotliCoding, gzipCoding}, {gzipCoding}, nil} {
			best := apart.best(offered)
			if best == identity {
				continue
			}
			q := apart.weights[best]
			if q == unsaid {
				q = apart.others
			}
			if q <= 0 || q > 1000 || apart.weights[identity] > q {
				t.Fatalf("%q, %q: %v with weight %d", one, two, best, q)
			}
			if !strings.Contains(strings.ToLower(one+two), best.String()) && !strings.Contains(one+two, "*") {
				t.Fatalf("%q, %q: %v was not asked for", one, two, best)
			}
		}
	})
}

func TestMediaTypes(t *testing.T) {
	byDefault, only := mediaTypes{}, mediaTypes{only: typeList{"text/html": true, "image/*": true}}
	excluded := mediaTypes{excluded: typeList{"text/event-stream": true, "application/*": true}}
	for _, c := range []struct {
		contentType             string
		byDefault, only, except bool
	}{
		{"text/html", true, true, true},
		{"Text/HTML; charset=utf-8", true, true, true},
		{" text/html ;x", true, true, true},
		{"text/event-stream", true, false, false},
		{"application/json", true, false, false},
		{"application/problem+json", true, false, false},
		{"application/atom+xml", true, false, false},
		{"image/svg+xml", true, true, true},
		{"image/png", false, true, false},
		{"image/x-icon", true, true, true},
		{"application/wasm", true, false, false},
		{"application/octet-stream", false, false, false},
		{"application/zip", false, false, false},
		{"application/grpc", false, false, false},
		{"application/grpc+json", false, false, false},
		{"application/+json", false, false, false},
		{"video/mp4", false, false, false},
		{"font/woff2", false, false, false},
		{"font/ttf", true, false, true},
		{"multipart/mixed", false, false, false},
		{"", false, false, false},
		{";", false, false, false},
		{"text", true, false, true},
		{"x/" + strings.Repeat("y", 200), false, false, false},
	} {
		for _, m := range []struct {
			name  string
			types mediaTypes
			want  bool
		}{{"by default", byDefault, c.byDefault}, {"included", only, c.only}, {"excluded", excluded, c.except}} {
			if got := m.types.wants([]byte(c.contentType)); got != m.want {
				t.Errorf("%q %s: %v", c.contentType, m.name, got)
			}
		}
	}
}
