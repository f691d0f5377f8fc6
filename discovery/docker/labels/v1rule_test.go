package labels

import (
	"fmt"
	"strings"
	"testing"

	"edgerouter/app"
)

// frontendsOf writes the frontends and rewrites of a rule, or its error.
func frontendsOf(rule string) string {
	r, err := parseV1(rule)
	if err != nil {
		return "error: " + err.Error()
	}
	var out []string
	for _, f := range r.frontends() {
		text := f.Rule + f.HostnameRegexp
		if f.Kind == app.FrontendHostnameRegexp {
			text = "hosts " + text
		}
		if f.StripPathPrefix != "" {
			text += " without " + f.StripPathPrefix
		}
		out = append(out, text)
	}
	for _, expr := range r.removes {
		out = append(out, "remove "+expr)
	}
	for _, m := range r.rewrites {
		switch {
		case m.AddPrefix != nil:
			out = append(out, "add "+m.AddPrefix.Prefix)
		case m.ReplacePath.Path != "":
			out = append(out, "path "+m.ReplacePath.Path)
		default:
			out = append(out, "replace "+m.ReplacePath.Regexp+" by "+m.ReplacePath.Replacement)
		}
	}
	return strings.Join(out, " | ")
}

func TestRulesOfTraefikV1(t *testing.T) {
	for _, c := range [][2]string{
		{"Host:a.com", "Host(`a.com`)"},
		{" host : a.com , b.com ;", "Host(`a.com`) || Host(`b.com`)"},
		{"Host:a.com;PathPrefix:/x", "Host(`a.com`) && PathPrefix(`/x`)"},
		{"Host:a.com;PathPrefix:/x,/y", "Host(`a.com`) && (PathPrefix(`/x`) || PathPrefix(`/y`))"},
		{"Path:/a,/b", "Path(`/a`) || Path(`/b`)"},
		{"Path:/a/{id}", "PathRegexp(`^/a/(?:[^/]+)$`)"},
		{"PathPrefix:/a/{id:[0-9]{2,3}}/b", "PathRegexp(`^/a/(?:[0-9]{2,3})/b`)"},
		{"PathPrefix:/a.b/{[a-z]+}", "PathRegexp(`^/a\\.b/(?:[a-z]+)`)"},
		{"HostRegexp:{sub:[a-z]+}.a.com", "hosts {sub:[a-z]+}.a.com"},
		{"HostRegexp:hellohttp.{[^.]+}.example.net,x.{y}.z", "hosts hellohttp.{[^.]+}.example.net | hosts x.{y}.z"},
		{"HostRegexp:{sub:[a-z]+}.A.com;Method:get", "HostRegexp(`^(?:[a-z]+)\\.a\\.com$`) && Method(`GET`)"},
		{"Method:GET,POST", "Method(`GET`) || Method(`POST`)"},
		{"Host:a.com;Headers:X-A,b,X-C,d", "Host(`a.com`) && Header(`X-A`, `b`) && Header(`X-C`, `d`)"},
		{"HeadersRegexp:Accept,text/(html|plain)", "HeaderRegexp(`Accept`, `text/(html|plain)`)"},
		{"Query:a=b,c,d={e:[0-9]+},f=", "Query(`a`, `b`) && Query(`c`) && QueryRegexp(`d`, `^(?:[0-9]+)$`) && Query(`f`)"},
		{"Host:a.com;PathPrefixStrip:/x", "Host(`a.com`) && (Path(`/x`) || PathPrefix(`/x/`)) without /x"},
		{"PathPrefixStrip:/x/", "PathPrefix(`/x/`) without /x/"},
		{"Host:a.com;PathPrefixStrip:/x,/y", "Host(`a.com`) && (Path(`/x`) || PathPrefix(`/x/`)) without /x | Host(`a.com`) && (Path(`/y`) || PathPrefix(`/y/`)) without /y"},
		{"Host:a.com;PathStrip:/x", "Host(`a.com`) && Path(`/x`) without /x"},
		{"Host:a.com;PathPrefixStrip:/", "Host(`a.com`) && PathPrefix(`/`)"},
		{"PathStripRegex:/v{n:[0-9]+}", "PathRegexp(`^/v(?:[0-9]+)$`) | remove ^/v(?:[0-9]+)"},
		{"PathPrefixStripRegex:/v{n:[0-9]+}/,/x.y", "PathRegexp(`^/v(?:[0-9]+)/`) || PathPrefix(`/x.y`) | remove ^/v(?:[0-9]+)/ | remove ^/x\\.y"},
		{"Host:a.com;AddPrefix:/y", "Host(`a.com`) | add /y"},
		{"Host:a.com;ReplacePath:/y", "Host(`a.com`) | path /y"},
		{"Host:a.com;ReplacePathRegex: ^/api/v2/(.*) /api/$1", "Host(`a.com`) | replace ^/api/v2/(.*) by /api/$1"},

		{"", "error: says nothing of which requests it takes: write one such as Host:example.com"},
		{"AddPrefix:/y", "error: says nothing of which requests it takes: write one such as Host:example.com"},
		{"Host", `error: column 1: "Host" has no colon: write Host:example.com`},
		{"Host:", "error: column 1: Host has no value"},
		{"Host:a.com; Hots:b", `error: column 13: unknown matcher "Hots": did you mean "Host"?`},
		{"Host(`a.com`)", "error: column 1: this is the notation of Traefik v2 and v3: write Host:example.com here, or use a label traefik.http.routers.NAME.rule"},
		{"Path:a", `error: column 1: the path "a" does not begin with a slash`},
		{"Path:/{a", `error: column 1: "/{a": a brace is not closed`},
		{"Path:/a}", `error: column 1: "/a}": a closing brace has no opening one`},
		{"Path:/{n:[}", "error: column 1: \"/{n:[}\": a brace is not closed"},
		{"Path:/{n:(}", "error: column 1: \"/{n:(}\": {n:(}: not a regular expression: missing closing ): `(`"},
		{"Path:/{n:}", `error: column 1: "/{n:}": {n:}: is empty`},
		{"HostRegexp:{}", `error: column 1: "{}": {}: is empty`},
		{"Headers:X-A", "error: column 1: Headers takes pairs of a name and a value with commas between them, this has 1 values"},
		{"PathPrefixStrip:/{x}", `error: column 1: "/{x}" has a part in braces: use PathPrefixStripRegex`},
		{"ReplacePathRegex:x", "error: column 1: ReplacePathRegex takes a regexp and its replacement with a space between them"},
	} {
		if got := frontendsOf(c[0]); got != c[1] {
			t.Errorf("%q\n got %s\nwant %s", c[0], got, c[1])
		}
	}
}

