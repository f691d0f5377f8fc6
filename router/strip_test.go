package router

import "testing"

var stripTests = []struct {
	target, prefix, want string
	ok                   bool
}{
	{"/files/a", "/files/", "/a", true},
	{"/files/a", "/files", "/a", true},
	{"/files/", "/files/", "/", true},
	{"/files", "/files/", "/", true},
	{"/files?x=%31&y", "/files", "/?x=%31&y", true},
	{"/files/?x", "/files", "/?x", true},
	{"/files/a/b?c=/files/", "/files", "/a/b?c=/files/", true},
	{"/a/b/c", "/a/b", "/c", true},
	{"/a", "", "/a", true},
	{"/a", "/", "/a", true},
	{"/filesystem", "/files", "", false},
	{"/file", "/files", "", false},
	{"/", "/files", "", false},
	{"/Files/a", "/files", "", false},

	// A prefix in another spelling.
	{"/files/a", "/%66iles//", "/a", true},
	{"/files/a", "/x/../files/./", "/a", true},
	{"/files/a", "files", "", false},
	{"/files/a", "/files/%", "", false},

	// The rest keeps its bytes, whatever the spelling of the prefix.
	{"/files/%61%2fb%zz", "/files", "", false},
	{"/files/%61%2fb%C3é", "/files", "/%61%2fb%C3é", true},
	{"/%66iles/a", "/files", "/a", true},
	{"/%66il%65s", "/files", "/", true},
	{"/%66il%65s?%61", "/files", "/?%61", true},
	{"/files%2Fa", "/files", "", false},
	{"/a%2Fb/c", "/a%2Fb", "/c", true},
	{"/a%2fb/%63", "/a%2Fb", "/%63", true},

	// Slashes: never two at the front, which some read as an authority.
	{"//files/a", "/files", "/a", true},
	{"/files//a", "/files", "/a", true},
	{"/files//evil.example/a", "/files", "/evil.example/a", true},
	{"/files///", "/files", "/", true},
	{"/files/a//b", "/files", "/a//b", true},
	{"//a", "/", "/a", true},
	{"/a//b//c/d", "/a/b", "/c/d", true},

	// Dot segments are resolved, so nothing climbs over the prefix.
	{"/x/../files/a", "/files", "/a", true},
	{"/x/%2e%2E/files/a", "/files", "/a", true},
	{"/files/./a", "/files", "/a", true},
	{"/files/a/../%62", "/files", "/%62", true},
	{"/files/a/..", "/files", "/", true},
	{"/files/.", "/files", "/", true},
	{"/x/../files", "/files", "/", true},
	{"/x/../files?q=..", "/files", "/?q=..", true},
	{"/files/a/../../files/b", "/files", "/b", true},
	{"/files/../secret", "/files", "", false},
	{"/files/a/../../secret", "/files", "", false},
	{"/files/../../secret", "/files", "", false},
	{"/files/..%2fsecret", "/files", "", false},
	{"/files/..;/secret", "/files", "", false},
	{"/files//../secret", "/files", "", false},

	{"*", "/files", "", false},
	{"*", "", "", false},
	{"", "/files", "", false},
	{"?x", "", "", false},
	{"files/a", "/files", "", false},
	{"http://h/files/a", "/files", "", false},
	{"/files/a\\b", "/files", "", false},
	{"/files/%00", "/files", "", false},
}

func TestStripPrefix(t *testing.T) {
	for _, tt := range stripTests {
		if got, ok := StripPrefix(nil, []byte(tt.target), tt.prefix); string(got) != tt.want || ok != tt.ok {
			t.Errorf("StripPrefix(%q, %q) = %q, %v; want %q, %v", tt.target, tt.prefix, got, ok, tt.want, tt.ok)
		}
	}
}

func TestCanonicalPrefix(t *testing.T) {
	for prefix, want := range map[string]string{
		"": "", "/": "", "//": "", "/a": "/a", "/a/": "/a", "/a//b/": "/a/b", "/%61/./b/..": "/a", "/a%2fb": "/a%2Fb", "/a b": "/a b", "/a%20b": "/a b",
		"/a?b": "error", "a": "error", "/%": "error", "/../a": "error", "*": "error", "?": "error",
	} {
		got, err := CanonicalPrefix(prefix)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("CanonicalPrefix(%q) = %q, %v; want %q", prefix, got, err, want)
		}
	}
}
