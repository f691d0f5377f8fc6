package wire

import (
	"strings"
	"testing"
)

// TestWithoutCookies: what is left is byte for byte what was there.
func TestWithoutCookies(t *testing.T) {
	drop := func(name []byte) bool { return string(name) == "auth" || strings.HasPrefix(string(name), "auth-") }
	for list, want := range map[string]string{
		"auth=T":                                      "",
		"a=1; auth=T; b=2":                            "a=1; b=2",
		"auth=T; a=1":                                 "a=1",
		"a=1; auth=T":                                 "a=1",
		"a=1;auth=T;b=2":                              "a=1;b=2",
		"auth=T;auth=U; a=1":                          "a=1",
		`q="x y"; auth=T; j={"a":[1,2]}`:              `q="x y"; j={"a":[1,2]}`,
		"=nameless; auth=T; flag; ; e=":               "=nameless; flag; ; e=",
		"b=2; a=1; auth-1=T; a=0; B=3":                "b=2; a=1; a=0; B=3",
		"a=%20+%3B; auth = T ;  c=\xc3\xa4, d;auth-2": "a=%20+%3B;  c=\xc3\xa4, d",
		"Auth=1; xauth=2; a=auth=3":                   "Auth=1; xauth=2; a=auth=3",
		"":                                            "",
		"auth":                                        "",
		" auth=T;  a=1":                               "a=1",
		`a="x;auth=T;y"`:                              `a="x;y"`,
	} {
		if got, _ := withoutCookies([]byte(list), drop); string(got) != want {
			t.Errorf("%q: %q, want %q", list, got, want)
		}
	}
}

// FuzzWithoutCookies: nothing that is to go stays, and what stays is in the list.
func FuzzWithoutCookies(f *testing.F) {
	for _, s := range []string{"a=1; auth=T; b=2", `q="x;auth=1"; auth`, "=;;auth=;", "auth=1;auth=2", "a"} {
		f.Add(s)
	}
	drop := func(name []byte) bool { return string(name) == "auth" }
	f.Fuzz(func(t *testing.T, list string) {
		rest, found := withoutCookies([]byte(list), drop)
		if again, more := withoutCookies(rest, drop); more {
			t.Errorf("%q: %q is left, and then %q", list, rest, again)
		}
		if !found && string(rest) != list || len(rest) > len(list) {
			t.Errorf("%q became %q", list, rest)
		}
	})
}
