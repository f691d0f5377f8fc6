package auth

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/wire"
)

const (
	ssoCookie = hostOnly + "auth"
	// plainCookie is where the token was before, and where programs put it. Any
	// neighbouring host may set it in a browser, so it does not count in one.
	plainCookie = "auth"
	// maxJWT is the longest token that is looked into, in bytes.
	maxJWT = 8 << 10
)

// SignInDeps is what the ways of signing in need from their surroundings.
type SignInDeps struct {
	// App is the id of the application, for the log.
	App string
	// Client asks the servers that know the users.
	Client *http.Client
	// Now is the time; nil: time.Now.
	Now func() time.Time
	// Resolve turns a secret of the definition into its value (app.Resolve).
	Resolve func(app.Secret) (string, error)
	// SessionKey is 32 bytes that all nodes of a cluster have in common; sessions of
	// auth_oidc are sealed with it.
	SessionKey []byte
	Log        zerolog.Logger
}

// sso lets in the users of a function61 id server.
type sso struct {
	server   *url.URL
	allowed  map[string]bool
	keys     *Keys
	parser   *jwt.Parser
	issuer   string
	attempts attempts
	verified verified
	now      func() time.Time
}

// NewSSO returns the wrapper of kind auth_sso. A request reaches next when it has
// a token of the id server as Bearer or in the cookie "auth": a JWT (RFC 7519)
// signed with Ed25519 (RFC 8037) by a key of ID_SERVER_URL/.well-known/jwks.json,
// made for opts.Audience, not expired, for one of opts.AllowedUserIDs, and of
// opts.Issuer if it says of whom it is. next gets the user as X-Auth-User, without
// the token; what clients say in that field is removed, and all other cookies stay
// byte for byte.
//
// A browser that has not signed in is sent to the id server and comes back to
// /_auth/redirect, which sets the cookie if signing in began in that browser;
// /_auth/logout deletes it. Both are paths
// of the host, so they are served where the application has the whole host or a
// prefix that is stripped. Others get 403; 503 when the keys cannot be fetched.
//
// Signatures are checked once for each token. Errors name the field.
func NewSSO(opts app.AuthSSOOpts, deps SignInDeps) (func(next fasthttp.RequestHandler) fasthttp.RequestHandler, error) {
	server, err := url.Parse(opts.IDServerURL)
	switch {
	case opts.IDServerURL == "":
		return nil, errors.New("auth_sso_opts.id_server_url: is missing, and serve has none either (--id-server-url, ID_SERVER_URL)")
	case err != nil:
		return nil, fmt.Errorf("auth_sso_opts.id_server_url: %w", err)
	case server.Scheme != "https" && server.Scheme != "http" || server.Host == "":
		return nil, fmt.Errorf("auth_sso_opts.id_server_url: %q is not an http or https URL", opts.IDServerURL)
	case opts.Audience == "":
		return nil, errors.New("auth_sso_opts.audience: is missing; a token for any other service would do")
	case len(opts.AllowedUserIDs) == 0:
		return nil, errors.New("auth_sso_opts.allowed_user_ids: is empty; nobody could enter")
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	s := &sso{
		server: server, allowed: make(map[string]bool, len(opts.AllowedUserIDs)),
		keys: NewKeys(server.JoinPath(".well-known", "jwks.json").String(), deps.Client, deps.Now,
			deps.Log.With().Str("app", deps.App).Logger()),
		parser: jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), jwt.WithAudience(opts.Audience),
			jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithTimeFunc(deps.Now)),
		now: deps.Now,
	}
	if s.issuer = opts.Issuer; s.issuer == "" {
		s.issuer = opts.IDServerURL
	}
	s.attempts = newAttempts(deps.App)
	for _, user := range opts.AllowedUserIDs {
		s.allowed[user] = true
	}
	return func(next fasthttp.RequestHandler) fasthttp.RequestHandler {
		return func(ctx *fasthttp.RequestCtx) { s.serve(ctx, next) }
	}, nil
}

func (s *sso) serve(ctx *fasthttp.RequestCtx, next fasthttp.RequestHandler) {
	wire.Own(ctx, userField)
	switch string(ctx.Path()) {
	case pathReturn:
		s.signedIn(ctx)
		return
	case pathLogout:
		if !mayLogOut(ctx) {
			askToLogOut(ctx)
			return
		}
		setCookie(ctx, ssoCookie, "", -1)
		setCookie(ctx, plainCookie, "", -1)
		bounce(ctx, s.server.JoinPath("logout").String())
		return
	}
	who, bearer, err := s.identify(ctx)
	switch {
	case errors.Is(err, ErrNoKeys):
		unreachable(ctx)
		return
	case err != nil:
		s.signIn(ctx)
		return
	case !s.allowed[who.user]:
		refuse(ctx, fasthttp.StatusForbidden, "you are signed in, but may not enter here")
		return
	}
	if bearer {
		wire.Own(ctx, fasthttp.HeaderAuthorization)
	}
	wire.DropCookies(ctx, func(name []byte) bool {
		return string(name) == ssoCookie || string(name) == plainCookie || bytes.HasPrefix(name, []byte(s.attempts.prefix))
	})
	pass(ctx, who.user, next)
}

