package auth

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/internal/idkit"
)

// TestSSOBound: a token counts only in the browser where signing in began, so that
// no page can sign somebody in as somebody else.
func TestSSOBound(t *testing.T) {
	r := newSSORig(t)
	begin := func() (back *url.URL, cookie string) {
		ctx := r.do("/dash?a=b", "Accept: text/html")
		to, err := url.Parse(location(ctx))
		if err != nil {
			t.Fatal(err)
		}
		if back, err = url.Parse(to.Query().Get("next")); err != nil {
			t.Fatal(err)
		}
		for _, value := range ctx.Response.Header.Cookies() {
			line := string(value)
			if !strings.HasPrefix(line, "__Host-") || !strings.Contains(line, "; secure") || !strings.Contains(line, "path=/;") || strings.Contains(line, "domain=") {
				t.Errorf("the attempt's cookie is %s", line)
			}
			cookie, _, _ = strings.Cut(line, ";")
		}
		q := back.Query()
		q.Set("token", r.id.Sign(t, "one", idkit.Claims("joonas")))
		back.RawQuery = q.Encode()
		return back, cookie
	}
	with := func(u *url.URL, name, value string) string {
		q := u.Query()
		q.Set(name, value)
		return u.Path + "?" + q.Encode()
	}
	mine, cookie := begin()
	other, otherCookie := begin()
	for name, c := range map[string]struct{ target, cookie string }{
		"no cookie":        {mine.RequestURI(), ""},
		"another's cookie": {mine.RequestURI(), otherCookie},
		"another's state":  {with(mine, "state", other.Query().Get("state")), cookie},
		"no state":         {with(mine, "state", ""), cookie},
		"only the id":      {with(mine, "state", mine.Query().Get("state")[:idLength]), cookie},
		"another next":     {with(mine, "next", "/elsewhere"), cookie},
		"an empty secret":  {mine.RequestURI(), strings.Split(cookie, "=")[0] + "="},
		"two cookies":      {mine.RequestURI(), cookie + "; " + cookie},
	} {
		ctx := r.do(c.target, "Cookie: "+c.cookie, "Accept: text/html")
		if ctx.Response.StatusCode() != 400 || len(ctx.Response.Header.PeekCookie(ssoCookie)) > 0 {
			t.Errorf("%s: %d with %s", name, ctx.Response.StatusCode(), ctx.Response.Header.PeekCookie(ssoCookie))
		}
	}
	ctx := r.do(mine.RequestURI(), "Cookie: "+otherCookie+"; "+cookie)
	if location(ctx) != "/dash?a=b" || !strings.HasPrefix(string(ctx.Response.Header.PeekCookie(ssoCookie)), "__Host-auth=") {
		t.Errorf("where it began: %d %s", ctx.Response.StatusCode(), ctx.Response.Body())
	}
}

// TestSSOIssuer: a token that names another issuer is none.
func TestSSOIssuer(t *testing.T) {
	r := newSSORig(t)
	for issuer, want := range map[any]int{nil: 200, r.id.URL: 200, r.id.URL + "/": 200, "": 200, "https://evil.example": 403, r.id.URL + ".evil.example": 403, 7: 403} {
		c := idkit.Claims("joonas")
		if issuer != nil {
			c["iss"] = issuer
		}
		if code := r.do("/", "Authorization: Bearer "+r.id.Sign(t, "one", c)).Response.StatusCode(); code != want {
			t.Errorf("iss %v: %d, want %d", issuer, code, want)
		}
	}
}

// TestSSOPlainCookie: the cookie "auth", which any neighbouring host may set, is
// for programs; in a browser only that of the host counts. Neither is passed on.
func TestSSOPlainCookie(t *testing.T) {
	r := newSSORig(t)
	good := r.id.Sign(t, "one", idkit.Claims("joonas"))
	evil := r.id.Sign(t, "one", idkit.Claims("eve@x"))
	for _, c := range []struct {
		lines []string
		want  string
	}{
		{[]string{"Cookie: a=1; auth=" + good}, "user=joonas cookie=a=1"},
		{[]string{"Cookie: __Host-auth=" + good + "; a=1", "Sec-Fetch-Site: cross-site"}, "user=joonas cookie=a=1"},
		{[]string{"Cookie: __Host-auth=" + good + "; auth=" + evil}, "user=joonas cookie= "},
		{[]string{"Cookie: auth=" + evil, "Sec-Fetch-Site: none"}, "sign in first"},
		{[]string{"Cookie: __Host-auth=bad; auth=" + evil}, "sign in first"},
		{[]string{"Cookie: __Host-auth=" + good + "; __Host-auth=" + good, "Sec-Fetch-Site: none"}, "sign in first"},
	} {
		if body := string(r.do("/", c.lines...).Response.Body()); !strings.HasPrefix(body, c.want) {
			t.Errorf("%.40q: %s, want %s", c.lines, body, c.want)
		}
	}
}