func TestLongLabels(t *testing.T) {
	long := strings.Repeat("a.example.com,", 100<<10/14)
	for name, labels := range map[string]map[string]string{
		"a rule of 100 KB": {"traefik.frontend.rule": "Host:" + long},
		"a rule of 60 KB":  {"traefik.frontend.rule": "Host:" + long[:60<<10]},
		"a rule of 10 KB":  {"traefik.frontend.rule": "Host:" + long[:10<<10]},
		"a v3 rule":        {"traefik.http.routers.r.rule": "Host(`" + long + "`)"},
		"braces":           {"traefik.frontend.rule": "Path:/" + strings.Repeat("{", 15000)},
		"regexps":          {"traefik.frontend.rule": "Path:/" + strings.Repeat("{a:(x|y)*}", 1500)},
		"strips":           {"traefik.frontend.rule": "Host:a.com;PathPrefixStrip:" + strings.Repeat("/x,", 1000)},
		"chains":           {"traefik.http.routers.r.rule": "Host(`a`)", "traefik.http.routers.r.middlewares": strings.Repeat("m,", 1000), "traefik.http.middlewares.m.chain.middlewares": strings.Repeat("m,", 1000)},
		"a long name":      {"traefik.frontend.rule": "Host:a.com", "traefik." + long: "x", "traefik.http.routers." + long + ".rulez": "x"},
		"users":            {"traefik.frontend.rule": "Host:a.com", "traefik.frontend.auth.basic.users": long},
	} {
		labels["edgerouter.auth"] = "public"
		r := Compile("shop", labels, Options{})
		checkResult(t, labels, r)
		if name != "a long name" && !r.Apps[0].Broken {
			t.Errorf("%s is not refused", name)
		}
		size := 0
		for _, p := range r.Apps[0].Problems {
			size += len(p.Error())
		}
		if size > 400<<10 && name != "a long name" {
			t.Errorf("%s makes problems of %d bytes", name, size)
		}
	}
	many := map[string]string{"traefik.frontend.rule": "Host:a.com", "edgerouter.auth": "public"}
	for i := range 2 * maxLabels {
		many[fmt.Sprintf("traefik.x%d", i)] = "y"
	}
	r := Compile("shop", many, Options{})
	checkResult(t, many, r)
	if !r.Apps[0].Broken || len(r.Apps[0].Problems) > maxTold+1 {
		t.Errorf("%d labels: broken is %v, %d problems", len(many), r.Apps[0].Broken, len(r.Apps[0].Problems))
	}
}

