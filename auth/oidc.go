package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"
	"golang.org/x/oauth2"

	"edgerouter/app"
	"edgerouter/wire"
)

const (
	// sessionFor is how long somebody stays signed in.
	sessionFor = 12 * time.Hour
	// providerRetry is the least time between two attempts to ask a provider for
	// its endpoints.
	providerRetry   = 5 * time.Second
	providerTimeout = 10 * time.Second
	// maxSession is the longest session cookie that is looked into, in bytes;
	// browsers keep 4096.
	maxSession = 4096
)

// oidcGate lets in users of an OpenID provider.
type oidcGate struct {
	opts     app.AuthOIDCOpts
	secret   string
	allowed  app.OIDCAllowed
	client   *http.Client
	seals    *sealer
	name     string // of the session's cookie
	attempts attempts
	verified verified
	now      func() time.Time
	log      zerolog.Logger

	mu       sync.Mutex
	provider *oidc.Provider // nil: not asked yet, or it did not answer
	asked    time.Time
}

// session is what the session's cookie holds.
type session struct {
	User  string    `json:"u"`
	Until time.Time `json:"t"`
}

// attempt is what is in the state of an attempt to sign in, sealed together with
// the secret in the attempt's cookie. Nonce and PKCE's verifier are derived from
// that secret.
type attempt struct {
	Next  string    `json:"x"`
	Until time.Time `json:"t"`
}

// NewOIDC returns the wrapper of kind auth_oidc: OpenID Connect's authorization
// code flow (Core 1.0 section 3.1) with PKCE (RFC 7636) at opts.Issuer. A request
// reaches next when its session cookie says that one of opts.Allowed signed in
// within the last 12 hours; next gets the user's verified email address, or else
// the subject, as X-Auth-User, and not the cookie. What clients say in that field
// is removed.
//
// A browser without a session is sent to the provider, whose redirect URI to
// register is https://HOST/_auth/callback; /_auth/logout ends the session. Both
// are paths of the host, so they are served where the application has the whole
// host or a prefix that is stripped. Programs get 401.
//
// Sessions are sealed with deps.SessionKey, so that any node that has it knows
// them. The provider is asked when first needed; while it cannot be, 503 is the
// answer to those who would have to sign in. Errors name the field.
func NewOIDC(opts app.AuthOIDCOpts, deps SignInDeps) (func(next fasthttp.RequestHandler) fasthttp.RequestHandler, error) {
	issuer, err := url.Parse(opts.Issuer)
	switch {
	case err != nil:
		return nil, fmt.Errorf("auth_oidc_opts.issuer: %w", err)
	case issuer.Scheme != "https" && issuer.Scheme != "http" || issuer.Host == "":
		return nil, fmt.Errorf("auth_oidc_opts.issuer: %q is not an http or https URL", opts.Issuer)
	case opts.ClientID == "":
		return nil, errors.New("auth_oidc_opts.client_id: is missing")
	case opts.Allowed == nil || len(opts.Allowed.Emails)+len(opts.Allowed.Domains)+len(opts.Allowed.Groups)+len(opts.Allowed.Subjects) == 0:
		return nil, errors.New("auth_oidc_opts.allowed: is empty; nobody could enter")
	}
	g := &oidcGate{
		opts: opts, allowed: *opts.Allowed, client: deps.Client, now: deps.Now,
		log: deps.Log.With().Str("app", deps.App).Str("issuer", opts.Issuer).Logger(),
	}
	if g.now == nil {
		g.now = time.Now
	}
	if g.secret, err = clientSecret(opts, deps.Resolve); err != nil {
		return nil, err
	}
	// Others who may enter, and another client, are other sessions.
	purpose := fmt.Sprintf("auth_oidc %q %q %q %q", deps.App, opts.Issuer, opts.ClientID, *opts.Allowed)
	if g.seals, err = newSealer(deps.SessionKey, purpose); err != nil {
		return nil, fmt.Errorf("auth_oidc_opts: %w", err)
	}
	g.name, g.attempts = cookieName(deps.App), newAttempts(deps.App)
	return func(next fasthttp.RequestHandler) fasthttp.RequestHandler {
		return func(ctx *fasthttp.RequestCtx) { g.serve(ctx, next) }
	}, nil
}

func clientSecret(opts app.AuthOIDCOpts, resolve func(app.Secret) (string, error)) (string, error) {
	field, secret := "client_secret", opts.ClientSecret
	if opts.ClientSecretFile != "" {
		field, secret = "client_secret_file", app.Secret("file:"+opts.ClientSecretFile)
	}
	if secret == "" {
		return "", nil // a public client: PKCE is all there is
	}
	if resolve == nil {
		resolve = func(s app.Secret) (string, error) { return app.Resolve(s, os.ReadFile, os.LookupEnv) }
	}
	text, err := resolve(secret)
	if err != nil {
		return "", fmt.Errorf("auth_oidc_opts.%s: %w", field, err)
	}
	return text, nil
}

