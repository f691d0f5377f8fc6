package auth

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/internal/idkit"
)

var sessionKey = bytes.Repeat([]byte{7}, 32)

type oidcRig struct {
	*idkit.Provider
	handler fasthttp.RequestHandler
	clock
	log bytes.Buffer
}

// clock is a time that stands still however slow the machine is. A test moves it.
type clock struct {
	start time.Time
	ahead atomic.Int64 // nanoseconds
}

func (c *clock) now() time.Time { return c.start.Add(time.Duration(c.ahead.Load())) }

func newOIDCRig(t testing.TB, change func(*app.AuthOIDCOpts)) *oidcRig {
	r := &oidcRig{Provider: idkit.StartProvider(t), clock: clock{start: time.Now()}}
	opts := app.AuthOIDCOpts{Issuer: r.URL, ClientID: "edge", ClientSecret: "s3cret", Allowed: &app.OIDCAllowed{Domains: []string{"corp.example"}}}
	if change != nil {
		change(&opts)
	}
	wrap, err := NewOIDC(opts, SignInDeps{
		App: "grafana", Client: http.DefaultClient, Resolve: literal, SessionKey: sessionKey, Log: zerolog.New(&r.log), Now: r.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.handler = wrap(func(ctx *fasthttp.RequestCtx) {
		ctx.SetBodyString("user=" + string(ctx.Request.Header.Peek("X-Auth-User")) + " cookie=" + string(ctx.Request.Header.Peek("Cookie")))
	})
	return r
}

func (r *oidcRig) do(uri string, cookies browser, lines ...string) *fasthttp.RequestCtx {
	ctx := request("192.0.2.1", "")
	ctx.Request.SetRequestURI(uri)
	ctx.Request.Header.SetHost("app.example")
	ctx.Request.Header.Set("Accept", "text/html")
	ctx.Request.Header.Set("X-Forwarded-Proto", "https")
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		ctx.Request.Header.Set(name, value)
	}
	if len(cookies) > 0 {
		ctx.Request.Header.Set("Cookie", cookies.String())
	}
	r.handler(ctx)
	cookies.take(ctx)
	return ctx
}

// browser keeps cookies.
type browser map[string]string

func (b browser) String() string {
	var list []string
	for k, v := range b {
		list = append(list, k+"="+v)
	}
	return strings.Join(list, "; ")
}

func (b browser) take(ctx *fasthttp.RequestCtx) {
	for key, value := range ctx.Response.Header.Cookies() {
		var c fasthttp.Cookie
		if c.ParseBytes(value) != nil || b == nil {
			continue
		}
		if c.Expire().Before(time.Now()) && c.MaxAge() == 0 {
			delete(b, string(key))
		} else {
			b[string(key)] = string(c.Value())
		}
	}
}

func location(ctx *fasthttp.RequestCtx) string {
	return string(ctx.Response.Header.Peek("Location"))
}

// enter signs in and returns the answer to the callback.
func (r *oidcRig) enter(t testing.TB, b browser) *fasthttp.RequestCtx {
	t.Helper()
	ctx := r.do("/dash?a=b", b)
	if ctx.Response.StatusCode() != 302 {
		t.Fatalf("not sent to the provider: %d %s", ctx.Response.StatusCode(), ctx.Response.Body())
	}
	return r.do(r.Authorize(t, location(ctx)).RequestURI(), b)
}

func TestOIDC(t *testing.T) {
	r := newOIDCRig(t, nil)
	b := browser{"theme": "dark"}
	ctx := r.enter(t, b)
	if ctx.Response.StatusCode() != 302 || location(ctx) != "/dash?a=b" {
		t.Fatalf("after signing in: %d %s %s", ctx.Response.StatusCode(), location(ctx), ctx.Response.Body())
	}
	if len(b) != 2 {
		t.Errorf("the browser has %d cookies, want the session and its own: %v", len(b), b)
	}
	ctx = r.do("/dash", b, "X-Auth-User: root", "Accept: application/json")
	if got := string(ctx.Response.Body()); got != "user=ann@corp.example cookie=theme=dark" {
		t.Errorf("the backend got %s", got)
	}
	// Another node with the same key knows the session, one of another
	// application does not.
	for id, want := range map[string]int{"grafana": 200, "prometheus": 401} {
		wrap, err := NewOIDC(app.AuthOIDCOpts{Issuer: r.URL, ClientID: "edge", ClientSecret: "s3cret", Allowed: &app.OIDCAllowed{Domains: []string{"corp.example"}}},
			SignInDeps{App: id, Client: http.DefaultClient, Resolve: literal, SessionKey: sessionKey, Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		ctx := request("192.0.2.1", "")
		ctx.Request.Header.Set("Cookie", b.String())
		wrap(func(ctx *fasthttp.RequestCtx) { ctx.SetStatusCode(200) })(ctx)
		if got := ctx.Response.StatusCode(); got != want {
			t.Errorf("at a node for %s: %d, want %d", id, got, want)
		}
	}
	r.ahead.Store(int64(sessionFor))
	if code := r.do("/dash", b).Response.StatusCode(); code != 302 {
		t.Errorf("after the session: %d", code)
	}
	r.ahead.Store(0)
	if ctx := r.do("/_auth/logout", b); location(ctx) != "https://id.example/logout" {
		t.Errorf("logout goes to %s", location(ctx))
	}
	if code := r.do("/dash", b, "Accept: */*").Response.StatusCode(); code != 401 {
		t.Errorf("after logging out: %d", code)
	}
}

func TestOIDCAllowed(t *testing.T) {
	for name, c := range map[string]struct {
		allowed app.OIDCAllowed
		claims  jwt.MapClaims
		user    string // "": refused
	}{
		"email":                      {app.OIDCAllowed{Emails: []string{"Ann@Corp.example"}}, nil, "ann@corp.example"},
		"other email":                {app.OIDCAllowed{Emails: []string{"bob@corp.example"}}, nil, ""},
		"email that is not verified": {app.OIDCAllowed{Emails: []string{"ann@corp.example"}}, jwt.MapClaims{"email_verified": false}, ""},
		"email without a word on it": {app.OIDCAllowed{Domains: []string{"corp.example"}}, jwt.MapClaims{"email_verified": nil}, ""},
		"domain in other case":       {app.OIDCAllowed{Domains: []string{"CORP.example"}}, nil, "ann@corp.example"},
		"domain of a part":           {app.OIDCAllowed{Domains: []string{"example"}}, nil, ""},
		"domain at the end":          {app.OIDCAllowed{Domains: []string{"corp.example"}}, jwt.MapClaims{"email": "x@evil.example@corp.example"}, ""},
		"group":                      {app.OIDCAllowed{Groups: []string{"ops"}}, jwt.MapClaims{"email_verified": false}, "42"},
		"other group":                {app.OIDCAllowed{Groups: []string{"op"}}, nil, ""},
		"subject":                    {app.OIDCAllowed{Subjects: []string{"42"}}, jwt.MapClaims{"email": nil}, "42"},
		"other subject":              {app.OIDCAllowed{Subjects: []string{"4"}}, nil, ""},
		"one of several":             {app.OIDCAllowed{Subjects: []string{"4"}, Groups: []string{"x"}, Domains: []string{"corp.example"}}, nil, "ann@corp.example"},
	} {
		r := newOIDCRig(t, func(o *app.AuthOIDCOpts) { o.Allowed = &c.allowed })
		r.Set(func(b *idkit.Behaviour) { b.Claims = c.claims })
		b := browser{}
		ctx := r.enter(t, b)
		if c.user == "" {
			if ctx.Response.StatusCode() != 403 || len(b) != 0 {
				t.Errorf("%s: %d with cookies %v", name, ctx.Response.StatusCode(), b)
			}
			continue
		}
		if got := string(r.do("/", b).Response.Body()); got != "user="+c.user+" cookie=" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestOIDCBadTokens(t *testing.T) {
	foreign, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	for name, c := range map[string]struct {
		claims jwt.MapClaims
		signer any
		secret string
	}{
		"other audience": {claims: jwt.MapClaims{"aud": "other"}},
		"other issuer":   {claims: jwt.MapClaims{"iss": "https://evil.example"}},
		"expired":        {claims: jwt.MapClaims{"exp": started.Add(-time.Minute).Unix()}},
		"not yet good":   {claims: jwt.MapClaims{"nbf": time.Now().Add(time.Hour).Unix()}},
		"huge":           {claims: jwt.MapClaims{"x": strings.Repeat("A", 2<<20)}},
		"other nonce":    {claims: jwt.MapClaims{"nonce": "x"}},
		"no nonce":       {claims: jwt.MapClaims{"nonce": nil}},
		"other key":      {signer: foreign},
		"HMAC":           {signer: []byte("s3cret")},
		"alg none":       {signer: jwt.UnsafeAllowNoneSignatureType},
		"wrong secret":   {secret: "another"},
		"odd claims":     {claims: jwt.MapClaims{"groups": map[string]int{"a": 1}}},
	} {
		r := newOIDCRig(t, nil)
		r.Set(func(b *idkit.Behaviour) {
			b.Claims, b.Signer = c.claims, c.signer
			if c.secret != "" {
				b.Secret = c.secret
			}
		})
		b := browser{}
		ctx := r.enter(t, b)
		if ctx.Response.StatusCode() != 502 || len(b) != 0 {
			t.Errorf("%s: %d, cookies %v", name, ctx.Response.StatusCode(), b)
		}
		if !strings.Contains(r.log.String(), "signing somebody in") || strings.Contains(r.log.String(), "s3cret") {
			t.Errorf("%s: the log says %s", name, r.log.String())
		}
	}
}

func TestOIDCCallback(t *testing.T) {
	r := newOIDCRig(t, nil)
	b := browser{}
	first := r.Authorize(t, location(r.do("/one", b)))
	second := r.Authorize(t, location(r.do("/two", b))) // another tab
	if ctx := r.do(second.RequestURI(), b); location(ctx) != "/two" {
		t.Errorf("the second tab ends at %d %s", ctx.Response.StatusCode(), location(ctx))
	}
	if ctx := r.do(first.RequestURI(), browser{}); ctx.Response.StatusCode() != 400 {
		t.Errorf("in another browser: %d", ctx.Response.StatusCode())
	}
	mixed := *first
	q := mixed.Query()
	q.Set("state", second.Query().Get("state"))
	mixed.RawQuery = q.Encode()
	if ctx := r.do(mixed.RequestURI(), b); ctx.Response.StatusCode() != 400 {
		t.Errorf("with the state of another attempt: %d", ctx.Response.StatusCode())
	}
	if ctx := r.do(first.RequestURI(), b); location(ctx) != "/one" {
		t.Errorf("the first tab ends at %d %s", ctx.Response.StatusCode(), location(ctx))
	}
	if ctx := r.do(first.RequestURI(), b); ctx.Response.StatusCode() != 400 {
		t.Errorf("a second time: %d", ctx.Response.StatusCode())
	}
	for _, query := range []string{"", "?state=", "?state=short", "?state=" + strings.Repeat("x", 1000), "?code=a&state=ABCDEFGHIJKLMNOPQRSTUVWXYZ", "?error=x&state=ABCDEFGHIJ"} {
		if ctx := r.do("/_auth/callback"+query, b); ctx.Response.StatusCode() != 400 {
			t.Errorf("%.30s: %d", query, ctx.Response.StatusCode())
		}
	}
	// The user said no.
	fresh := browser{}
	u := r.Authorize(t, location(r.do("/", fresh)))
	q = url.Values{"error": {"access_denied"}, "state": {u.Query().Get("state")}}
	if ctx := r.do("/_auth/callback?"+q.Encode(), fresh); ctx.Response.StatusCode() != 403 || len(fresh) != 0 {
		t.Errorf("denied: %d, cookies %v", ctx.Response.StatusCode(), fresh)
	}
	// Too late.
	late := browser{}
	u = r.Authorize(t, location(r.do("/", late)))
	r.ahead.Store(int64(signInFor))
	if ctx := r.do(u.RequestURI(), late); ctx.Response.StatusCode() != 400 {
		t.Errorf("too late: %d", ctx.Response.StatusCode())
	}
	// After a POST the browser comes back to the front page.
	r.ahead.Store(0)
	ctx := request("192.0.2.1", "")
	ctx.Request.SetRequestURI("/form")
	ctx.Request.Header.SetHost("app.example")
	ctx.Request.Header.Set("Accept", "text/html")
	ctx.Request.Header.Set("X-Forwarded-Proto", "https")
	ctx.Request.Header.SetMethod("POST")
	r.handler(ctx)
	posted := browser{}
	posted.take(ctx)
	if ctx := r.do(r.Authorize(t, location(ctx)).RequestURI(), posted); location(ctx) != "/" {
		t.Errorf("after a POST: %d %s", ctx.Response.StatusCode(), location(ctx))
	}
}

func TestOIDCProviderDown(t *testing.T) {
	r := newOIDCRig(t, nil)
	r.Set(func(b *idkit.Behaviour) { b.Down = true })
	for range 2 {
		if code := r.do("/", nil).Response.StatusCode(); code != 503 {
			t.Errorf("down: %d", code)
		}
	}
	r.Set(func(b *idkit.Behaviour) { b.Down = false })
	if code := r.do("/", nil).Response.StatusCode(); code != 503 {
		t.Errorf("asked again at once: %d", code)
	}
	r.ahead.Store(int64(providerRetry))
	b := browser{}
	if ctx := r.enter(t, b); location(ctx) != "/dash?a=b" {
		t.Errorf("up: %d", ctx.Response.StatusCode())
	}
}

// A provider that changes its key is asked for its keys again.
func TestOIDCKeyRotated(t *testing.T) {
	r := newOIDCRig(t, nil)
	for range 3 {
		if ctx := r.enter(t, browser{}); location(ctx) != "/dash?a=b" {
			t.Fatalf("%d", ctx.Response.StatusCode())
		}
		r.Rotate(t)
	}
}

func TestOIDCCookies(t *testing.T) {
	r := newOIDCRig(t, nil)
	b := browser{}
	r.enter(t, b)
	var name, good string
	for name, good = range b {
	}
	seals, err := newSealer(bytes.Repeat([]byte{8}, 32), "x")
	if err != nil {
		t.Fatal(err)
	}
	forged, _ := seals.seal("session", session{"root", time.Now().Add(time.Hour)})
	login := browser{}
	r.do("/", login)
	var other string
	for _, other = range login {
	}
	changed := good[:30] + "A" + good[31:]
	if changed == good { // one time in 64
		changed = good[:30] + "B" + good[31:]
	}
	for what, line := range map[string]string{
		"twice": name + "=" + good + "; " + name + "=" + good, "forged": name + "=" + forged, "cut": name + "=" + good[:len(good)-1],
		"changed": name + "=" + changed, "of signing in": name + "=" + other, "empty": name + "=", "odd": name + "=%%%",
		"huge": name + "=" + strings.Repeat("A", maxSession+1), "plain": name + `={"u":"root"}`,
	} {
		if code := r.do("/", nil, "Cookie: "+line, "Accept: */*").Response.StatusCode(); code != 401 {
			t.Errorf("%s: %d", what, code)
		}
	}
	if code := r.do("/", nil, "Cookie: "+name+"="+good, "Accept: */*").Response.StatusCode(); code != 200 {
		t.Errorf("good: %d", code)
	}
}

func TestOIDCOptions(t *testing.T) {
	allowed := &app.OIDCAllowed{Groups: []string{"g"}}
	deps := SignInDeps{Resolve: literal, SessionKey: sessionKey, Log: zerolog.Nop()}
	for want, opts := range map[string]app.AuthOIDCOpts{
		"issuer":             {Issuer: "id", ClientID: "c", Allowed: allowed},
		"client_id":          {Issuer: "https://id.example", Allowed: allowed},
		"allowed":            {Issuer: "https://id.example", ClientID: "c", Allowed: &app.OIDCAllowed{}},
		"client_secret_file": {Issuer: "https://id.example", ClientID: "c", Allowed: allowed, ClientSecretFile: "/does/not/exist"},
	} {
		deps := deps
		if want == "client_secret_file" {
			deps.Resolve = nil
		}
		if _, err := NewOIDC(opts, deps); err == nil || !strings.HasPrefix(err.Error(), "auth_oidc_opts."+want+": ") {
			t.Errorf("%s: %v", want, err)
		}
	}
	deps.SessionKey = nil
	if _, err := NewOIDC(app.AuthOIDCOpts{Issuer: "https://id.example", ClientID: "c", Allowed: allowed}, deps); err == nil {
		t.Error("a gate without a session key")
	}
}
