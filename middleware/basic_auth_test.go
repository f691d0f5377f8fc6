package middleware

import (
	"encoding/base64"
	"errors"
	"hash/maphash"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"edgerouter/app"
)

func basic(name, password string) string {
	return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(name+":"+password))
}

// slow is a hash that counts how often it is checked.
type slow struct {
	password string
	mu       sync.Mutex
	checks   int
}

func (s *slow) verify(password []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checks++
	return string(password) == s.password
}

const shaTest = "{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=" // of "test"

func TestBasicAuth(t *testing.T) {
	w := must(t)(NewBasicAuth(app.BasicAuthOpts{
		Users: []app.Secret{app.Secret("alice:" + hashOf(t, "wonder:land")), "bob:" + shaTest, "bob:{SHA}AAAAAAAAAAAAAAAAAAAAAAAAAAA=", "file:more"},
		Realm: "the app", HeaderField: "X-User", RemoveHeader: true,
	}, Deps{Resolve: func(s app.Secret) (string, error) {
		if s == "file:more" {
			return "carol:$apr1$a$WOCl4MYc3JBshYJz6ZmCG1\ndave:" + shaTest, nil
		}
		return string(s), nil
	}}))
	for i, c := range []struct {
		authorization string
		user          string // "" for 401
	}{
		{basic("alice", "wonder:land"), "alice"},
		{basic("alice", "wonder:land"), "alice"},
		{basic("alice", "wonder"), ""},
		{basic("alice", ""), ""},
		{basic("Alice", "wonder:land"), ""},
		{basic("bob", "test"), "bob"},
		{basic("carol", "test"), "carol"},
		{basic("dave", "test"), "dave"},
		{basic("eve", "test"), ""},
		{basic("", "test"), ""},
		{basic("alice", strings.Repeat("x", 2000)), ""},
		{"authorization: bAsIc   " + base64.StdEncoding.EncodeToString([]byte("bob:test")) + " ", "bob"},
		{"Authorization: Basic Ym9i", ""},
		{"Authorization: Basic !!!", ""},
		{"Authorization: Basic", ""},
		{"Authorization: Bearer test", ""},
		{"X-Nothing: x", ""},
	} {
		s := &spy{}
		ctx := request("GET", "/", c.authorization, "X-User: forged", "X_User: forged")
		from(ctx, "192.0.2."+string(fasthttp.AppendUint(nil, i+1)))
		w(s.serve)(ctx)
		if c.user == "" {
			if s.asked != 0 || ctx.Response.StatusCode() != 401 || string(ctx.Response.Header.Peek("WWW-Authenticate")) != `Basic realm="the app"` {
				t.Errorf("%s: asked %d times, %d %q", c.authorization, s.asked, ctx.Response.StatusCode(), ctx.Response.Header.Peek("WWW-Authenticate"))
			}
			continue
		}
		if s.asked != 1 || all(s.header.PeekAll("X-User")) != c.user || len(s.header.Peek("X_User")) > 0 || len(s.header.Peek("Authorization")) > 0 {
			t.Errorf("%s: asked %d times, %s", c.authorization, s.asked, s.header.String())
		}
	}
	// By default the backend sees the credentials, and no name.
	s := &spy{}
	must(t)(NewBasicAuth(app.BasicAuthOpts{Users: []app.Secret{"bob:" + shaTest}}, Deps{}))(s.serve)(request("GET", "/", basic("bob", "test"), "X-User: x"))
	if s.asked != 1 || len(s.header.Peek("Authorization")) == 0 || string(s.header.Peek("X-User")) != "x" {
		t.Errorf("asked %d times, %s", s.asked, s.header.String())
	}
}

