package router

import (
	"errors"
	"testing"
)

// A row has the normal form or the error.
var normalizeTests = []struct {
	raw, want string
	err       error
}{
	{"/", "/", nil},
	{"", "/", nil},
	{"?x=1", "/", nil},
	{"*", "*", nil},
	{"*?x", "*", nil},
	{"/a/b.c/d_e~f-g", "/a/b.c/d_e~f-g", nil},
	{"/a?b//../%zz#", "/a", nil},
	{"/a%41?b", "/aA", nil},
	{"/A", "/A", nil},
	{"/é", "/é", nil},
	{"/a!$&'()*+,;=:@", "/a!$&'()*+,;=:@", nil},

	// Escapes.
	{"/%61%5A%30%2d%2E%5f%7e", "/aZ0-._~", nil},
	{"/%c3%A9", "/é", nil},
	{"/%40%21%3B%20%22", "/@!; \"", nil},
	{"/%ff", "/\xff", nil},
	{"/a%2fb", "/a%2Fb", nil},
	{"/a%2Fb%5cc", "/a%2Fb%5Cc", nil},
	{"/%25", "/%25", nil},
	{"/%252F%252e%252e", "/%252F%252e%252e", nil},
	{"/%3f%23", "/%3F%23", nil},
	{"/%0d%0A%7F%01", "/%0D%0A%7F%01", nil},
	{"/%2f%2F", "/%2F%2F", nil},
	{"/%", "", ErrPathEscape},
	{"/%2", "", ErrPathEscape},
	{"/%2?5", "", ErrPathEscape},
	{"/%zz", "", ErrPathEscape},
	{"/%2g", "", ErrPathEscape},
	{"/%u002f", "", ErrPathEscape},
	{"/%/", "", ErrPathEscape},
	{"/%-1", "", ErrPathEscape},

	// Slashes.
	{"//", "/", nil},
	{"//a", "/a", nil},
	{"/a//b///c", "/a/b/c", nil},
	{"/a//", "/a/", nil},

	// Dot segments.
	{"/.", "/", nil},
	{"/./", "/", nil},
	{"/./a/./b/.", "/a/b/", nil},
	{"/a/..", "/", nil},
	{"/a/../", "/", nil},
	{"/a/../b", "/b", nil},
	{"/a/b/..", "/a/", nil},
	{"/a/b/../../c", "/c", nil},
	{"/a/%2e%2E/b", "/b", nil},
	{"/a/.%2e/b", "/b", nil},
	{"/a/%2e/b", "/a/b", nil},
	{"/...", "/...", nil},
	{"/.a/..b/c./d..", "/.a/..b/c./d..", nil},
	{"/.well-known/acme-challenge/x", "/.well-known/acme-challenge/x", nil},
	{"/..", "", ErrPathClimbs},
	{"/../a", "", ErrPathClimbs},
	{"/a/../..", "", ErrPathClimbs},
	{"/a/../../b", "", ErrPathClimbs},
	{"/%2e%2e/a", "", ErrPathClimbs},
	{"/./../a", "", ErrPathClimbs},

	// What backends read in different ways.
	{"/a//../b", "", ErrPathAmbiguous},
	{"//../b", "", ErrPathAmbiguous},
	{"/a//b/../c", "", ErrPathAmbiguous},
	{"/a/..%2fb", "", ErrPathAmbiguous},
	{"/a/%2e%2e%2fb", "", ErrPathAmbiguous},
	{"/a%2f..", "", ErrPathAmbiguous},
	{"/a%2f..%2fb", "", ErrPathAmbiguous},
	{"/a%5c..%5cb", "", ErrPathAmbiguous},
	{"/a%2f./b", "", ErrPathAmbiguous},
	{"/.%2fb", "", ErrPathAmbiguous},
	{"/a%2fb/../c", "", ErrPathAmbiguous},
	{"/a/..;/b", "", ErrPathAmbiguous},
	{"/a/..;x=y/b", "", ErrPathAmbiguous},
	{"/a/..%3bx/b", "", ErrPathAmbiguous},
	{"/a/.;/b", "", ErrPathAmbiguous},
	{"/a/;/../b", "", ErrPathAmbiguous},
	{"/a/;x=y/../b", "", ErrPathAmbiguous},
	{"/a/%3bx/../b", "", ErrPathAmbiguous},
	{"/a;/../b", "/b", nil},
	{"/a%2f..;x/b", "", ErrPathAmbiguous},
	{"/a;x/..b;", "/a;x/..b;", nil},
	{"/a%2f...%2fb", "/a%2F...%2Fb", nil},
	{"/a/../b//c", "/b/c", nil},
	{"/a//./b", "/a/b", nil},

	// Bytes that have no place in a path.
	{"/a\\b", "", ErrPathByte},
	{"/%41\\", "", ErrPathByte},
	{"/a\x00", "", ErrPathByte},
	{"/a%00", "", ErrPathByte},
	{"/a\nb", "", ErrPathByte},
	{"/%41\x7f", "", ErrPathByte},
	{"/a#b", "", ErrPathByte},
	{"/a/..#/b", "", ErrPathByte},
	{"a", "", ErrPathStart},
	{"a/../b", "", ErrPathStart},
	{"*/", "", ErrPathStart},
	{"**", "", ErrPathStart},
	{"%2fa", "", ErrPathStart},
	{"http://h/", "", ErrPathStart},
}

func TestNormalizePath(t *testing.T) {
	for _, tt := range normalizeTests {
		got, err := NormalizePath(nil, []byte(tt.raw))
		if string(got) != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("NormalizePath(%q) = %q, %v; want %q, %v", tt.raw, got, err, tt.want, tt.err)
		}
	}
}

func TestNormalizePathMemory(t *testing.T) {
	dst := make([]byte, 3, 64)
	raw := []byte("/already/normal")
	if got, _ := NormalizePath(dst, raw); &got[0] != &raw[0] {
		t.Error("a path in normal form was copied")
	}
	if got, _ := NormalizePath(dst, []byte("/%61")); &got[0] != &dst[0] || string(got) != "/a" {
		t.Errorf("dst was not used: %q", got)
	}
	backing := []byte("xyz")
	if got, _ := NormalizePath(nil, backing[:0]); string(got) != "/" || string(backing) != "xyz" {
		t.Errorf("an empty path became %q and what follows it %q", got, backing)
	}
}

func BenchmarkNormalizePath(b *testing.B) {
	for name, raw := range map[string]string{
		"normal":  "/api/v1/users/42/articles.json",
		"escaped": "/api/v1/us%65rs/42/../43/articles%2Fjson",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			dst, raw := make([]byte, 0, 128), []byte(raw)
			for b.Loop() {
				if _, err := NormalizePath(dst, raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
