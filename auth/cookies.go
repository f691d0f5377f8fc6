package auth

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"time"

	"github.com/valyala/fasthttp"
)

// Cookies of this package are of one host and travel with TLS only, which browsers
// see to by the prefix of the name (RFC 6265bis section 4.1.3.2): no neighbouring
// host can set them.
const hostOnly = "__Host-"

// cookieName is the name of an application's cookies.
func cookieName(app string) string {
	sum := sha256.Sum256([]byte(app))
	return hostOnly + "edgerouter-" + hex.EncodeToString(sum[:4])
}

// onlyCookie returns the value of the cookie of a name. More than one is none: a
// page of a neighbouring host may have added its own, and there is no telling
// which is ours.
func onlyCookie(ctx *fasthttp.RequestCtx, name string) []byte {
	var value []byte
	n := 0
	for key, v := range ctx.Request.Header.Cookies() {
		if string(key) == name {
			value = v
			n++
		}
	}
	if n != 1 {
		return nil
	}
	return value
}

// setCookie sets a cookie that scripts do not see and that does not travel
// without TLS; seconds below 0 delete it.
func setCookie(ctx *fasthttp.RequestCtx, name, value string, seconds int) {
	c := fasthttp.AcquireCookie()
	defer fasthttp.ReleaseCookie(c)
	c.SetKey(name)
	c.SetValue(value)
	c.SetPath("/")
	c.SetHTTPOnly(true)
	c.SetSecure(true)
	c.SetSameSite(fasthttp.CookieSameSiteLaxMode)
	if seconds < 0 {
		c.SetExpire(fasthttp.CookieExpireDelete)
	} else {
		c.SetMaxAge(seconds)
	}
	ctx.Response.Header.SetCookie(c)
}

const (
	// signInFor is how long signing in may take.
	signInFor = 10 * time.Minute
	// maxAttempts is how many attempts to sign in a browser keeps cookies of. They
	// have some 70 bytes each, so that even hundreds of tabs that begin at once
	// leave room in a head.
	maxAttempts = 16
	// idLength is that of the public part of an attempt, which its cookie is named by.
	idLength = 8
)

// attempts are those to sign in to an application. Each has a secret in a cookie
// of its own, so that what ends an attempt counts only in the browser where it
// began (RFC 6749 section 10.12).
type attempts struct{ prefix string }

func newAttempts(app string) attempts { return attempts{cookieName(app) + "-login-"} }

// begin sets the cookie of a new attempt, and deletes the oldest of too many.
// Browsers send the oldest cookie first (RFC 6265 section 5.4).
func (a attempts) begin(ctx *fasthttp.RequestCtx) (id, secret string) {
	var old []string
	for name := range ctx.Request.Header.Cookies() {
		if bytes.HasPrefix(name, []byte(a.prefix)) {
			old = append(old, string(name))
		}
	}
	for i := 0; i <= len(old)-maxAttempts; i++ {
		setCookie(ctx, old[i], "", -1)
	}
	id, secret = rand.Text()[:idLength], rand.Text()
	setCookie(ctx, a.prefix+id, secret, int(signInFor/time.Second))
	return id, secret
}

// secret is that of an attempt which began in this browser, "" for none.
func (a attempts) secret(ctx *fasthttp.RequestCtx, id string) string {
	return string(onlyCookie(ctx, a.prefix+id))
}

// end deletes the cookie of an attempt.
func (a attempts) end(ctx *fasthttp.RequestCtx, id string) { setCookie(ctx, a.prefix+id, "", -1) }

// derive makes a value of the secret for a purpose.
func derive(secret, purpose string) string {
	sum := sha256.Sum256([]byte(secret + "\x00" + purpose))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
