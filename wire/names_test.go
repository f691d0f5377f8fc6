package wire

import (
	"bytes"
	"fmt"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

func TestSameName(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"X-Auth-User", "x-auth-user", true},
		{"X_Auth_User", "X-Auth-User", true},
		{"X.Auth.User", "x_auth-user", true},
		{"X~Auth!User", "X-Auth-User", true},
		{"X|Auth`User", "X'Auth#User", true},
		{"XAuthUser", "X-Auth-User", false},
		{"X-Auth-Users", "X-Auth-User", false},
		{"X-Auth-Us3r", "X-Auth-User", false},
		{"", "", true},
	} {
		if got := SameName(tt.a, []byte(tt.b)); got != tt.want {
			t.Errorf("SameName(%q, %q) = %v", tt.a, tt.b, got)
		}
	}
	// What CGI implementations make of names never differs for names that are the same.
	cgi := func(name string) string {
		return strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' {
				return r
			}
			return '_'
		}, strings.ToUpper(name))
	}
	for a := range 256 {
		for b := range 256 {
			x, y := string([]byte{byte(a)}), string([]byte{byte(b)})
			if a < 0x80 && b < 0x80 && SameName(x, y) != (cgi(x) == cgi(y)) {
				t.Fatalf("SameName(%q, %q) = %v", x, y, SameName(x, y))
			}
		}
	}
}

func TestRemoveField(t *testing.T) {
	for _, fields := range []string{
		"", "A: 1", "X-User: 1", "A: 1|X-User: 2", "X-User: 1|A: 2", "A: 1|X-User: 2|B: 3|A: 4", "A: 1|X_User: 2|B: 3|A: 4",
		"x.user: 1|A: 2|X-User: 3|X_user: 4|A: 5|B: 6|A: 7|x-User: 8", "Cookie: a=b; c=d|X-User: 1|User-Agent: u|Content-Type: text/x|X_USER: 2",
	} {
		var h fasthttp.RequestHeader
		h.SetMethod("PUT")
		h.SetRequestURI("/x?y")
		h.SetHost("h.test")
		h.SetProtocol("HTTP/1.0")
		want := []string{"Host: h.test"}
		var special, rest []string
		for line := range strings.SplitSeq(fields, "|") {
			name, value, ok := strings.Cut(line, ": ")
			if !ok {
				continue
			}
			h.Add(name, value)
			switch {
			case SameName(name, "X-User"):
			case name == "Cookie" || name == "User-Agent" || name == "Content-Type":
				special = append(special, line)
			default:
				rest = append(rest, textproto.CanonicalMIMEHeaderKey(name)+": "+value)
			}
		}
		slices.Sort(special)
		RemoveField(&h, "x-user")
		var got, gotSpecial []string
		for k, v := range h.All() {
			line := fmt.Sprintf("%s: %s", k, v)
			if slices.Contains(special, line) {
				gotSpecial = append(gotSpecial, line)
			} else {
				got = append(got, line)
			}
		}
		slices.Sort(gotSpecial)
		if !slices.Equal(got, append(want, rest...)) || !slices.Equal(gotSpecial, special) {
			t.Errorf("%s: left %q and %q", fields, got, gotSpecial)
		}
		if string(h.Method()) != "PUT" || string(h.RequestURI()) != "/x?y" || string(h.Protocol()) != "HTTP/1.0" {
			t.Errorf("%s: the request line is %s %s %s", fields, h.Method(), h.RequestURI(), h.Protocol())
		}
	}
}

// A head costs linear work however its names are chosen: what the index looks at
// is counted, not the time.
func TestConnectionIsLinear(t *testing.T) {
	spellings := func(n int) (names []string) {
		for i := range n {
			name := []byte("x-aaaaaaaa-b")
			for bit := range 8 {
				if i>>bit&1 == 1 {
					name[2+bit] = 'A'
				}
			}
			names = append(names, string(name))
		}
		return names
	}
	for name, names := range map[string][]string{
		"other names":      {"close", "x-nothing", "foo"},
		"one name":         {"X-Aaaaaaaa-B"},
		"all its spelling": spellings(126),
		"empty":            {"", "a"},
	} {
		var b bytes.Buffer
		b.WriteString("GET / HTTP/1.1\r\nHost: h\r\nConnection: ")
		tokens := 0
		for b.Len() < 28<<10 {
			b.WriteString(names[tokens%len(names)] + ",")
			tokens++
		}
		b.WriteString("\r\n")
		for _, n := range spellings(100) {
			b.WriteString(n + ": 1\r\n")
		}
		b.WriteString("\r\n")
		steps := 0
		nameSteps = func() { steps++ }
		var h RequestHead
		_, err := h.Parse(b.Bytes(), &DefaultLimits)
		nameSteps = nil
		if err != nil {
			t.Fatal(name, err)
		}
		// Each token may meet what shares its bucket, each field is taken out once.
		if most := 2*tokens + 200; steps > most {
			t.Errorf("%s: %d steps for %d tokens", name, steps, tokens)
		}
		hop := 0
		for _, f := range h.Fields {
			if f.Kind == Hop {
				hop++
			}
		}
		if want := map[bool]int{true: 100}[strings.Contains(name, "one") || strings.Contains(name, "all")]; hop != want {
			t.Errorf("%s: %d fields are hop-by-hop, want %d", name, hop, want)
		}
	}
	// More fields than there usually are.
	var b bytes.Buffer
	b.WriteString("GET / HTTP/1.1\r\nHost: h\r\nConnection: x-299, x_7\r\n")
	for i := range 300 {
		fmt.Fprintf(&b, "X-%d: 1\r\n", i)
	}
	b.WriteString("\r\n")
	var h RequestHead
	if _, err := h.Parse(b.Bytes(), &Limits{Head: 64 << 10, Target: 100, Fields: 1000}); err != nil {
		t.Fatal(err)
	}
	for _, f := range h.Fields {
		if want := string(f.Name) == "X-299" || string(f.Name) == "X-7"; (f.Kind == Hop) != want {
			t.Errorf("%s is of kind %d", f.Name, f.Kind)
		}
	}
}