// TestLogOut: a page of another site signs nobody out; it gets a page that asks.
func TestLogOut(t *testing.T) {
	sso, openid := newSSORig(t), newOIDCRig(t, nil)
	for _, c := range []struct {
		lines string
		out   bool
	}{
		{"", true}, {"Sec-Fetch-Site: same-origin", true}, {"Sec-Fetch-Site: none", true}, {"Sec-Fetch-Site: cross-site", false}, {"Sec-Fetch-Site: same-site", false},
		{"Sec-Fetch-Site: odd", false}, {"Referer: https://app.example/page", true}, {"Referer: https://evil.example/app.example", false}, {"Origin: https://app.example", true},
		{"Origin: null", false}, {"Origin: https://evil.example|Referer: https://app.example/", false}, {"Sec-Fetch-Site: cross-site|Origin: https://app.example", false},
	} {
		for _, method := range []string{"GET", "POST"} {
			for _, page := range []bool{true, false} {
				lines := append(strings.Split(c.lines, "|"), "X-Method: "+method)
				if c.lines == "" {
					lines = lines[1:]
				}
				accept := "Accept: */*"
				if page {
					accept = "Accept: text/html"
				}
				for name, ctx := range map[string]*fasthttp.RequestCtx{"sso": sso.do("/_auth/logout", append(lines, accept)...), "oidc": openid.do("/_auth/logout", nil, append(lines, accept)...)} {
					status, deleted := ctx.Response.StatusCode(), false
					for range ctx.Response.Header.Cookies() {
						deleted = true
					}
					want := map[bool]int{true: 200, false: 403}[page]
					if c.out {
						want = 302
					}
					if status != want || deleted != c.out {
						t.Errorf("%s, %q, page %v: %d, want %d; a cookie is deleted: %v", name, lines, page, status, want, deleted)
					}
					if status == 200 && (!strings.Contains(string(ctx.Response.Body()), `<form method="post" action="/_auth/logout">`) || string(ctx.Response.Header.Peek("X-Frame-Options")) != "DENY") {
						t.Errorf("the page is %s", ctx.Response.Body())
					}
				}
			}
		}
	}
}

// TestAttemptsAreBounded: cookies of signing in do not pile up until a head is too
// long, and the latest attempts end well.
func TestAttemptsAreBounded(t *testing.T) {
	r := newOIDCRig(t, nil)
	b := browser{"theme": "dark"}
	var line []string // as a browser has them, the oldest first
	var last []string
	for range 100 {
		ctx := r.do("/"+strings.Repeat("long", 300), nil, "Cookie: "+strings.Join(append(line, "theme=dark"), "; "))
		for name, value := range ctx.Response.Header.Cookies() {
			var c fasthttp.Cookie
			if err := c.ParseBytes(value); err != nil {
				t.Fatal(err)
			}
			if len(c.Value()) == 0 {
				for i, pair := range line {
					if strings.HasPrefix(pair, string(name)+"=") {
						line = append(line[:i:i], line[i+1:]...)
						break
					}
				}
				continue
			}
			line = append(line, string(name)+"="+string(c.Value()))
		}
		last = append(last, location(ctx))
		if n := len(strings.Join(line, "; ")); len(line) > maxAttempts || n > 2000 {
			t.Fatalf("%d cookies of %d bytes", len(line), n)
		}
	}
	for _, pair := range line {
		name, value, _ := strings.Cut(pair, "=")
		b[name] = value
	}
	for i, to := range last[len(last)-maxAttempts:] {
		if ctx := r.do(r.Authorize(t, to).RequestURI(), b); ctx.Response.StatusCode() != 302 {
			t.Errorf("attempt %d of the last: %d %s", i, ctx.Response.StatusCode(), ctx.Response.Body())
		}
	}
}

