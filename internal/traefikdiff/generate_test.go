package traefikdiff

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// generator makes rules and requests that have something to do with each other.
type generator struct{ *rand.Rand }

func pick[T any](g generator, from ...T) T { return from[g.IntN(len(from))] }

func (g generator) chance(percent int) bool { return g.IntN(100) < percent }

var (
	hosts   = []string{"a.test", "A.Test", "b.test", "www.a.test", "x.b.test", "a.test.", "test", "10.0.0.1", "xn--bcher-kva.test", "*.a.test", "*.b.test", "api_v1.test", "x.y.a.test"}
	paths   = []string{"/", "/a", "/a/", "/a/b", "/ab", "/api", "/api/v1", "/foo bar", "/caf\u00e9", "/a.b", "/~x", "/a@b", "/x:y", "/a%2Fb", "/+", "/a=b&c", "/(x)", "/A"}
	exprs   = []string{`^/a`, `^/a$`, `/b`, `^/api/v[0-9]+`, `\.(js|css)$`, `^/(a|b)/`, `^/caf`, `@`, `^/foo bar`, `(?i)^/API`, `.*`, `^/a.b$`, `^/[a-z]{2,3}$`}
	hostREs = []string{`^[a-z]+\.a\.test$`, `.+`, `^a\.`, `test$`, `^(www\.)?a\.test$`, `^A\.Test$`, `(?i)^A\.Test$`, `.*`, `^[a-z]{1,3}\.test$`, `^10\.`, `^.+\.b\.test$`}
	headers = []string{"X-A", "x-a", "Content-Type", "X-B", "User-Agent", "Accept", "Cookie"}
	values  = []string{"1", "2", "a b", "text/html", "", "A", "a,b", "x=1"}
	names   = []string{"q", "page", "a b", "a[]", "Q", "caf\u00e9"}
	nets    = []string{"127.0.0.1", "127.0.0.0/8", "10.0.0.0/8", "::1", "0.0.0.0/0", "::/0", "::ffff:127.0.0.1/128", "127.0.0.1/31"}
	methods = []string{"GET", "POST", "get", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"}
)

// quote writes a value as rules may.
func (g generator) quote(v string) string {
	if strings.Contains(v, "`") || g.chance(25) {
		return strconv.Quote(v)
	}
	return "`" + v + "`"
}

// spell writes the name of a matcher in one of the cases that are taken.
func (g generator) spell(name string) string {
	switch g.IntN(12) {
	case 0:
		return strings.ToLower(name)
	case 1:
		return strings.ToUpper(name)
	case 2:
		return name[:1] + strings.ToLower(name[1:])
	}
	return name
}

func (g generator) call(name string, values ...string) string {
	var b strings.Builder
	b.WriteString(g.spell(name) + "(")
	for i, v := range values {
		if i > 0 {
			b.WriteString(pick(g, ",", ", ", " , "))
		}
		b.WriteString(g.quote(v))
	}
	b.WriteString(pick(g, ")", ")", " )"))
	return b.String()
}

func (g generator) matcher() string {
	switch g.IntN(22) {
	case 0, 1, 2, 3, 4:
		return g.call("Host", pick(g, hosts...))
	case 5, 6:
		return g.call("HostRegexp", pick(g, hostREs...))
	case 7, 8:
		return g.call("Path", pick(g, paths...))
	case 9, 10, 11:
		return g.call("PathPrefix", pick(g, paths...))
	case 12:
		return g.call("PathRegexp", pick(g, exprs...))
	case 13:
		return g.call("Method", pick(g, methods...))
	case 14:
		return g.call("ClientIP", pick(g, nets...))
	case 15, 16:
		return g.call("Header", pick(g, headers...), pick(g, values...))
	case 17:
		return g.call("HeaderRegexp", pick(g, headers...), pick(g, `^[0-9]$`, `a`, `^$`, `.*`, `^a b$`, `(?i)TEXT`))
	case 18:
		return g.call("Query", pick(g, names...))
	case 19:
		return g.call("Query", pick(g, names...), pick(g, values...))
	case 20:
		return g.call("QueryRegexp", pick(g, names...), pick(g, `^[0-9]+$`, `a`, `.*`, `^$`))
	}
	return pick(g,
		// What is wrong, or may be.
		g.call("QueryRegexp", pick(g, names...)), g.call("Host", "a.test", "b.test"), g.call("Path", "a"), g.call("Host", ""), g.call("Method", "GET", "POST"),
		g.call("Header", "X-A"), g.call("Headers", "X-A", "1"), g.call("HostRegexp", "{sub:[a-z]+}.a.test"), g.call("PathRegexp", "("), g.call("ClientIP", "nowhere"),
		g.call("Host", "b\u00fccher.test"), g.call("PathPrefix", "/{id:[0-9]+}"), "Host(a.test)", "Host('a.test')", g.call("Host", "*"), g.call("Host", "a.test:80"), g.call("Path", "/a?b=c"), "Host()")
}

// rule composes matchers.
func (g generator) rule(depth int) string {
	space := func() string { return pick(g, "", " ", " ", " ", "\n", "\t", "  ") }
	switch n := g.IntN(10); {
	case depth == 0 || n < 4:
		return g.matcher()
	case n < 5:
		return "!" + g.matcher()
	case n < 6:
		return "!(" + space() + g.rule(depth-1) + space() + ")"
	case n < 7:
		return "(" + space() + g.rule(depth-1) + space() + ")"
	case n < 9:
		return g.rule(depth-1) + space() + "&&" + space() + g.rule(depth-1)
	default:
		return g.rule(depth-1) + space() + "||" + space() + g.rule(depth-1)
	}
}

func (g generator) route() route {
	r := route{rule: g.rule(3)}
	if g.chance(30) {
		r.priority = pick(g, 1, 2, 5, 10, 20, 50, 100, 1000, len(r.rule), len(r.rule)-1, len(r.rule)+1, -1)
	}
	return r
}

// escape writes a path as clients do, and now and then as they need not.
func (g generator) escape(path string) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch {
		case c == '%': // an escape already
			b.WriteByte(c)
		case c <= ' ' || c >= 0x80, c != '/' && g.chance(3):
			b.WriteString(pick(g, fmt.Sprintf("%%%02X", c), fmt.Sprintf("%%%02x", c)))
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func (g generator) request() string {
	target := g.escape(pick(g, paths...))
	if g.chance(25) {
		target += pick(g, "/", "/x", "/b", "//", "/.", "/../a", ";x=1", "%2e%2e", "/v1", ".js", "%40", "%3A")
	}
	if g.chance(40) {
		var list []string
		for range 1 + g.IntN(3) {
			p := strings.NewReplacer(" ", pick(g, "+", "%20")).Replace(pick(g, names...))
			if g.chance(80) {
				p += "=" + strings.ReplaceAll(pick(g, values...), " ", pick(g, "+", "%20"))
			}
			list = append(list, p)
		}
		target += "?" + strings.Join(list, pick(g, "&", "&", "&", ";"))
	}
	var b strings.Builder
	host := strings.TrimPrefix(pick(g, hosts...), "*")
	if strings.HasPrefix(host, ".") {
		host = pick(g, "s", "www", "x.y") + host
	}
	if g.chance(20) {
		host += ":8080"
	}
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", pick(g, "GET", "GET", "GET", "POST", "DELETE", "OPTIONS"), strings.ReplaceAll(target, "\u00e9", "%C3%A9"), host)
	for range g.IntN(4) {
		fmt.Fprintf(&b, "%s: %s\r\n", pick(g, headers...), pick(g, values...))
	}
	b.WriteString("\r\n")
	return b.String()
}
