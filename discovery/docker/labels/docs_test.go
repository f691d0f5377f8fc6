package labels

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// row is one of the tables of docs/docker.md: a label and what is said of it.
type row struct{ label, here string }

// documented are the rows below "## Labels". Labels of the tables of middlewares
// and headers are completed to whole names.
func documented(t *testing.T) (rows []row) {
	t.Helper()
	data, err := os.ReadFile("../../../docs/docker.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(data), "\n## Labels\n")
	if !found {
		t.Fatal("docs/docker.md has no section Labels")
	}
	name := regexp.MustCompile("`([^`]+)`")
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.ReplaceAll(line, `\|`, "\x00"), "|")
		if len(cells) < 4 || !strings.HasPrefix(cells[1], " `") {
			continue
		}
		for _, m := range name.FindAllStringSubmatch(cells[1], -1) {
			here := strings.TrimSpace(cells[2])
			switch label := m[1]; {
			case strings.HasPrefix(label, "M."):
				rows = append(rows, row{"traefik.http.middlewares." + label, here})
			case strings.HasPrefix(label, "H."):
				rows = append(rows, row{"traefik.frontend.headers." + label[2:], here}, row{"traefik.http.middlewares.M.headers." + label[2:], here})
			default:
				rows = append(rows, row{label, here})
			}
		}
	}
	return rows
}

// values are tried in turn: one of them is right for each label that is done.
var values = []string{
	"true", "false", "1", "10", "80", "10s", "x", "/x", "v3", "http", "https", "wrr", "lax", "GET", "200", "403", "/", "gzip", "^/a/(.*)", "X-A:b", "client.ip",
	"10.0.0.0/8", "http://192.0.2.9/check", "https://192.0.2.9/check", "Host:b.test", "Host(`b.test`)", "web", "public", "joe:$apr1$abcdefgh$abcdefghijklmnopqrstuv",
	"m", "s", "text/html", "hrw", "bearer_token", "secret-token", "no-referrer",
}

// beside are labels that others need to make sense, by the beginning of these.
var beside = map[string]map[string]string{
	"edgerouter.auth_bearer_token":         {"edgerouter.auth": "bearer_token"},
	"edgerouter.auth_sso.":                 {"edgerouter.auth": "sso", "edgerouter.auth_sso.tenant": "t", "edgerouter.auth_sso.users": "u"},
	"traefik.frontend.redirect.":           {"traefik.frontend.redirect.regex": "^http://a/(.*)", "traefik.frontend.redirect.replacement": "https://b/$1"},
	"traefik.frontend.auth.basic":          {"traefik.frontend.auth.basic.users": "joe:$apr1$abcdefgh$abcdefghijklmnopqrstuv"},
	"traefik.frontend.auth.forward":        {"traefik.frontend.auth.forward.address": "https://192.0.2.9/", "traefik.frontend.auth.forward.tls.cert": "/c", "traefik.frontend.auth.forward.tls.key": "/k"},
	"traefik.frontend.ratelimit.":          {"traefik.frontend.rateLimit.rateSet.NAME.average": "10"},
	"traefik.backend.healthcheck.":         {"traefik.backend.healthcheck.path": "/h"},
	"traefik.backend.maxconn.":             {"traefik.backend.maxconn.amount": "5"},
	"traefik.http.services.":               {"traefik.http.services.S.loadbalancer.healthcheck.path": "/h"},
	"traefik.http.middlewares.m.redirects": {"traefik.http.middlewares.M.redirectscheme.scheme": "https"},
	"traefik.http.middlewares.m.redirectr": {"traefik.http.middlewares.M.redirectregex.regex": "^http://a/(.*)", "traefik.http.middlewares.M.redirectregex.replacement": "https://b/$1"},
	"traefik.http.middlewares.m.replacepathr": {
		"traefik.http.middlewares.M.replacepathregex.regex": "^/a", "traefik.http.middlewares.M.replacepathregex.replacement": "/b",
	},
	"traefik.http.middlewares.m.stripprefix.": {"traefik.http.middlewares.M.stripprefix.prefixes": "/a"},
	"traefik.http.middlewares.m.basicauth.":   {"traefik.http.middlewares.M.basicauth.users": "joe:$apr1$abcdefgh$abcdefghijklmnopqrstuv"},
	"traefik.http.middlewares.m.forwardauth.": {
		"traefik.http.middlewares.M.forwardauth.address":  "https://192.0.2.9/",
		"traefik.http.middlewares.M.forwardauth.tls.cert": "/c", "traefik.http.middlewares.M.forwardauth.tls.key": "/k",
	},
	"traefik.http.middlewares.m.ipallowlist.": {"traefik.http.middlewares.M.ipallowlist.sourcerange": "10.0.0.0/8"},
	"traefik.http.middlewares.m.ipwhitelist.": {"traefik.http.middlewares.M.ipwhitelist.sourcerange": "10.0.0.0/8"},
	"traefik.http.middlewares.m.ratelimit.":   {"traefik.http.middlewares.M.ratelimit.average": "10"},
	"traefik.http.middlewares.m.inflightreq.": {"traefik.http.middlewares.M.inflightreq.amount": "10"},
	"traefik.http.middlewares.m.retry.":       {"traefik.http.middlewares.M.retry.attempts": "3"},
}

