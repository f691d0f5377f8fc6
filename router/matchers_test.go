package router

import (
	"net/netip"
	"regexp"
	"testing"
)

func TestMatchers(t *testing.T) {
	re := regexp.MustCompile
	yes, no := And(), Or()
	a := &testAttributes{
		method: "GET", ip: "10.1.2.3", query: "a=1&b=x%20y+z&empty&e2=&%61b=%63&a=2&bad=%zz&plus=%2B&=v",
		headers: map[string]string{"X-A": "one", "X-Empty": ""},
	}
	for _, tt := range []struct {
		m    Matcher
		text string
		want bool
	}{
		{yes, "true", true},
		{no, "false", false},
		{And(yes, yes), "(true && true)", true},
		{And(yes, no), "(true && false)", false},
		{Or(no, yes), "(false || true)", true},
		{Or(no, no), "(false || false)", false},
		{Not(no), "!false", true},
		{Not(And(yes, Not(yes))), "!(true && !true)", true},
		{And(Host("a.b")), "Host(`a.b`)", true},
		{Host("A.B.:80"), "Host(`a.b`)", true},
		{Host("x", "a.b"), "Host(`a.b`, `x`)", true},
		{Host("b"), "Host(`b`)", false},
		{Host(), "Host()", false},
		{HostRegexp(re(`\.b`)), "HostRegexp(`\\.b`)", true},
		{HostRegexp(re(`^b`)), "HostRegexp(`^b`)", false},
		{HostMatches(pattern("{x:[^.]+}.B")), "HostRegexp(`\\A(?:[^\\.]+)\\.b\\z`)", true},
		{HostMatches(pattern("{[^.]+}.c")), "HostRegexp(`\\A(?:[^\\.]+)\\.c\\z`)", false},
		{Path("/products/1"), "Path(`/products/1`)", true},
		{Path("/products/%31"), "Path(`/products/1`)", true},
		{Path("/products"), "Path(`/products`)", false},
		{Path("/products/1/"), "Path(`/products/1/`)", false},
		{PathPrefix("/prod"), "PathPrefix(`/prod`)", true},
		{PathPrefix("/products/"), "PathPrefix(`/products/`)", true},
		{PathPrefix("/products/1/"), "PathPrefix(`/products/1/`)", false},
		{PathPrefix("/Prod"), "PathPrefix(`/Prod`)", false},
		{PathPrefix("/products/1%"), "PathPrefix(`/products/1%`)", false},
		{PathPrefix(""), "PathPrefix(``)", true},
		{PathRegexp(re(`/\d$`)), "PathRegexp(`/\\d$`)", true},
		{PathRegexp(re(`^\d`)), "PathRegexp(`^\\d`)", false},
		{Method("post", "get"), "Method(`GET`, `POST`)", true},
		{Method("POST"), "Method(`POST`)", false},
		{ClientIP(netip.MustParsePrefix("10.0.0.0/8")), "ClientIP(`10.0.0.0/8`)", true},
		{ClientIP(netip.MustParsePrefix("10.9.9.9/8")), "ClientIP(`10.0.0.0/8`)", true},
		{ClientIP(netip.MustParsePrefix("::ffff:10.0.0.0/104")), "ClientIP(`10.0.0.0/8`)", true},
		{ClientIP(netip.MustParsePrefix("10.1.2.4/32"), netip.MustParsePrefix("::/0")), "ClientIP(`10.1.2.4/32`, `::/0`)", false},
		{Header("x-a", "one"), "Header(`x-a`, `one`)", false}, // the attributes decide about case, these do not fold it
		{Header("X-A", "one"), "Header(`x-a`, `one`)", true},
		{Header("X-A", "on"), "Header(`x-a`, `on`)", false},
		{Header("X-Empty", ""), "Header(`x-empty`, ``)", true},
		{Header("X-None", ""), "Header(`x-none`, ``)", false},
		{HeaderRegexp("X-A", re("n")), "HeaderRegexp(`x-a`, `n`)", true},
		{HeaderRegexp("X-A", re("^n")), "HeaderRegexp(`x-a`, `^n`)", false},
		{HeaderRegexp("X-None", re("")), "HeaderRegexp(`x-none`, ``)", false},
		{Query("a", "1"), "Query(`a`, `1`)", true},
		{Query("a", "2"), "Query(`a`, `2`)", true},
		{Query("a", "3"), "Query(`a`, `3`)", false},
		{Query("a", ""), "Query(`a`, ``)", false},
		{Query("b", "x y z"), "Query(`b`, `x y z`)", true},
		{Query("b", "x y"), "Query(`b`, `x y`)", false},
		{Query("empty", ""), "Query(`empty`, ``)", true},
		{Query("e2", ""), "Query(`e2`, ``)", true},
		{Query("ab", "c"), "Query(`ab`, `c`)", true},
		{Query("none", ""), "Query(`none`, ``)", false},
		{Query("bad", "%zz"), "Query(`bad`, `%zz`)", false},
		{Query("plus", "+"), "Query(`plus`, `+`)", true},
		{QueryRegexp("a", re("^2$")), "QueryRegexp(`a`, `^2$`)", true},
		{QueryRegexp("b", re("^x y z$")), "QueryRegexp(`b`, `^x y z$`)", true},
		{QueryRegexp("b", re("^y")), "QueryRegexp(`b`, `^y`)", false},
		{QueryRegexp("bad", re("")), "QueryRegexp(`bad`, ``)", false},
		{QueryRegexp("none", re("")), "QueryRegexp(`none`, ``)", false},
	} {
		if got := tt.m.Match([]byte("a.b"), []byte("/products/1"), a); got != tt.want {
			t.Errorf("%s: got %v", tt.text, got)
		}
		if got := text(tt.m); got != tt.text {
			t.Errorf("%s prints as %s", tt.text, got)
		}
	}
}