// TestOverTLS: signing in over plain HTTP goes to https first, except on this
// machine.
func TestOverTLS(t *testing.T) {
	sso, openid := newSSORig(t), newOIDCRig(t, nil)
	for _, c := range []struct{ host, proto, want string }{
		{"app.example", "http", "https://app.example/x?y=1"},
		{"app.example:8080", "http", "https://app.example/x?y=1"},
		{"192.0.2.7", "http", "https://192.0.2.7/x?y=1"},
		{"app.example", "https", ""}, {"localhost:8080", "http", ""}, {"127.0.0.1:8080", "http", ""}, {"[::1]:8080", "http", ""}, {"app.localhost", "http", ""},
		{"localhost.evil.example", "http", "https://localhost.evil.example/x?y=1"},
	} {
		for name, ctx := range map[string]*fasthttp.RequestCtx{
			"sso":  sso.do("/x?y=1", "Accept: text/html", "Host: "+c.host, "X-Forwarded-Proto: "+c.proto),
			"oidc": openid.do("/x?y=1", nil, "Accept: text/html", "Host: "+c.host, "X-Forwarded-Proto: "+c.proto),
		} {
			to := location(ctx)
			if c.want != "" && to != c.want || c.want == "" && !strings.HasPrefix(to, sso.id.URL) && !strings.HasPrefix(to, openid.URL) {
				t.Errorf("%s at %s with %s: sent to %s", name, c.host, c.proto, to)
			}
			if c.want == "" && !strings.Contains(to, url.QueryEscape(c.proto+"://"+c.host+"/_auth/")) {
				t.Errorf("%s at %s with %s: comes back by %s", name, c.host, c.proto, to)
			}
		}
	}
}

// TestOIDCClaims: Booleans and lists as strings, and what only the userinfo
// endpoint says.
func TestOIDCClaims(t *testing.T) {
	domain, ops := app.OIDCAllowed{Domains: []string{"corp.example"}}, app.OIDCAllowed{Groups: []string{"ops"}}
	none := jwt.MapClaims{"email": nil, "email_verified": nil, "groups": nil}
	for name, c := range map[string]struct {
		allowed app.OIDCAllowed
		claims  jwt.MapClaims
		info    map[string]any
		user    string // "": 403; "!": 502
	}{
		"verified as a string":        {domain, jwt.MapClaims{"email_verified": "true"}, nil, "ann@corp.example"},
		"verified as another string":  {domain, jwt.MapClaims{"email_verified": "True"}, nil, "ann@corp.example"},
		"not verified as a string":    {domain, jwt.MapClaims{"email_verified": "false"}, nil, ""},
		"verified is odd":             {domain, jwt.MapClaims{"email_verified": 1}, nil, ""},
		"a group as a string":         {ops, jwt.MapClaims{"groups": "ops"}, nil, "ann@corp.example"},
		"another group as a string":   {ops, jwt.MapClaims{"groups": "dev,ops"}, nil, ""},
		"groups of several types":     {ops, jwt.MapClaims{"groups": []any{1, nil, "ops"}}, nil, "ann@corp.example"},
		"groups that are odd":         {ops, jwt.MapClaims{"groups": map[string]int{"ops": 1}}, nil, "!"},
		"only userinfo":               {domain, none, map[string]any{"sub": "42", "email": "ann@corp.example", "email_verified": "true"}, "ann@corp.example"},
		"only userinfo has groups":    {ops, jwt.MapClaims{"groups": nil}, map[string]any{"sub": "42", "groups": []string{"ops"}}, "ann@corp.example"},
		"userinfo of somebody else":   {domain, none, map[string]any{"sub": "43", "email": "ann@corp.example", "email_verified": true}, "!"},
		"userinfo of nobody":          {domain, none, map[string]any{"email": "ann@corp.example", "email_verified": true}, "!"},
		"userinfo not verified":       {domain, none, map[string]any{"sub": "42", "email": "ann@corp.example"}, ""},
		"verified of another address": {domain, jwt.MapClaims{"email_verified": nil}, map[string]any{"sub": "42", "email": "ann@other.example", "email_verified": true}, ""},
		"userinfo against the token":  {domain, jwt.MapClaims{"email": "x@evil.example", "email_verified": true, "groups": nil}, map[string]any{"sub": "42", "email": "ann@corp.example", "email_verified": true}, ""},
		"the subject is enough":       {app.OIDCAllowed{Subjects: []string{"42"}}, none, map[string]any{"sub": "43"}, "42"},
	} {
		r := newOIDCRig(t, func(o *app.AuthOIDCOpts) { o.Allowed = &c.allowed })
		r.Set(func(b *idkit.Behaviour) { b.Claims, b.UserInfo = c.claims, c.info })
		b := browser{}
		ctx := r.enter(t, b)
		status := map[string]int{"": 403, "!": 502}[c.user]
		switch {
		case status != 0:
			if ctx.Response.StatusCode() != status || len(b) != 0 {
				t.Errorf("%s: %d, want %d; cookies %v", name, ctx.Response.StatusCode(), status, b)
			}
		default:
			if got := string(r.do("/", b).Response.Body()); got != fmt.Sprintf("user=%s cookie=", c.user) {
				t.Errorf("%s: %s (%d)", name, got, ctx.Response.StatusCode())
			}
		}
	}
}
