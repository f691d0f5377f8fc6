package auth

import (
	"crypto/ed25519"
	"crypto/x509"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/internal/idkit"
	"edgerouter/wire"
)

// gate is a wrapper in front of a backend that tells what it got.
type ssoRig struct {
	id      *idkit.IDServer
	handler fasthttp.RequestHandler
	clock
}

func newSSORig(t testing.TB) *ssoRig {
	r := &ssoRig{id: idkit.StartIDServer(t), clock: clock{start: time.Now()}}
	wrap, err := NewSSO(app.AuthSSOOpts{IDServerURL: r.id.URL, Audience: "prod", AllowedUserIDs: []string{"joonas", "eve@x"}}, SignInDeps{
		App: "grafana", Client: http.DefaultClient, Log: zerolog.Nop(), Now: r.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.handler = wrap(func(ctx *fasthttp.RequestCtx) {
		h := &ctx.Request.Header
		ctx.SetBodyString("user=" + string(h.Peek("X-Auth-User")) + " cookie=" + string(h.Peek("Cookie")) +
			" authorization=" + string(h.Peek("Authorization")) + " odd=" + string(h.Peek("X_auth_user")))
	})
	return r
}

// do sends a request with header lines "Name: value".
func (r *ssoRig) do(uri string, lines ...string) *fasthttp.RequestCtx {
	ctx := request("192.0.2.1", "")
	ctx.Request.SetRequestURI(uri)
	ctx.Request.Header.SetHost("app.example")
	ctx.Request.Header.Set("X-Forwarded-Proto", "https")
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		if name == "X-Forwarded-Proto" {
			ctx.Request.Header.Del(name)
		}
		ctx.Request.Header.Add(name, value)
	}
	r.handler(ctx)
	return ctx
}

func TestSSOTokens(t *testing.T) {
	r := newSSORig(t)
	good := r.id.Sign(t, "one", idkit.Claims("joonas"))
	with := func(change func(c jwt.MapClaims)) string {
		c := idkit.Claims("joonas")
		change(c)
		return r.id.Sign(t, "one", c)
	}
	_, foreign, _ := ed25519.GenerateKey(nil)
	public, err := x509.MarshalPKIXPublicKey(r.id.Public("one"))
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(good, ".")
	for name, c := range map[string]struct {
		token string
		want  int
	}{
		"good":                          {good, 200},
		"another allowed user":          {r.id.Sign(t, "one", idkit.Claims("eve@x")), 200},
		"no key id":                     {idkit.Sign(t, r.id.Key("one"), "", idkit.Claims("joonas")), 200},
		"several audiences":             {with(func(c jwt.MapClaims) { c["aud"] = []string{"dev", "prod"} }), 200},
		"user who may not":              {r.id.Sign(t, "one", idkit.Claims("mallory")), 403},
		"no user":                       {with(func(c jwt.MapClaims) { delete(c, "sub") }), 302},
		"other audience":                {with(func(c jwt.MapClaims) { c["aud"] = "dev" }), 302},
		"no audience":                   {with(func(c jwt.MapClaims) { delete(c, "aud") }), 302},
		"expired":                       {with(func(c jwt.MapClaims) { c["exp"] = r.now().Add(-time.Second).Unix() }), 302},
		"no expiry":                     {with(func(c jwt.MapClaims) { delete(c, "exp") }), 302},
		"expiry that is text":           {with(func(c jwt.MapClaims) { c["exp"] = "never" }), 302},
		"not yet good":                  {with(func(c jwt.MapClaims) { c["nbf"] = time.Now().Add(time.Hour).Unix() }), 302},
		"made in the future":            {with(func(c jwt.MapClaims) { c["iat"] = time.Now().Add(time.Hour).Unix() }), 302},
		"alg none":                      {idkit.Sign(t, nil, "one", idkit.Claims("joonas")), 302},
		"HMAC with the public key":      {idkit.Sign(t, public, "one", idkit.Claims("joonas")), 302},
		"HMAC with the raw public key":  {idkit.Sign(t, []byte(r.id.Public("one")), "one", idkit.Claims("joonas")), 302},
		"wrong key with a known id":     {idkit.Sign(t, foreign, "one", idkit.Claims("joonas")), 302},
		"wrong key with an unknown id":  {idkit.Sign(t, foreign, "two", idkit.Claims("joonas")), 302},
		"claims of another token":       {strings.Join([]string{parts[0], strings.Split(r.id.Sign(t, "one", idkit.Claims("eve@x")), ".")[1], parts[2]}, "."), 302},
		"without signature":             {parts[0] + "." + parts[1] + ".", 302},
		"two parts":                     {parts[0] + "." + parts[1], 302},
		"not base64":                    {"a!.b!.c!", 302},
		"not JSON":                      {"YQ.YQ.YQ", 302},
		"huge":                          {good + strings.Repeat("A", maxJWT), 302},
		"huge in the claims":            {with(func(c jwt.MapClaims) { c["x"] = strings.Repeat("A", maxJWT) }), 302},
		"id of a key that is of no use": {idkit.Sign(t, foreign, "other", idkit.Claims("joonas")), 302},
	} {
		for _, line := range []string{"Authorization: Bearer " + c.token, "Cookie: auth=" + c.token} {
			kind, _, _ := strings.Cut(line, ":")
			ctx := r.do("/x", line, "Accept: text/html", "X-Auth-User: root", "X-Auth-User: root", "X_Auth_User: root", "x-auth-user: root")
			if got := ctx.Response.StatusCode(); got != c.want {
				t.Errorf("%s in %s: %d, want %d: %s", name, kind, got, c.want, ctx.Response.Body())
			}
			body := string(ctx.Response.Body())
			if c.want == 200 && (!strings.HasPrefix(body, "user=") || strings.Contains(body, "root") || strings.Contains(body, c.token)) {
				t.Errorf("%s in %s: the backend got %s", name, kind, body)
			}
			if c.want != 200 && strings.Contains(body, "user=") {
				t.Errorf("%s in %s: the backend was reached", name, kind)
			}
			if c.want == 302 {
				if code := r.do("/x", line, "Accept: application/json").Response.StatusCode(); code != 403 {
					t.Errorf("%s in %s, by a program: %d", name, kind, code)
				}
			}
		}
	}
}

func TestSSOCookies(t *testing.T) {
	r := newSSORig(t)
	good := r.id.Sign(t, "one", idkit.Claims("joonas"))
	for _, c := range []struct {
		lines []string
		want  string // the body; "": refused
	}{
		{[]string{"Cookie: a=1; auth=" + good + "; b=2"}, "user=joonas cookie=a=1; b=2 authorization= odd="},
		{[]string{"Cookie: auth=" + good, "Authorization: Basic eDp5"}, "user=joonas cookie= authorization=Basic eDp5 odd="},
		{[]string{"Cookie: auth=bad", "Authorization: bearer " + good}, "user=joonas cookie= authorization= odd="},
		{[]string{"Cookie: auth=" + good + "; auth=" + good}, ""},
		{[]string{"Cookie: auth=bad; auth=" + good}, ""},
		{[]string{"Cookie: auth=" + good + "; auth=bad"}, ""},
		{[]string{"Cookie: auth="}, ""},
		{[]string{"Cookie: Auth=" + good}, ""},
		{[]string{"Cookie: auth=" + good, "Authorization: Bearer of what is behind"}, "user=joonas cookie= authorization=Bearer of what is behind odd="},
		{[]string{"Cookie: auth=bad", "Authorization: Bearer bad"}, ""},
		{nil, ""},
	} {
		ctx := r.do("/", c.lines...)
		body := string(ctx.Response.Body())
		if c.want == "" && ctx.Response.StatusCode() != 403 || c.want != "" && body != c.want {
			t.Errorf("%.60q: %d %s, want %s", c.lines, ctx.Response.StatusCode(), body, c.want)
		}
	}
}

func TestSSOSignIn(t *testing.T) {
	r := newSSORig(t)
	ctx := r.do("/dash/1?a=b&c=%2F", "Accept: text/html,*/*", "X-Forwarded-Prefix: /grafana")
	to, err := url.Parse(string(ctx.Response.Header.Peek("Location")))
	if err != nil || ctx.Response.StatusCode() != 302 || string(ctx.Response.Header.Peek("Cache-Control")) != "no-store" {
		t.Fatalf("%d %s, %v", ctx.Response.StatusCode(), to, err)
	}
	if to.Scheme+"://"+to.Host != r.id.URL {
		t.Errorf("sent to %s", to)
	}
	const want = "https://app.example/grafana/_auth/redirect?next=%2Fgrafana%2Fdash%2F1%3Fa%3Db%26c%3D%252F"
	if next, state, _ := strings.Cut(to.Query().Get("next"), "&state="); next != want || state == "" {
		t.Errorf("next is %s, want %s and a state", next, want)
	}

	claims := idkit.Claims("joonas")
	claims["exp"] = r.now().Add(time.Hour).Unix()
	token := r.id.Sign(t, "one", claims)
	back := func(next, token string) *fasthttp.RequestCtx {
		plain, _ := url.QueryUnescape(next)
		const id, secret = "ABCDEFGH", "a secret"
		return r.do("/_auth/redirect?next="+next+"&state="+id+derive(secret, plain)+"&token="+url.QueryEscape(token), "Cookie: "+newAttempts("grafana").prefix+id+"="+secret)
	}
	ctx = back("%2Fdash%3Fa%3Db", token)
	var c fasthttp.Cookie
	c.SetKey(ssoCookie)
	if !ctx.Response.Header.Cookie(&c) || string(c.Value()) != token || !c.HTTPOnly() || !c.Secure() ||
		c.SameSite() != fasthttp.CookieSameSiteLaxMode || string(c.Path()) != "/" || c.MaxAge() < 3599 || c.MaxAge() > 3600 {
		t.Errorf("the cookie is %s", c.String())
	}
	if to := string(ctx.Response.Header.Peek("Location")); ctx.Response.StatusCode() != 302 || to != "/dash?a=b" {
		t.Errorf("after signing in: %d %q", ctx.Response.StatusCode(), to)
	}
	for next, want := range map[string]int{
		"/": 302, "/a%20b": 400, "": 400, "a": 400, "//evil": 400, "%2F%2Fevil": 400, "/%5Cevil": 400, "/\\evil": 400,
		"https://evil": 400, "https%3A%2F%2Fevil": 400, "javascript:alert(1)": 400, "/%09/evil": 400, "/%0d%0aSet-Cookie:%20a=b": 400,
		"/%0a/evil": 400, "%252F%252Fevil": 400, "/%00": 400, "%5C%5Cevil": 400, "%20//evil": 400, "/%252Fevil": 302,
	} {
		ctx := back(next, token)
		if got := ctx.Response.StatusCode(); got != want {
			t.Errorf("next=%s: %d, want %d", next, got, want)
		}
		if want == 400 && len(ctx.Response.Header.PeekCookie(ssoCookie)) > 0 {
			t.Errorf("next=%s: a cookie is set", next)
		}
	}
	for name, bad := range map[string]string{"none": "", "foreign": "a.b.c", "of another user": r.id.Sign(t, "one", idkit.Claims("mallory"))} {
		if ctx := back("/", bad); ctx.Response.StatusCode() != 403 || len(ctx.Response.Header.PeekCookie(ssoCookie)) > 0 {
			t.Errorf("token %s: %d", name, ctx.Response.StatusCode())
		}
	}
	ctx = r.do("/_auth/logout", "Cookie: __Host-auth="+token)
	if to := string(ctx.Response.Header.Peek("Location")); to != r.id.URL+"/logout" || !strings.Contains(string(ctx.Response.Header.PeekCookie(ssoCookie)), "expires=Tue, 10 Nov 2009") {
		t.Errorf("logout: %q, cookie %s", to, ctx.Response.Header.PeekCookie("auth"))
	}
}

func TestSSOKeys(t *testing.T) {
	r := newSSORig(t)
	enter := func(token string) int {
		return r.do("/", "Authorization: Bearer "+token).Response.StatusCode()
	}
	// Down from the start: nobody can be told apart, and it is tried again soon.
	r.id.Set(func(s *idkit.IDServer) { s.Down = true })
	token := r.id.Sign(t, "one", idkit.Claims("joonas"))
	for range 3 {
		if code := enter(token); code != 503 {
			t.Errorf("without keys: %d", code)
		}
	}
	if n := r.id.Fetches(); n != 1 {
		t.Errorf("%d fetches at once", n)
	}
	r.id.Set(func(s *idkit.IDServer) { s.Down = false })
	r.ahead.Add(int64(keysRetry))
	if code := enter(token); code != 200 || r.id.Fetches() != 2 {
		t.Errorf("back again: %d after %d fetches", code, r.id.Fetches())
	}
	// Rotation: the new key is found, once a minute at most.
	r.id.Add(t, "two")
	r.ahead.Add(int64(keysAgain))
	second := r.id.Sign(t, "two", idkit.Claims("joonas"))
	if code := enter(second); code != 200 || r.id.Fetches() != 3 {
		t.Errorf("rotated: %d after %d fetches", code, r.id.Fetches())
	}
	_, foreign, _ := ed25519.GenerateKey(nil)
	for range 5 {
		if code := enter(idkit.Sign(t, foreign, "nobody's", idkit.Claims("joonas"))); code != 403 {
			t.Errorf("unknown key: %d", code)
		}
	}
	if n := r.id.Fetches(); n != 3 {
		t.Errorf("%d fetches for unknown keys", n)
	}
	// Down later, or sending nonsense: what is known stays.
	for _, body := range []string{"", "{", `{"keys":[]}`, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"one","x":"AA"}]}`, strings.Repeat(" ", maxKeySet+1)} {
		r.id.Set(func(s *idkit.IDServer) { s.Down, s.Body = body == "", body })
		r.ahead.Add(int64(keysAgain))
		before := r.id.Fetches()
		if code := enter(idkit.Sign(t, foreign, "nobody's", idkit.Claims("joonas"))); code != 403 || r.id.Fetches() != before+1 {
			t.Errorf("%.20q: %d", body, code)
		}
		if code := enter(r.id.Sign(t, "one", idkit.Claims("eve@x"))); code != 200 {
			t.Errorf("%.20q: a known key is lost: %d", body, code)
		}
	}
	// A token that was good is not any more once it has expired.
	r.ahead.Store(int64(2 * time.Hour))
	if code := enter(token); code != 403 {
		t.Errorf("expired after it was good: %d", code)
	}
}

func TestSSOOptions(t *testing.T) {
	for want, opts := range map[string]app.AuthSSOOpts{
		"id_server_url":    {IDServerURL: "id.example", Audience: "a", AllowedUserIDs: []string{"u"}},
		"audience":         {IDServerURL: "https://id.example", AllowedUserIDs: []string{"u"}},
		"allowed_user_ids": {IDServerURL: "https://id.example", Audience: "a"},
	} {
		if _, err := NewSSO(opts, SignInDeps{Log: zerolog.Nop()}); err == nil || !strings.HasPrefix(err.Error(), "auth_sso_opts."+want+": ") {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestVerifiedIsBounded(t *testing.T) {
	var v verified
	now := time.Now()
	token := func(i int) string {
		return strings.Repeat("x", 300) + string(rune('a'+i%26)) + time.Duration(i).String()
	}
	for i := range 5 * maxVerified {
		v.put(token(i), identity{"u", now.Add(time.Hour)})
		if _, ok := v.get([]byte(token(0)), now); !ok {
			t.Fatalf("a token that is in use was forgotten after %d", i)
		}
	}
	if n := len(v.young) + len(v.aged); n > 2*maxVerified {
		t.Errorf("%d tokens are remembered", n)
	}
}

func BenchmarkSSO(b *testing.B) {
	r := newSSORig(b)
	token := []byte(r.id.Sign(b, "one", idkit.Claims("joonas")))
	s := &sso{now: time.Now}
	s.verified.put(string(token), identity{"joonas", time.Now().Add(time.Hour)})
	ctx := request("192.0.2.1", "Bearer "+string(token))
	b.ReportAllocs()
	for b.Loop() {
		wire.Own(ctx, userField)
		if _, _, err := s.identify(ctx); err != nil {
			b.Fatal(err)
		}
	}
}