var errNoToken = errors.New("the request has no token")

// identify says who the request is from. The token of Authorization goes first,
// since a browser cannot have put it there by itself; one that is not ours may be
// for what is behind, and then the cookie counts.
func (s *sso) identify(ctx *fasthttp.RequestCtx) (who identity, bearer bool, err error) {
	const scheme = "bearer "
	err = errNoToken
	field := ctx.Request.Header.Peek(fasthttp.HeaderAuthorization)
	if len(field) > len(scheme) && equalFold(field[:len(scheme)-1], scheme[:len(scheme)-1]) && field[len(scheme)-1] == ' ' {
		if who, err = s.check(ctx, field[len(scheme):]); err == nil {
			return who, true, nil
		}
	}
	cookie := onlyCookie(ctx, ssoCookie)
	if len(cookie) == 0 && len(ctx.Request.Header.Peek("Sec-Fetch-Site")) == 0 {
		cookie = onlyCookie(ctx, plainCookie)
	}
	if len(cookie) > 0 {
		who, err = s.check(ctx, cookie)
	}
	return who, false, err
}

// check finds out whose token it is.
func (s *sso) check(ctx context.Context, token []byte) (identity, error) {
	if who, ok := s.verified.get(token, s.now()); ok {
		return who, nil
	}
	if len(token) > maxJWT {
		return identity{}, errors.New("the token is too long")
	}
	text := string(token)
	var claims jwt.RegisteredClaims
	_, err := s.parser.ParseWithClaims(text, &claims, func(t *jwt.Token) (any, error) {
		id, _ := t.Header["kid"].(string)
		keys, err := s.keys.Find(ctx, id)
		if err != nil {
			return nil, err
		}
		var set jwt.VerificationKeySet
		for _, key := range keys {
			set.Keys = append(set.Keys, key)
		}
		return set, nil
	})
	switch {
	case err != nil:
		return identity{}, err
	case claims.Issuer != "" && strings.TrimSuffix(claims.Issuer, "/") != strings.TrimSuffix(s.issuer, "/"):
		return identity{}, fmt.Errorf("the token is of another issuer: %.100q", claims.Issuer)
	case claims.Subject == "":
		return identity{}, errors.New("the token names no user")
	}
	who := identity{claims.Subject, claims.ExpiresAt.Time}
	s.verified.put(text, who)
	return who, nil
}

// signIn answers a request of nobody.
func (s *sso) signIn(ctx *fasthttp.RequestCtx) {
	if !wantsPage(ctx) {
		refuse(ctx, fasthttp.StatusForbidden, "sign in first")
		return
	}
	if overTLS(ctx) {
		return
	}
	next := outside(ctx)
	id, secret := s.attempts.begin(ctx)
	back := origin(ctx) + pathReturn + "?next=" + url.QueryEscape(next) + "&state=" + id + derive(secret, next)
	to := *s.server
	query := to.Query()
	query.Set("next", back)
	to.RawQuery = query.Encode()
	bounce(ctx, to.String())
}

// signedIn takes a token from the id server, by way of the browser.
func (s *sso) signedIn(ctx *fasthttp.RequestCtx) {
	args := ctx.QueryArgs()
	next := string(args.Peek("next"))
	if !safeNext(next) {
		refuse(ctx, fasthttp.StatusBadRequest, "next must be a path of this host")
		return
	}
	state := string(args.Peek("state"))
	id := state[:min(len(state), idLength)]
	secret := s.attempts.secret(ctx, id)
	if secret == "" || subtle.ConstantTimeCompare([]byte(state), []byte(id+derive(secret, next))) != 1 {
		// Else a page could sign somebody in as somebody else.
		refuse(ctx, fasthttp.StatusBadRequest, "signing in took too long, or began in another browser; try again")
		return
	}
	token := args.Peek("token")
	who, err := s.check(ctx, token)
	switch {
	case errors.Is(err, ErrNoKeys):
		unreachable(ctx)
	case err != nil:
		refuse(ctx, fasthttp.StatusForbidden, "the token is not good; sign in again")
	case !s.allowed[who.user]:
		refuse(ctx, fasthttp.StatusForbidden, "you are signed in, but may not enter here")
	default:
		s.attempts.end(ctx, id)
		setCookie(ctx, plainCookie, "", -1)
		setCookie(ctx, ssoCookie, string(token), int(who.until.Sub(s.now())/time.Second))
		bounce(ctx, next)
	}
}
