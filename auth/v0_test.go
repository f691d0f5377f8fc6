package auth

import (
	"encoding/base64"
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
)

// request is a RequestCtx as a handler sees it; nothing listens.
func request(from, authorization string) *fasthttp.RequestCtx {
	var ctx fasthttp.RequestCtx
	var req fasthttp.Request
	req.SetRequestURI("http://app.example/")
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	req.Header.Set("X-Request-Id", "req-1")
	ctx.Init(&req, &net.TCPAddr{IP: net.ParseIP(from), Port: 1}, nil)
	return &ctx
}

func literal(s app.Secret) (string, error) { return string(s), nil }

func newV0(t testing.TB, token string, next fasthttp.RequestHandler) fasthttp.RequestHandler {
	t.Helper()
	wrap, err := NewV0(app.AuthV0Opts{BearerToken: app.Secret(token)}, V0Deps{Resolve: literal, Realm: `my "app"`})
	if err != nil {
		t.Fatal(err)
	}
	return wrap(next)
}

func basic(userPass string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(userPass))
}

func TestV0(t *testing.T) {
	const token = "s3cret:with colon"
	admitted := false
	handler := newV0(t, token, func(ctx *fasthttp.RequestCtx) {
		admitted = true
		if h := ctx.Request.Header.Peek("Authorization"); h != nil {
			t.Errorf("the backend got Authorization: %q", h)
		}
		if !Authenticated(ctx) {
			t.Error("the request is not marked as authenticated")
		}
		ctx.SetBodyString("welcome")
	})
	n := 0
	for _, c := range []struct {
		authorization string
		admit         bool
	}{
		{"Bearer " + token, true},
		{"bearer " + token, true},
		{"BEARER   " + token, true},
		{basic(":" + token), true},
		{basic("x:" + token), true},
		{strings.Replace(basic("x:"+token), "Basic", "bAsIc", 1), true},

		{"", false},
		{"Bearer", false},
		{"Bearer ", false},
		{"Bearer s3cret", false},
		{"Bearer " + token + "x", false},
		{"Bearer " + token[1:], false},
		{"Bearer x:" + token, false},
		{"Bearer, " + token, false},
		{"Token " + token, false},
		{token, false},
		{basic("X:" + token), false},
		{basic("xx:" + token), false},
		{basic("root:" + token), false},
		{basic(token), false},
		{basic("x:"), false},
		{basic(":"), false},
		{basic(""), false},
		{"Basic " + token, false},
		{basic("x:"+token) + "=", false},
		{"Basic x:" + token, false},
		{basic("x:" + strings.Repeat("a", MaxToken)), false},
		{basic("x:" + strings.Repeat("a", 100*MaxToken)), false},
	} {
		// An address of its own for each, so that no limit is met.
		n++
		ctx := request("192.0.2."+strconv.Itoa(n), c.authorization)
		admitted = false
		handler(ctx)
		if admitted != c.admit {
			t.Errorf("%q: admitted %v", c.authorization, admitted)
		}
		if Authenticated(ctx) {
			t.Errorf("%q: the mark stays on the context for the next request", c.authorization)
		}
		if c.admit {
			if got := string(ctx.Response.Body()); got != "welcome" {
				t.Errorf("%q: body %q", c.authorization, got)
			}
			continue
		}
		if code := ctx.Response.StatusCode(); code != 401 {
			t.Errorf("%q: status %d", c.authorization, code)
		}
		if got, want := string(ctx.Response.Header.Peek("WWW-Authenticate")), `Basic realm="my \"app\""`; got != want {
			t.Errorf("challenge %s, want %s", got, want)
		}
		if got, want := string(ctx.Response.Body()), "authentication required\nrequest id: req-1\n"; got != want {
			t.Errorf("body %q, want %q", got, want)
		}
	}
}

func TestV0SecondAuthorizationFieldIsRemovedToo(t *testing.T) {
	handler := newV0(t, "good", func(ctx *fasthttp.RequestCtx) {
		if h := ctx.Request.Header.PeekAll("Authorization"); len(h) != 0 {
			t.Errorf("the backend got %q", h)
		}
	})
	ctx := request("192.0.2.1", "Bearer good")
	ctx.Request.Header.Add("Authorization", "Bearer other")
	handler(ctx)
	if ctx.Response.StatusCode() != 200 {
		t.Errorf("status %d", ctx.Response.StatusCode())
	}
}

func TestNewV0Errors(t *testing.T) {
	resolve := func(s app.Secret) (string, error) {
		switch s {
		case "file:/token":
			return "from file", nil
		case "file:/gone":
			return "", errors.New("read the secret file:/gone: no such file")
		}
		return string(s), nil
	}
	for _, c := range []struct{ secret, token, err string }{
		{secret: "plain", token: "plain"},
		{secret: "file:/token", token: "from file"},
		{secret: "", err: "auth_v0_opts.bearer_token: the token is empty"},
		{secret: "file:/gone", err: "auth_v0_opts.bearer_token: read the secret file:/gone: no such file"},
		{secret: strings.Repeat("a", MaxToken+1), err: "auth_v0_opts.bearer_token: the token has 1001 bytes, more than 1000"},
	} {
		wrap, err := NewV0(app.AuthV0Opts{BearerToken: app.Secret(c.secret)}, V0Deps{Resolve: resolve})
		if err != nil || c.err != "" {
			if err == nil || err.Error() != c.err {
				t.Errorf("%.20q: error %v, want %s", c.secret, err, c.err)
			}
			continue
		}
		admitted := false
		wrap(func(*fasthttp.RequestCtx) { admitted = true })(request("192.0.2.1", "Bearer "+c.token))
		if !admitted {
			t.Errorf("%q: token %q is not admitted", c.secret, c.token)
		}
	}
}

func TestGoodTokenAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	handler := newV0(t, "a token of some length 0123456789", func(*fasthttp.RequestCtx) {})
	for _, authorization := range []string{
		"Bearer a token of some length 0123456789",
		basic("x:a token of some length 0123456789"),
	} {
		ctx := request("192.0.2.1", authorization)
		// Setting a field that was removed reuses its memory.
		allocs := testing.AllocsPerRun(1000, func() {
			ctx.Request.Header.Set("Authorization", authorization)
			handler(ctx)
		})
		if allocs != 0 {
			t.Errorf("%.10s: %v allocations for a good token", authorization, allocs)
		}
	}
}

func BenchmarkAdmit(b *testing.B) {
	token, err := NewToken([]byte("a token of some length 0123456789"))
	if err != nil {
		b.Fatal(err)
	}
	for name, authorization := range map[string]string{
		"bearer": "Bearer a token of some length 0123456789",
		"basic":  basic("x:a token of some length 0123456789"),
	} {
		b.Run(name, func(b *testing.B) {
			gate := NewGate(token, "app", NewFailures())
			ctx := request("192.0.2.1", authorization)
			b.ReportAllocs()
			for b.Loop() {
				if !gate.Admit(ctx) {
					b.Fatal("refused")
				}
			}
		})
	}
}
