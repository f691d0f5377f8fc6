package middleware

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"runtime"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/wire"
)

// How often a client's address may fail: a burst, then one attempt for each
// interval; and for how long a password that was right there gets in nevertheless,
// so that a broken client does not lock out its neighbours.
const (
	failureBurst    = 10
	failureInterval = time.Second
	goodFor         = time.Hour
)

const (
	// maxCredentials bounds user name and password together.
	maxCredentials = 1024
	// verifyWait is how long a request waits for its turn to have a password
	// checked, which is costly by design.
	verifyWait = 5 * time.Second
)

// NewBasicAuth returns the wrapper of kind basic_auth: only requests with the
// name and password of a user (RFC 7617) reach next; others get 401, and 429 when
// their address has failed too often. Users are htpasswd lines, hashed with
// bcrypt, apr1 ($1$ as well) or {SHA}, from the definition and from a file, which
// is read again when it changes.
//
// Checking a password takes as long as its hash is slow, whether the user exists
// or not, on half of the processors at most. A password that was right is known
// from then on by a digest whose key only this wrapper has, one for each user: the
// next request with it costs a microsecond and allocates nothing.
//
// The user's name goes to next in opts.HeaderField; what the client sent there is
// dropped. With opts.RemoveHeader next does not see Authorization.
func NewBasicAuth(opts app.BasicAuthOpts, deps Deps) (Wrapper, error) {
	b := &basicAuth{
		header: opts.HeaderField, removes: opts.RemoveHeader, seed: maphash.MakeSeed(), now: deps.clock(),
		failing: newRate(1, int64(failureInterval), failureBurst),
		slots:   make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
	}
	if _, err := rand.Read(b.key[:]); err != nil {
		return nil, fmt.Errorf("basic_auth_opts: %w", err)
	}
	realm := opts.Realm
	if realm == "" {
		realm = "restricted"
	}
	if err := checkFieldValue(realm); err != nil || strings.ContainsAny(realm, `"\`) {
		return nil, fmt.Errorf("basic_auth_opts.realm: %q has quotes, backslashes or control characters", realm)
	}
	b.challenge = `Basic realm="` + realm + `"`
	if b.header != "" {
		if err := checkFieldName(b.header); err != nil {
			return nil, fmt.Errorf("basic_auth_opts.header_field: %w", err)
		}
	}
	if err := b.load(opts, deps); err != nil {
		return nil, err
	}
	return func(next fasthttp.RequestHandler) fasthttp.RequestHandler {
		return func(ctx *fasthttp.RequestCtx) {
			if b.admit(ctx) {
				next(ctx)
			}
		}
	}, nil
}

type basicAuth struct {
	challenge string
	header    string // which gets the user's name; "" for none
	removes   bool
	now       func() int64

	set  *userSet
	file *usersFile // nil: none
	key  [32]byte

	seed     maphash.Seed
	failing  rate
	failures times
	good     times
	slots    chan struct{} // those who check a password hold one
}

// load reads the users.
func (b *basicAuth) load(opts app.BasicAuthOpts, deps Deps) error {
	var fixed []*user
	for i, secret := range opts.Users {
		at := fmt.Sprintf("basic_auth_opts.users[%d]", i)
		text, err := deps.resolve(secret)
		if err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		users, err := parseUsers(text)
		if err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		fixed = append(fixed, users...)
	}
	if opts.UsersFile == "" {
		if len(fixed) == 0 {
			return fmt.Errorf("basic_auth_opts.users: neither users nor users_file names anybody")
		}
		b.set = newUserSet(fixed, nil)
		return nil
	}
	var err error
	log := deps.Log.With().Str("app", deps.App).Logger()
	if b.file, err = newUsersFile(opts.UsersFile, fixed, log); err != nil {
		return fmt.Errorf("basic_auth_opts.users_file: %w", err)
	}
	return nil
}

// admit tells whether the request may pass, or has answered it.
func (b *basicAuth) admit(ctx *fasthttp.RequestCtx) bool {
	h := &ctx.Request.Header
	field := h.Peek(fasthttp.HeaderAuthorization)
	if len(field) == 0 {
		b.refuse(ctx) // not an attempt: this is how a browser asks for the challenge
		return false
	}
	now := b.now()
	client := clientKey(b.seed, clientIP(ctx))
	var scratch [maxCredentials]byte
	name, password, ok := basicCredentials(field, &scratch)
	sum := b.digest(password)
	// Who guesses beyond the limit learns nothing and costs nothing: only what was
	// right at this address before is looked at.
	good := client ^ maphash.Bytes(b.seed, name) ^ binary.LittleEndian.Uint64(sum[:])
	wait := b.failures.wait(client, b.failing, now)
	if wait > 0 && (!ok || b.good.get(good) <= now) {
		tooMany(ctx, "too many failed attempts from this address", wait)
		return false
	}
	var who *user
	if ok {
		set := b.set
		if b.file != nil {
			set = b.file.current(now)
		}
		var busy bool
		if who, busy = b.verify(set, name, password, sum); busy {
			wire.Fail(ctx, fasthttp.StatusServiceUnavailable, "too many passwords are being checked")
			ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, "5")
			return false
		}
	}
	switch {
	case who != nil:
	default:
		b.failures.take(client, b.failing, now)
		b.refuse(ctx)
		return false
	}
	if until := now + int64(goodFor); b.good.get(good) < until-int64(goodFor/2) {
		b.good.put(good, until)
	}
	if b.removes {
		wire.Own(ctx, fasthttp.HeaderAuthorization)
	}
	if b.header != "" {
		wire.SetOwned(ctx, b.header, who.name)
		wire.KeyField(ctx, b.header)
	}
	wire.Authorize(ctx)
	return true
}

func (b *basicAuth) refuse(ctx *fasthttp.RequestCtx) {
	wire.Fail(ctx, fasthttp.StatusUnauthorized, "authentication required")
	ctx.Response.Header.Set(fasthttp.HeaderWWWAuthenticate, b.challenge)
	ctx.Response.Header.Set(fasthttp.HeaderCacheControl, "no-store")
}

// verify returns the user that name and password are of, nil for nobody; busy
// when it could not be found out in time.
func (b *basicAuth) verify(set *userSet, name, password []byte, sum digest) (who *user, busy bool) {
	u, known := set.byName[string(name)], true
	if u == nil {
		if u, known = set.decoy(b.seed, name), false; u == nil {
			return nil, false
		}
	}
	if last := u.verified.Load(); known && last != nil && subtle.ConstantTimeCompare(last[:], sum[:]) == 1 {
		return u, false
	}
	if !b.takeSlot() {
		return nil, true
	}
	if !b.check(u, password) || !known {
		return nil, false
	}
	stored := sum
	u.verified.Store(&stored)
	return u, false
}

// check does the costly work and gives the slot back.
func (b *basicAuth) check(u *user, password []byte) bool {
	defer func() { <-b.slots }()
	// A copy, so that passwords that are known already stay on the stack.
	return u.hash.verify(append([]byte(nil), password...))
}

// takeSlot waits for one of slots.
func (b *basicAuth) takeSlot() bool {
	select {
	case b.slots <- struct{}{}:
		return true
	default:
	}
	timer := time.NewTimer(verifyWait)
	defer timer.Stop()
	select {
	case b.slots <- struct{}{}:
		return true
	case <-timer.C:
		return false
	}
}

// digest is a hash of a password that is worth nothing without the key, and
// nothing to anybody else with it.
func (b *basicAuth) digest(password []byte) digest {
	var buf [len(b.key) + maxCredentials]byte
	n := copy(buf[:], b.key[:])
	n += copy(buf[n:], password)
	return sha256.Sum256(buf[:n])
}

// basicCredentials takes name and password out of an Authorization field of
// scheme Basic; they are part of scratch, and what does not fit there is refused.
func basicCredentials(field []byte, scratch *[maxCredentials]byte) (name, password []byte, ok bool) {
	scheme, encoded, _ := bytes.Cut(field, []byte(" "))
	if !wire.EqualFold(scheme, "basic") {
		return nil, nil, false
	}
	encoded = bytes.Trim(encoded, " ")
	if base64.StdEncoding.DecodedLen(len(encoded)) > len(scratch) {
		return nil, nil, false
	}
	n, err := base64.StdEncoding.Decode(scratch[:], encoded)
	if err != nil {
		return nil, nil, false
	}
	return bytes.Cut(scratch[:n], []byte(":"))
}