func TestSharedMiddlewares(t *testing.T) {
	theirs := Declared(map[string]string{
		"traefik.http.middlewares.Users.basicauth.users": "joe:{SHA}abc", "traefik.http.middlewares.Users.basicauth.realm": "x",
		"traefik.http.middlewares.zip.compress": "true", "unrelated": "x",
	})
	if len(theirs) != 2 || Declared(map[string]string{"traefik.enable": "true"}) != nil {
		t.Fatalf("declared: %v", theirs)
	}
	given := map[string]string{
		"edgerouter.auth": "public", "traefik.http.routers.r.rule": "Host(`a`)", "traefik.http.routers.r.middlewares": "users@docker,zip",
	}
	shared := map[string]Shared{"users": {Middleware: theirs["users"]}, "zip": {Middleware: theirs["zip"]}}
	r := Compile("shop", given, Options{Shared: shared})
	if r.Apps[0].Broken || len(r.Apps[0].Definition.Middlewares) != 2 || len(r.Borrowed) != 2 {
		t.Errorf("%+v", r)
	}
	// A container's own comes first.
	given["traefik.http.middlewares.zip.addprefix.prefix"] = "/x"
	r = Compile("shop", given, Options{Shared: shared})
	if m := r.Apps[0].Definition.Middlewares; r.Apps[0].Broken || m[1].AddPrefix == nil || len(r.Borrowed) != 1 {
		t.Errorf("%+v", r)
	}
	shared["users"] = Shared{Middleware: theirs["users"], Ambiguous: true}
	if r = Compile("shop", given, Options{Shared: shared}); !r.Apps[0].Broken {
		t.Error("an ambiguous middleware is taken")
	}
	// Nobody borrows what is not there to be shared.
	off := Declared(map[string]string{"traefik.enable": "false", "traefik.http.middlewares.zip.compress": "true"})
	if len(off) != 0 {
		t.Error("a container that is switched off declares middlewares")
	}
}

func TestDefaultAuth(t *testing.T) {
	given := map[string]string{"traefik.frontend.rule": "Host:a.com"}
	if r := Compile("a", given, Options{DefaultAuth: "public"}); r.Apps[0].Broken {
		t.Errorf("%v", r.Apps[0].Problems)
	}
	given["edgerouter.auth"] = "bearer_token"
	if r := Compile("a", given, Options{DefaultAuth: "public"}); !r.Apps[0].Broken {
		t.Error("the default goes before the label")
	}
}

func TestShown(t *testing.T) {
	for _, c := range [][3]string{
		{"edgerouter.auth_bearer_token", "sesame", "***"},
		{"traefik.frontend.auth.basic.users", "joe:hash,eve:hush", "joe:***"},
		{"traefik.http.middlewares.m.basicauth.users", "joe:hash", "joe:***"},
		{"traefik.http.middlewares.m.headers.customrequestheaders.Authorization", "Basic abc", "***"},
		{"traefik.frontend.headers.customRequestHeaders", "X-A:b||X-Api-Key:secret", "X-A:b||X-Api-Key:***"},
		{"traefik.frontend.rule", "Host:a.com", "Host:a.com"},
		{"edgerouter.auth_sso.users", "1,2", "1,2"},
		{"edgerouter.auth_bearer_token", "env:TOKEN", "env:TOKEN"},
		{"edgerouter.auth_v0.bearer_token", "sesame", "***"},
		{"traefik.http.middlewares.m.basicauth.userz", "joe:hash", "joe:***"},
		{"traefik.http.middlewares.m.basicAuth.realm", "a:b", "a:b"},
		{"traefik.http.middlewares.basicauth.stripprefix.prefixes", "/a", "/a"},
		{"traefik.http.middlewares.m.forwardauth.address", "http://joe:secret@h/x", "http://***@h/x"},
		{"traefik.http.middlewares.m.forwardauth.address", "http://h/@x", "http://h/@x"},
	} {
		got := Shown(map[string]string{c[0]: c[1], "com.example": "x"})
		if !strings.HasPrefix(got[c[0]], c[2]) || len(got) != 1 {
			t.Errorf("%s=%s is shown as %v", c[0], c[1], got)
		}
		for _, secret := range []string{"sesame", "hash", "hush", "abc", "secret"} {
			if strings.Contains(got[c[0]], secret) {
				t.Errorf("%s shows %s", c[0], secret)
			}
		}
	}
}