func TestBasicAuthErrors(t *testing.T) {
	for _, c := range []struct {
		opts app.BasicAuthOpts
		want string
	}{
		{app.BasicAuthOpts{}, "basic_auth_opts.users: neither users nor users_file"},
		{app.BasicAuthOpts{Users: []app.Secret{"bob:" + shaTest, "x"}}, `basic_auth_opts.users[1]: line 1: want "user:hash"`},
		{app.BasicAuthOpts{Users: []app.Secret{"file:gone"}}, "basic_auth_opts.users[0]: no such file"},
		{app.BasicAuthOpts{UsersFile: "/nonexistent"}, "basic_auth_opts.users_file: stat /nonexistent"},
		{app.BasicAuthOpts{Users: []app.Secret{"bob:" + shaTest}, Realm: `a"b`}, "basic_auth_opts.realm"},
		{app.BasicAuthOpts{Users: []app.Secret{"bob:" + shaTest}, HeaderField: "a b"}, "basic_auth_opts.header_field"},
		{app.BasicAuthOpts{Users: []app.Secret{"bob:" + shaTest}, HeaderField: "Content-Length"}, "basic_auth_opts.header_field"},
	} {
		_, err := NewBasicAuth(c.opts, Deps{Resolve: func(s app.Secret) (string, error) {
			if s.IsReference() {
				return "", errors.New("no such file")
			}
			return string(s), nil
		}})
		refused(t, err, c.want)
	}
}

// newBasic is a basicAuth with one user whose hash can be watched.
func newBasic(clock *hand, hash passwordHash) *basicAuth {
	b := &basicAuth{now: clock.read, failing: newRate(1, int64(failureInterval), failureBurst), slots: make(chan struct{}, 2)}
	b.seed = maphash.MakeSeed()
	b.set = newUserSet([]*user{{name: "alice", text: "1", hash: hash}}, nil)
	return b
}

func TestBasicAuthKnowsPasswords(t *testing.T) {
	hash := &slow{password: "right"}
	b := newBasic(newHand(), hash)
	for range 5 {
		if !b.admit(request("GET", "/", basic("alice", "right"))) {
			t.Fatal("refused")
		}
	}
	if hash.checks != 1 {
		t.Errorf("%d checks of the same password", hash.checks)
	}
	for range 3 {
		if b.admit(request("GET", "/", basic("alice", "wrong"))) {
			t.Fatal("let in")
		}
	}
	if hash.checks != 4 {
		t.Errorf("%d checks; wrong passwords are checked each time", hash.checks)
	}
	// A user that is not there costs as much, and is not let in by the password of
	// the one who stands in.
	if b.admit(request("GET", "/", basic("nobody", "right"))) || hash.checks != 5 {
		t.Errorf("let in, or no check: %d", hash.checks)
	}
}

func TestBasicAuthLimitsFailures(t *testing.T) {
	clock, hash := newHand(), &slow{password: "right"}
	b := newBasic(clock, hash)
	ask := func(ip, password string) int {
		ctx := request("GET", "/", basic("alice", password))
		from(ctx, ip)
		if b.admit(ctx) {
			return 200
		}
		return ctx.Response.StatusCode()
	}
	for i := range failureBurst {
		if code := ask("192.0.2.1", "wrong"); code != 401 {
			t.Fatalf("attempt %d: %d", i+1, code)
		}
	}
	before := hash.checks
	if code := ask("192.0.2.1", "right"); code != 429 || hash.checks != before {
		t.Errorf("beyond the limit: %d, and the password was looked at: %v", code, hash.checks != before)
	}
	if code := ask("192.0.2.2", "right"); code != 200 {
		t.Errorf("another address: %d", code)
	}
	clock.pass(failureInterval)
	if code := ask("192.0.2.1", "right"); code != 200 {
		t.Errorf("after the interval: %d", code)
	}
	// The password is known to be good at this address now: failures of others there
	// do not lock it out, and are not let guess faster either. What is answered with
	// 429 is not looked at, whoever's it is.
	for range 2 * failureBurst {
		ask("192.0.2.1", "wrong")
	}
	before = hash.checks
	for _, password := range []string{"wrong", "", "other"} {
		if code := ask("192.0.2.1", password); code != 429 {
			t.Errorf("%q from a good address: %d", password, code)
		}
	}
	for _, line := range []string{basic("bob", "right"), basic("nobody", "x"), "Authorization: Basic !!!"} {
		ctx := request("GET", "/", line)
		from(ctx, "192.0.2.1")
		if b.admit(ctx) || ctx.Response.StatusCode() != 429 {
			t.Errorf("%s: %d", line, ctx.Response.StatusCode())
		}
	}
	if hash.checks != before {
		t.Errorf("%d guesses that get 429 were checked", hash.checks-before)
	}
	if code := ask("192.0.2.1", "right"); code != 200 {
		t.Errorf("right from a good address: %d", code)
	}
	clock.pass(goodFor + time.Second)
	for range failureBurst {
		ask("192.0.2.1", "wrong")
	}
	if code := ask("192.0.2.1", "right"); code != 429 {
		t.Errorf("an hour later: %d", code)
	}
	// Without credentials it is no attempt.
	for range 100 {
		ctx := request("GET", "/")
		from(ctx, "192.0.2.3")
		if b.admit(ctx) || ctx.Response.StatusCode() != 401 {
			t.Fatalf("status %d", ctx.Response.StatusCode())
		}
	}
}

