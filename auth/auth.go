// Package auth decides who may enter: handlers that hold a handler and pass on
// only what carries the right credentials.
//
// Options of an application and a resolved secret go in, a wrapper around the
// application's handler comes out. A refused request never reaches the handler
// behind; an admitted one reaches it without the credentials, so that a backend
// never learns them. What is refused is answered in short plain text with the
// request id and without a word on why.
//
// The package keeps no state of its own: the table of failed attempts is a value
// that the caller makes and shares between the applications it serves.
package auth

import (
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/wire"
)

// Gate admits requests that carry one shared token. It is safe for concurrent
// use. The zero Gate is not usable; see NewGate.
type Gate struct {
	token     Token
	failures  *Failures
	scope     uint64
	challenge string
}

// NewGate returns a Gate for the token. realm is what a browser shows when it
// asks for a password, and keeps the failed attempts of one gate apart from
// those of others that share the same table. failures must not be nil.
func NewGate(token Token, realm string, failures *Failures) *Gate {
	return &Gate{
		token:     token,
		failures:  failures,
		scope:     failures.Scope(realm),
		challenge: `Basic realm="` + quotable(realm) + `"`,
	}
}

// Admit reports whether the request carries the token, as Bearer or as the
// password of Basic (see Credentials). When it does not, Admit has written the
// answer: 401 with a challenge, or 429 with Retry-After once the client's
// address has failed too often. A request with the right token takes no lock
// and allocates nothing.
//
// An address that is over its limit is refused before its token is compared,
// so that guessing is bounded, unless the same address has shown the right
// token within the last hour: one broken client behind a shared address does
// not lock out the working ones.
func (g *Gate) Admit(ctx *fasthttp.RequestCtx) bool {
	field := ctx.Request.Header.Peek(fasthttp.HeaderAuthorization)
	if len(field) == 0 {
		// Not an attempt: this is how a browser asks for the challenge.
		g.refuse(ctx)
		return false
	}
	now := g.failures.at(ctx.Time())
	client := g.failures.client(g.scope, ctx.RemoteIP())
	wait := g.failures.wait(client, now)
	if wait > 0 && !g.failures.knownGood(client, now) {
		tooMany(ctx, wait)
		return false
	}
	var scratch Scratch
	if token, ok := Credentials(field, &scratch); ok && g.token.Matches(token) {
		g.failures.succeeded(client, now)
		return true
	}
	if wait > 0 {
		tooMany(ctx, wait)
		return false
	}
	g.failures.failed(client, now)
	g.refuse(ctx)
	return false
}

func (g *Gate) refuse(ctx *fasthttp.RequestCtx) {
	wire.Fail(ctx, fasthttp.StatusUnauthorized, "authentication required")
	ctx.Response.Header.Set(fasthttp.HeaderWWWAuthenticate, g.challenge)
	ctx.Response.Header.Set(fasthttp.HeaderCacheControl, "no-store")
}

func tooMany(ctx *fasthttp.RequestCtx, wait time.Duration) {
	wire.Fail(ctx, fasthttp.StatusTooManyRequests, "too many failed attempts from this address")
	seconds := int((wait + time.Second - 1) / time.Second)
	ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, strconv.Itoa(seconds))
	ctx.Response.Header.Set(fasthttp.HeaderCacheControl, "no-store")
}

// quotable makes s fit between the quotes of a quoted-string (RFC 9110 section
// 5.6.4): quotes and backslashes are escaped, control and non-ASCII bytes dropped.
func quotable(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c < ' ' || c > '~':
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