// effect is what Compile makes of a label: "done" when some value has no problem,
// else the kind of its problem.
func effect(name string) string {
	key := lower(name)
	kinds := map[string]bool{}
	for _, scheme := range []string{"http", "https"} {
		given := map[string]string{"edgerouter.auth": "public"}
		switch {
		case strings.HasPrefix(key, "traefik.http."), strings.HasPrefix(key, "traefik.tcp."), strings.HasPrefix(key, "traefik.udp."),
			strings.HasPrefix(key, "traefik.swarm"), strings.HasPrefix(key, "traefik.backend.tls"):
			given["traefik.http.routers.R.rule"] = "Host(`a.test`)"
			given["traefik.http.services.S.loadbalancer.server.scheme"] = scheme
			if strings.HasPrefix(key, "traefik.http.middlewares.") {
				given["traefik.http.routers.R.middlewares"] = "M"
			}
			// What a router may name.
			given["traefik.http.middlewares.m2.compress"] = "true"
		default:
			given["traefik.frontend.rule"] = "Host:a.test"
			given["traefik.protocol"] = scheme
		}
		for prefix, more := range beside {
			if strings.HasPrefix(key, prefix) {
				maps.Copy(given, more)
			}
		}
		for _, value := range append(values, "m2") {
			labels := maps.Clone(given)
			labels[name] = value
			found := ""
			r := Compile("shop", labels, Options{Trust: true})
			for _, a := range r.Apps {
				for _, p := range a.Problems {
					if !strings.EqualFold(p.Field, name) {
						// A middleware that is not done is told by its name alone.
						if !strings.HasPrefix(name, "traefik.http.middlewares.M.") || p.Field != "traefik.http.middlewares.M" {
							continue
						}
					}
					switch {
					case strings.Contains(p.Message, "is not known"):
						found = "unknown"
					case strings.HasPrefix(p.Message, "is not done"):
						found = "refused"
					case strings.HasPrefix(p.Message, "has no effect"):
						found = "no effect"
					default:
						found = "wrong value"
					}
				}
			}
			if found == "" {
				return "done"
			}
			kinds[found] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(kinds)), ", ")
}

// TestDocumentedLabels: what docs/docker.md says of each label is what becomes of
// it.
func TestDocumentedLabels(t *testing.T) {
	rows := documented(t)
	for _, r := range rows {
		want := "done"
		for _, w := range []string{"no effect", "refused"} {
			if strings.HasPrefix(r.here, w) {
				want = w
			}
		}
		if got := effect(r.label); got != want {
			t.Errorf("docs/docker.md says %q of %s, which is: %s", r.here, r.label, got)
		}
	}
	if len(rows) < 150 {
		t.Errorf("only %d labels were found in docs/docker.md", len(rows))
	}
}

// TestLabelsAreDocumented: docs/docker.md has every label that is known.
func TestLabelsAreDocumented(t *testing.T) {
	var have []string
	for _, r := range documented(t) {
		have = append(have, lower(r.label))
	}
	for _, name := range knownNames(t) {
		ok := slices.ContainsFunc(have, func(h string) bool {
			if strings.HasSuffix(name, ".") {
				return strings.HasPrefix(h, name) || strings.HasPrefix(h, strings.TrimSuffix(name, ".")+"[")
			}
			return h == name
		})
		if !ok {
			t.Errorf("docs/docker.md has no %s", name)
		}
	}
}

// knownNames are the labels of the code, in lower case; a name that ends with a
// dot stands for all that begin with it.
func knownNames(t *testing.T) (names []string) {
	t.Helper()
	add := func(prefix string, keys ...string) {
		for _, k := range keys {
			names = append(names, prefix+k)
		}
	}
	add("", slices.Collect(maps.Keys(commonLabels))...)
	add("", ownNames...)
	add("", "traefik.enable", "traefik.docker.network", "traefik.swarm.network", "traefik.backend", "traefik.backend.tls.insecureskipverify", "traefik.backend.tls.servername")
	add("traefik.", slices.Collect(maps.Keys(v1PartOptions))...)
	add("traefik.segment.", slices.Collect(maps.Keys(v1PartOptions))...)
	add("traefik.frontend.", slices.Collect(maps.Keys(v1FrontendOptions))...)
	add("traefik.backend.", slices.Collect(maps.Keys(v1BackendOptions))...)
	add("traefik.http.routers.r.", slices.Collect(maps.Keys(routerOptions))...)
	add("traefik.http.services.s.", slices.Collect(maps.Keys(serviceOptions))...)
	for kind := range middlewareKinds {
		keys := middlewareOptions(t)[kind]
		if len(keys) == 0 {
			// Kinds that are not done have no options; one label stands for them.
			names = append(names, "traefik.http.middlewares.m."+kind+".")
			continue
		}
		add("traefik.http.middlewares.m."+kind+".", keys...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// middlewareOptions are the names of the options of each kind of middleware, read
// from the source, since nothing keeps them at run time.
func middlewareOptions(t *testing.T) map[string][]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "v3kinds.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	named := map[string][]string{
		"forwardOptions": slices.Collect(maps.Keys(forwardOptions)), "headersOptions": slices.Collect(maps.Keys(headersOptions)),
		"ipOptions": slices.Collect(maps.Keys(ipOptions)), "rateOptions": slices.Collect(maps.Keys(rateOptions)),
	}
	out := map[string][]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		kv, ok := n.(*ast.KeyValueExpr)
		if !ok {
			return true
		}
		call, ok := kv.Value.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		if f, ok := call.Fun.(*ast.Ident); !ok || f.Name != "reads" {
			return true
		}
		kind, _ := strconv.Unquote(kv.Key.(*ast.BasicLit).Value)
		switch options := call.Args[0].(type) {
		case *ast.Ident:
			out[kind] = named[options.Name]
		case *ast.CompositeLit:
			for _, e := range options.Elts {
				key, _ := strconv.Unquote(e.(*ast.KeyValueExpr).Key.(*ast.BasicLit).Value)
				out[kind] = append(out[kind], key)
			}
		}
		if len(out[kind]) == 0 {
			t.Errorf("no options of the middleware %s were found in v3kinds.go", kind)
		}
		return false
	})
	return out
}