// stuck is a hash that takes as long as a test wants.
type stuck struct{ entered, leave chan struct{} }

func (s *stuck) verify([]byte) bool { s.entered <- struct{}{}; <-s.leave; return true }

func TestBasicAuthBoundsChecks(t *testing.T) {
	hash := &stuck{make(chan struct{}, 9), make(chan struct{})}
	b := newBasic(newHand(), hash)
	var all sync.WaitGroup
	for i := range 5 {
		all.Go(func() {
			ctx := request("GET", "/", basic("alice", "x"))
			from(ctx, "192.0.2."+string(fasthttp.AppendUint(nil, i+1)))
			b.admit(ctx)
		})
	}
	<-hash.entered
	<-hash.entered
	select {
	case <-hash.entered:
		t.Error("three at once")
	case <-time.After(20 * time.Millisecond):
	}
	close(hash.leave)
	all.Wait()
}

func TestBasicAuthUsersFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	write("bob:" + shaTest + "\n")
	clock, log := newHand(), &strings.Builder{}
	deps := clock.deps()
	deps.Log = zerolog.New(log)
	w := must(t)(NewBasicAuth(app.BasicAuthOpts{Users: []app.Secret{"root:" + shaTest}, UsersFile: path}, deps))
	in := func(name string) bool {
		ctx := request("GET", "/", basic(name, "test"))
		ctx.SetRemoteAddr(nil) // the count of failures is not what this is about
		clock.pass(failureInterval)
		s := &spy{}
		w(s.serve)(ctx)
		return s.asked == 1
	}
	expect := func(step string, want ...string) {
		t.Helper()
		for _, name := range []string{"root", "bob", "eve"} {
			if got := in(name); got != strings.Contains(strings.Join(want, " "), name) {
				t.Errorf("%s: %s may enter: %v", step, name, got)
			}
		}
	}
	expect("at first", "root", "bob")
	write("eve:" + shaTest + "\n")
	expect("another user", "root", "eve")
	write("broken")
	expect("a broken file", "root", "eve")
	os.Remove(path)
	expect("no file", "root", "eve")
	if n := strings.Count(log.String(), `"level":"warn"`); n != 2 || strings.Contains(log.String(), "qUqP") {
		t.Errorf("%d warnings, want one for each way of being unreadable:\n%s", n, log)
	}
	write("bob:" + shaTest + "\neve:{SHA}AAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
	expect("back", "root", "bob")
	// The same size, written within what the file system's clock can tell apart.
	write("eve:" + shaTest + "\nbob:{SHA}AAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
	expect("changed at once", "root", "eve")
}

// TestUsersFileKeepsDigests: users whose line stays need not be checked again.
func TestUsersFileKeepsDigests(t *testing.T) {
	a, b := &user{name: "a", text: "1"}, &user{name: "b", text: "1"}
	before := newUserSet([]*user{a, b}, nil)
	after := newUserSet([]*user{{name: "a", text: "1"}, {name: "b", text: "2"}}, before)
	if after.byName["a"] != a || after.byName["b"] == b {
		t.Error("a should be the same and b another")
	}
}

func TestBasicAuthAllocatesNothing(t *testing.T) {
	w := must(t)(NewBasicAuth(app.BasicAuthOpts{Users: []app.Secret{app.Secret("alice:" + hashOf(t, "wonder"))}, HeaderField: "X-User"}, Deps{}))
	h := w(func(*fasthttp.RequestCtx) {})
	ctx := request("GET", "/", basic("alice", "wonder"))
	allocates(t, 0, func() { h(ctx) })
	if string(ctx.Request.Header.Peek("X-User")) != "alice" {
		t.Error("not let in")
	}
}