func (g *oidcGate) serve(ctx *fasthttp.RequestCtx, next fasthttp.RequestHandler) {
	wire.Own(ctx, userField)
	switch string(ctx.Path()) {
	case pathCallback:
		g.callback(ctx)
		return
	case pathLogout:
		g.logout(ctx)
		return
	}
	who, ok := g.session(ctx)
	if !ok {
		g.signIn(ctx)
		return
	}
	wire.DropCookies(ctx, func(name []byte) bool {
		return string(name) == g.name || bytes.HasPrefix(name, []byte(g.attempts.prefix))
	})
	pass(ctx, who.user, next)
}

// session is who the request is from.
func (g *oidcGate) session(ctx *fasthttp.RequestCtx) (identity, bool) {
	cookie := onlyCookie(ctx, g.name)
	if len(cookie) == 0 || len(cookie) > maxSession {
		return identity{}, false
	}
	now := g.now()
	if who, ok := g.verified.get(cookie, now); ok {
		return who, true
	}
	var s session
	if g.seals.open("session", cookie, &s) != nil || !now.Before(s.Until) || s.User == "" {
		return identity{}, false
	}
	who := identity{s.User, s.Until}
	g.verified.put(string(cookie), who)
	return who, true
}

// signIn sends a browser to the provider.
func (g *oidcGate) signIn(ctx *fasthttp.RequestCtx) {
	if !wantsPage(ctx) {
		refuse(ctx, fasthttp.StatusUnauthorized, "sign in first")
		return
	}
	if overTLS(ctx) {
		return
	}
	config, err := g.config(ctx)
	if err != nil {
		unreachable(ctx)
		return
	}
	next := "/"
	if ctx.IsGet() || ctx.IsHead() {
		next = outside(ctx)
	}
	id, secret := g.attempts.begin(ctx)
	sealed, err := g.seals.seal("login "+id+secret, attempt{Next: next, Until: g.now().Add(signInFor)})
	if err != nil || len(sealed) > maxSession {
		refuse(ctx, fasthttp.StatusRequestURITooLong, "sign in at a shorter address first")
		return
	}
	bounce(ctx, config.AuthCodeURL(id+sealed, oidc.Nonce(derive(secret, "nonce")), oauth2.S256ChallengeOption(derive(secret, "verifier"))))
}

// callback takes the provider's answer, by way of the browser.
func (g *oidcGate) callback(ctx *fasthttp.RequestCtx) {
	args := ctx.QueryArgs()
	state := string(args.Peek("state"))
	if len(state) <= idLength || len(state) > idLength+maxSession {
		refuse(ctx, fasthttp.StatusBadRequest, "this is where signing in ends; it has not begun here")
		return
	}
	id := state[:idLength]
	secret := g.attempts.secret(ctx, id)
	var a attempt
	if secret == "" || g.seals.open("login "+id+secret, []byte(state[idLength:]), &a) != nil || !g.now().Before(a.Until) || !safeNext(a.Next) {
		refuse(ctx, fasthttp.StatusBadRequest, "signing in took too long, or began in another browser; try again")
		return
	}
	g.attempts.end(ctx, id)
	if code := args.Peek("error"); len(code) > 0 {
		g.log.Warn().Str("error", firstBytes(code)).Str("description", firstBytes(args.Peek("error_description"))).Msg("the provider did not sign somebody in")
		g.refuseAndForget(ctx, id, fasthttp.StatusForbidden, "the provider did not sign you in")
		return
	}
	user, err := g.exchange(ctx, string(args.Peek("code")), secret)
	switch {
	case errors.Is(err, errNotAllowed):
		g.log.Warn().Err(err).Msg("somebody who may not enter signed in")
		g.refuseAndForget(ctx, id, fasthttp.StatusForbidden, "you are signed in, but may not enter here")
		return
	case err != nil:
		g.log.Error().Err(err).Msg("signing somebody in (see auth_oidc_opts)")
		g.refuseAndForget(ctx, id, fasthttp.StatusBadGateway, "signing in failed at the provider")
		return
	}
	sealed, err := g.seals.seal("session", session{user, g.now().Add(sessionFor).Truncate(time.Second)})
	if err != nil || len(sealed) > maxSession {
		g.refuseAndForget(ctx, id, fasthttp.StatusForbidden, "the name that the provider has for you is too long")
		return
	}
	setCookie(ctx, g.name, sealed, int(sessionFor/time.Second))
	bounce(ctx, a.Next)
}

// refuseAndForget refuses and ends the attempt to sign in.
func (g *oidcGate) refuseAndForget(ctx *fasthttp.RequestCtx, id string, status int, text string) {
	refuse(ctx, status, text)
	g.attempts.end(ctx, id)
}

