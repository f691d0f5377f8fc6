package upstream

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"edgerouter/app"
)

// stickiness makes the cookie that keeps a client on one peer.
//
// The value is a keyed hash of the peer's address: the same after a restart
// and on every instance with the same key, and no secret to the peer's other
// clients. It hides the address from those who do not know the key; with the
// built-in one, whoever guesses an address can check the guess, so
// balancer.useStickyKey takes a key of the installation's own.
type stickiness struct {
	name       string
	attributes string // what follows the value in Set-Cookie
	key        []byte
}

// defaultStickyName is the cookie's name when none is given.
const defaultStickyName = "er_peer"

// newStickiness is nil for no options. SameSite=None brings Secure with it,
// since browsers drop the cookie otherwise.
func newStickiness(opts *app.StickyCookie) (*stickiness, error) {
	if opts == nil {
		return nil, nil
	}
	s := &stickiness{name: opts.Name, key: []byte("edgerouter sticky cookie v1")}
	if s.name == "" {
		s.name = defaultStickyName
	}
	if !isToken(s.name) {
		return nil, fmt.Errorf("sticky_cookie.name: %q is not a cookie name (letters, digits and -_.!#$%%&'*+^`|~)", opts.Name)
	}
	age := time.Duration(opts.MaxAge)
	if age < 0 || age > 0 && age < time.Second {
		return nil, fmt.Errorf("sticky_cookie.max_age: %s is not 0 (a session cookie) or at least 1s", age)
	}
	var site string
	secure := opts.Secure
	switch strings.ToLower(opts.SameSite) {
	case "", "lax":
		site = "Lax"
	case "strict":
		site = "Strict"
	case "none":
		site, secure = "None", true
	default:
		return nil, fmt.Errorf("sticky_cookie.same_site: %q is none of lax, strict, none", opts.SameSite)
	}
	s.attributes = "; Path=/"
	if age > 0 {
		s.attributes += "; Max-Age=" + strconv.FormatInt(int64(age/time.Second), 10)
	}
	s.attributes += "; HttpOnly"
	if secure {
		s.attributes += "; Secure"
	}
	s.attributes += "; SameSite=" + site
	return s, nil
}

// cookieValue is 16 hex digits that stand for p.
func (s *stickiness) cookieValue(p *peer) string {
	h := hmac.New(sha256.New, s.key)
	h.Write([]byte(p.addr.identity()))
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// mark gives p its value (p.cookie) and its Set-Cookie line (p.setCookie).
func (s *stickiness) mark(p *peer) {
	v := s.cookieValue(p)
	p.cookie = []byte(v)
	p.setCookie = []byte(s.name + "=" + v + s.attributes)
}

// cookieName is the cookie to look for in requests; "" when the set has none.
func (b *balancer) cookieName() string {
	if b.sticky == nil {
		return ""
	}
	return b.sticky.name
}

// stickTo is the value of the Set-Cookie field that the response from p needs;
// nil when the client's cookie names p already or the set has no cookie.
func (b *balancer) stickTo(p *peer, sent []byte) []byte {
	if p.setCookie == nil || string(sent) == string(p.cookie) {
		return nil
	}
	return p.setCookie
}
