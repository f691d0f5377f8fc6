package middleware

import (
	"testing"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
)

// A redirect to https names the port that clients know, unless the definition
// says another.
func TestRedirectSchemePublicPort(t *testing.T) {
	for _, c := range []struct {
		opts   app.RedirectSchemeOpts
		public int
		want   string
	}{
		{app.RedirectSchemeOpts{Scheme: "https"}, 0, "https://a.test/x"},
		{app.RedirectSchemeOpts{Scheme: "https"}, 443, "https://a.test/x"},
		{app.RedirectSchemeOpts{Scheme: "https"}, 4443, "https://a.test:4443/x"},
		{app.RedirectSchemeOpts{Scheme: "https", Port: 443}, 4443, "https://a.test/x"},
		{app.RedirectSchemeOpts{Scheme: "https", Port: 8443}, 4443, "https://a.test:8443/x"},
	} {
		wrap, err := NewRedirectScheme(c.opts, Deps{HTTPSPort: c.public})
		if err != nil {
			t.Fatal(err)
		}
		var ctx fasthttp.RequestCtx
		ctx.Request.Header.SetHost("a.test:8080")
		ctx.Request.SetRequestURI("/x")
		wrap(func(*fasthttp.RequestCtx) { t.Error("it was not redirected") })(&ctx)
		if got := string(ctx.Response.Header.Peek("Location")); got != c.want {
			t.Errorf("%+v with port %d: %s, not %s", c.opts, c.public, got, c.want)
		}
	}
}
