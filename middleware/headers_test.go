package middleware

import (
	"errors"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
)

// all is every value of a field, joined.
func all(values [][]byte) string {
	var list []string
	for _, v := range values {
		list = append(list, string(v))
	}
	return strings.Join(list, "|")
}

func TestHeaders(t *testing.T) {
	w := must(t)(NewHeaders(app.HeadersOpts{
		Request: map[string]string{
			"X-Set": "new", "x-lower": "v", "X-Drop": "", "Host": "other.example", "Cookie": "", "X-Api-Key": "file:key", "X-Forwarded-Proto": "https",
		},
		Response: map[string]string{"X-Frame-Options": "DENY", "Server": "", "X-Powered-By": "", "Set-Cookie": "a=b; Path=/", "Content-Type": ""},
	}, Deps{Resolve: func(s app.Secret) (string, error) {
		if s == "file:key" {
			return "resolved", nil
		}
		return string(s), nil
	}}))
	s := &spy{answer: func(ctx *fasthttp.RequestCtx) {
		h := &ctx.Response.Header
		h.Set("Server", "x")
		h.Add("X-Powered-By", "php")
		h.Add("X-Powered-By", "more")
		h.Add("X-Frame-Options", "ALLOW")
		h.Add("X-Frame-Options", "SAMEORIGIN")
		h.Add("Set-Cookie", "c=d")
		h.Add("Set-Cookie", "e=f")
		h.Set("X-Kept", "yes")
		ctx.SetBodyString("body")
	}}
	ctx := request("GET", "/", "X-Set: old", "X-Set: older", "X_Set: forged", "x-drop: 1", "X_DROP: 2", "Cookie: a=b", "X_Kept: yes", "X-Forwarded-For: 1.2.3.4")
	w(s.serve)(ctx)
	for name, want := range map[string]string{
		"X-Set": "new", "X_Set": "", "X-Lower": "v", "X-Drop": "", "X_DROP": "", "Host": "other.example", "Cookie": "", "X-Api-Key": "resolved",
		"X-Forwarded-Proto": "https", "X_Kept": "yes", "X-Forwarded-For": "1.2.3.4",
	} {
		if got := all(s.header.PeekAll(name)); got != want {
			t.Errorf("request %s: %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{
		"X-Frame-Options": "DENY", "Server": "", "X-Powered-By": "", "Set-Cookie": "a=b; Path=/", "X-Kept": "yes", "Content-Type": "",
	} {
		if got := all(ctx.Response.Header.PeekAll(name)); got != want {
			t.Errorf("response %s: %q, want %q", name, got, want)
		}
	}
}

func TestHeadersErrors(t *testing.T) {
	for _, c := range []struct {
		opts app.HeadersOpts
		want string
	}{
		{app.HeadersOpts{Request: map[string]string{"": "x"}}, `headers_opts.request[""]: "" is not the name`},
		{app.HeadersOpts{Request: map[string]string{"a b": "x"}}, `headers_opts.request["a b"]`},
		{app.HeadersOpts{Response: map[string]string{"X:": "x"}}, `headers_opts.response["X:"]`},
		{app.HeadersOpts{Request: map[string]string{"Content-Length": "1"}}, `"Content-Length" belongs to the connection`},
		{app.HeadersOpts{Response: map[string]string{"transfer-encoding": ""}}, `"transfer-encoding" belongs to the connection`},
		{app.HeadersOpts{Request: map[string]string{"Upgrade": "x"}}, `"Upgrade" belongs`},
		{app.HeadersOpts{Request: map[string]string{"Proxy-Connection": "x"}}, `"Proxy-Connection" belongs`},
		{app.HeadersOpts{Request: map[string]string{"X": "a\r\nb: c"}}, `headers_opts.request["X"]: byte 2 of the value is a control character`},
		{app.HeadersOpts{Request: map[string]string{"X-a": "1", "x-A": "2"}}, `the same field as "X-a"`},
		{app.HeadersOpts{Request: map[string]string{"Host": ""}}, `headers_opts.request["Host"]: "" is not a host`},
		{app.HeadersOpts{Request: map[string]string{"Host": "a/b"}}, `"a/b" is not a host`},
		{app.HeadersOpts{Response: map[string]string{"Date": "x"}}, `headers_opts.response["Date"]: the server writes`},
		{app.HeadersOpts{Request: map[string]string{"Authorization": "env:GONE"}}, `headers_opts.request["Authorization"]: no such thing`},
	} {
		_, err := NewHeaders(c.opts, Deps{Resolve: func(app.Secret) (string, error) { return "", errors.New("no such thing") }})
		refused(t, err, c.want)
	}
}

func TestHeadersAllocateNothing(t *testing.T) {
	w := must(t)(NewHeaders(app.HeadersOpts{
		Request:  map[string]string{"X-One": "1", "X-Two": "2", "X-Gone": ""},
		Response: map[string]string{"Strict-Transport-Security": "max-age=31536000", "X-Gone": ""},
	}, Deps{}))
	h := w(func(ctx *fasthttp.RequestCtx) { ctx.Response.Header.Set("X-Other", "y") })
	ctx := request("GET", "/", "User-Agent: x", "Accept: */*", "Cookie: a=b; c=d")
	allocates(t, 0, func() {
		ctx.Request.Header.Set("X-Gone", "z")
		h(ctx)
	})
}