func (g *oidcGate) logout(ctx *fasthttp.RequestCtx) {
	if !mayLogOut(ctx) {
		askToLogOut(ctx)
		return
	}
	to := prefixOf(ctx) + "/"
	if provider, err := g.endpoints(); err == nil {
		var more struct {
			EndSession string `json:"end_session_endpoint"` // OpenID Connect RP-Initiated Logout 1.0
		}
		if provider.Claims(&more) == nil && strings.HasPrefix(more.EndSession, "https://") {
			to = more.EndSession
		}
	}
	setCookie(ctx, g.name, "", -1)
	bounce(ctx, to)
}

var errNotAllowed = errors.New("not in auth_oidc_opts.allowed")

// exchange gets the user's token for the code and says who it is.
func (g *oidcGate) exchange(ctx *fasthttp.RequestCtx, code, secret string) (user string, err error) {
	config, err := g.config(ctx)
	if err != nil {
		return "", err
	}
	within, cancel := g.within(ctx)
	defer cancel()
	token, err := config.Exchange(within, code, oauth2.VerifierOption(derive(secret, "verifier")))
	if err != nil {
		return "", fmt.Errorf("exchanging the code: %w", withoutBody(err))
	}
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return "", errors.New("the provider gave no id_token")
	}
	provider, err := g.endpoints()
	if err != nil {
		return "", err
	}
	id, err := provider.VerifierContext(within, &oidc.Config{ClientID: g.opts.ClientID, Now: g.now}).Verify(within, raw)
	if err != nil {
		return "", fmt.Errorf("the id_token: %w", err)
	}
	if id.Nonce != derive(secret, "nonce") {
		return "", errors.New("the id_token is of another attempt to sign in")
	}
	var c person
	if err := id.Claims(&c); err != nil {
		return "", fmt.Errorf("the id_token's claims: %w", err)
	}
	c.Subject = id.Subject
	if c.lacks(&g.allowed) && provider.UserInfoEndpoint() != "" {
		if err := ask(within, provider, token, &c); err != nil && !c.in(&g.allowed) {
			return "", err
		}
	}
	if !c.in(&g.allowed) {
		return "", fmt.Errorf("%w: %q", errNotAllowed, c.name())
	}
	return c.name(), nil
}

// ask adds what the userinfo endpoint says of a user (OpenID Connect Core 1.0
// section 5.3).
func ask(ctx context.Context, provider *oidc.Provider, token *oauth2.Token, c *person) error {
	info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return errors.New("the userinfo endpoint did not say who it is") // its answer may repeat the token
	}
	var more person
	if err := info.Claims(&more); err != nil {
		return fmt.Errorf("the userinfo endpoint's claims: %w", err)
	}
	if more.Subject != c.Subject {
		return errors.New("the userinfo endpoint speaks of somebody else") // section 5.3.2
	}
	c.add(&more)
	return nil
}

// withoutBody drops what the provider answered from an error: it may repeat what
// was sent.
func withoutBody(err error) error {
	var failed *oauth2.RetrieveError
	if errors.As(err, &failed) {
		return fmt.Errorf("the provider answered %s, error %q", failed.Response.Status, firstBytes([]byte(failed.ErrorCode)))
	}
	return err
}

func firstBytes(b []byte) string { return string(b[:min(len(b), 200)]) }

// config is what the provider is asked with, for the host of a request.
func (g *oidcGate) config(ctx *fasthttp.RequestCtx) (*oauth2.Config, error) {
	provider, err := g.endpoints()
	if err != nil {
		return nil, err
	}
	scopes := g.opts.Scopes
	if len(scopes) == 0 {
		scopes = []string{"email", "profile"}
	}
	if !slices.Contains(scopes, oidc.ScopeOpenID) {
		scopes = append([]string{oidc.ScopeOpenID}, scopes...)
	}
	return &oauth2.Config{
		ClientID: g.opts.ClientID, ClientSecret: g.secret, Endpoint: provider.Endpoint(), Scopes: scopes,
		RedirectURL: origin(ctx) + pathCallback,
	}, nil
}

// endpoints asks the provider where things are (OpenID Connect Discovery 1.0
// section 4), once.
func (g *oidcGate) endpoints() (*oidc.Provider, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.provider != nil {
		return g.provider, nil
	}
	if now := g.now(); now.Sub(g.asked) < providerRetry {
		return nil, errors.New("the provider did not answer")
	} else {
		g.asked = now
	}
	// Later fetches of keys take the client from here, so the context must last.
	lasting := oidc.ClientContext(context.Background(), g.client)
	limited, cancel := context.WithTimeout(lasting, providerTimeout)
	defer cancel()
	provider, err := oidc.NewProvider(limited, g.opts.Issuer)
	if err != nil {
		g.log.Error().Err(err).Msg("asking the provider for its endpoints (see auth_oidc_opts.issuer)")
		return nil, err
	}
	g.provider = provider
	return provider, nil
}

func (g *oidcGate) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(oidc.ClientContext(context.WithoutCancel(ctx), g.client), providerTimeout)
}
