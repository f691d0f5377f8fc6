package wire

import "github.com/valyala/fasthttp"

// What handlers between the pipeline and a backend say about a request, for a
// shared cache before the backend. It lives as long as the request.

// Authorize notes that a guard admitted the client as somebody. The response then
// counts as one to a request with Authorization (RFC 9111 section 3.5), whether or
// not the request still carries the credentials.
func Authorize(ctx *fasthttp.RequestCtx) {
	if x := From(ctx); x != nil {
		x.authorized = true
	}
}

// Authorized reports whether a guard admitted the client as somebody.
func Authorized(ctx *fasthttp.RequestCtx) bool {
	x := From(ctx)
	return x != nil && x.authorized
}

// KeyField notes that a handler of this proxy, and not the client, decides which values
// a field of the request has. Responses to requests with other values are other
// responses.
func KeyField(ctx *fasthttp.RequestCtx, name string) {
	if x := From(ctx); x != nil {
		x.keyed = append(x.keyed, name)
	}
}

// KeyFields returns the names that were given to KeyField, some of them perhaps twice. The
// slice is valid as long as the request.
func KeyFields(ctx *fasthttp.RequestCtx) []string {
	if x := From(ctx); x != nil {
		return x.keyed
	}
	return nil
}