func TestMatchersWithoutAttributes(t *testing.T) {
	re := regexp.MustCompile("")
	for _, m := range []Matcher{
		Method("GET"), Header("a", ""), HeaderRegexp("a", re), Query("", ""), QueryRegexp("", re), ClientIP(netip.MustParsePrefix("0.0.0.0/0")),
	} {
		if m.Match(nil, []byte("/"), nil) {
			t.Errorf("%s matches nothing at all", text(m))
		}
	}
}

func TestClientIPForms(t *testing.T) {
	v4, v6 := ClientIP(netip.MustParsePrefix("10.0.0.0/8")), ClientIP(netip.MustParsePrefix("fe80::/10"))
	for _, tt := range []struct {
		m    Matcher
		ip   string
		want bool
	}{
		{v4, "::ffff:10.1.1.1", true}, {v4, "11.0.0.1", false}, {v4, "fe80::1", false}, {v4, "", false},
		{v6, "fe80::1", true}, {v6, "fe80::1%eth0", true}, {v6, "10.0.0.1", false},
	} {
		if got := tt.m.Match(nil, nil, &testAttributes{ip: tt.ip}); got != tt.want {
			t.Errorf("%s on %q: got %v", text(tt.m), tt.ip, got)
		}
	}
}

// TestUnknownClientIsAdmittedByNoRule: however an address is asked for, also the
// other way round, a client without one does not match.
func TestUnknownClientIsAdmittedByNoRule(t *testing.T) {
	ten := ClientIP(netip.MustParsePrefix("10.0.0.0/8"))
	for _, tt := range []struct {
		m     Matcher
		known bool // matches 192.0.2.1
	}{
		{ten, false}, {Not(ten), true}, {Not(Not(ten)), false}, {Not(Or(ten, Path("/x"))), true}, {Not(And(ten, Path("/"))), true},
		{And(Host("a"), Not(And(Path("/"), Not(Not(ten))))), true}, {Not(Not(Not(ten))), true},
	} {
		if got := tt.m.Match([]byte("a"), []byte("/"), &testAttributes{ip: "192.0.2.1"}); got != tt.known {
			t.Errorf("%s matches 192.0.2.1: %v", text(tt.m), got)
		}
		for _, a := range []Attributes{&testAttributes{}, nil} {
			if tt.m.Match([]byte("a"), []byte("/"), a) {
				t.Errorf("%s matches a client without an address", text(tt.m))
			}
		}
	}
	if !Not(Path("/x")).Match(nil, []byte("/"), nil) {
		t.Error("a rule that asks for no address needs one")
	}
}

func TestBoundHosts(t *testing.T) {
	for _, tt := range []struct {
		m    Matcher
		want string
	}{
		{Host("b", "A", "b"), "a b"},
		{And(Path("/"), Host("a", "b"), Host("c")), "c"},
		{And(Path("/"), Method("GET")), "any"},
		{Or(Host("b"), And(Host("a"), Path("/"))), "b a"},
		{Or(Host("b"), Path("/")), "any"},
		{Not(Host("a")), "any"},
		{And(Not(Host("a")), Or(Host("x"), Host("x"))), "x x"},
		{Or(Host("b"), bareRule{}, Host("a")), "any"},
		{Or(Host("b"), And(Path("/")), Host("a")), "any"},
		{Or(), ""},
		{bareRule{}, "any"},
	} {
		got := "any"
		if b, ok := tt.m.(hostBound); ok {
			if hosts, ok := b.boundHosts(); ok {
				got = ""
				for i, h := range hosts {
					if i > 0 {
						got += " "
					}
					got += h
				}
			}
		}
		if got != tt.want {
			t.Errorf("%s is bound to %q, want %q", text(tt.m), got, tt.want)
		}
	}
}
