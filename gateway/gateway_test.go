package gateway

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"edgerouter/app"
	"edgerouter/router"
)

func TestApplyServes(t *testing.T) {
	f := newFixture(t)
	if f.Snapshot().Generation != 0 || f.ask("a.example.com", "/") != "" {
		t.Fatal("something is served before the first Apply")
	}
	f.Apply(files(peers("a", "http://a", "a.example.com", "*.a.example.com"), peers("b", "http://b", "b.example.com")))
	f.wantAsk(t, "a.example.com", "/x", "http://a")
	f.wantAsk(t, "www.a.example.com", "/", "http://a")
	f.wantAsk(t, "b.example.com", "/", "http://b")
	f.wantAsk(t, "c.example.com", "/", "")
	s := f.Snapshot()
	if s.Generation != 1 || s.Apps.Len() != 2 || s.Apps.At(0).ID() != "a" || s.Apps.At(1).Source != "file" {
		t.Errorf("snapshot %d has %d applications", s.Generation, s.Apps.Len())
	}
	if d := s.Apps.At(0).Describe(); !strings.Contains(d, "a.example.com") {
		t.Errorf("Describe: %q", d)
	}
	if e := f.Lookup([]byte("a.example.com"), []byte("/"), nil); !e.Direct || e.Observer == nil || e.App != "a" {
		t.Errorf("entry %+v", e)
	}
	for name, want := range map[string]string{"er_config_generation": "1", "er_apps": "2", "er_conflicts": "0", "er_app_problems": "0"} {
		if got := f.metric(name); got != want {
			t.Errorf("%s is %q, want %s", name, got, want)
		}
	}
}

func TestApplyEqualIsNothing(t *testing.T) {
	f := newFixture(t)
	f.Apply(files(peers("a", "http://a", "a.example.com")))
	s := f.Snapshot()
	f.log.take()
	events, cancel := f.Subscribe()
	defer cancel()
	f.Apply(files(peers("a", "http://a", "a.example.com"))) // equal, another value
	if f.Snapshot() != s || f.fakes.count() != 1 {
		t.Error("an equal set made a new snapshot or backend")
	}
	if log := f.log.take(); log != "" {
		t.Errorf("an equal set is logged: %s", log)
	}
	if len(events) != 0 {
		t.Error("an equal set is an event")
	}
}

func TestApplyEmptyFirst(t *testing.T) {
	f := newFixture(t)
	f.Apply(nil)
	if f.Snapshot().Generation != 1 {
		t.Error("the first set counts even when it is empty")
	}
}

func TestUnchangedIsKept(t *testing.T) {
	f := newFixture(t)
	a := peers("a", "http://a", "a.example.com", "a.example.net")
	f.Apply(files(a, peers("b", "http://b", "b.example.com")))
	find := func(host string) *router.Entry { return f.Lookup([]byte(host), []byte("/"), nil) }
	b, first, second := find("b.example.com"), find("a.example.com"), find("a.example.net")

	changed := peers("a", "http://a", "a.example.com", "a.example.org")
	f.Apply(files(changed, peers("b", "http://b", "b.example.com")))
	if f.fakes.count() != 2 {
		t.Errorf("%d backends were built, want 2: the options did not change", f.fakes.count())
	}
	if find("b.example.com") != b || find("a.example.com") != first {
		t.Error("entries of what did not change are new")
	}
	if find("a.example.net") != nil || find("a.example.org") == second {
		t.Error("the changed frontend is not served as declared")
	}

	f.Apply(files(peers("a", "http://a2", "a.example.com", "a.example.org"), peers("b", "http://b", "b.example.com")))
	if f.fakes.count() != 3 || find("b.example.com") != b {
		t.Error("changed options build one backend and leave the others alone")
	}
	f.wantAsk(t, "a.example.com", "/", "http://a2")
}

func TestRetiredBackendsAreClosedAfterGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.Gateway.opts.Grace = DefaultGrace
		f.Apply(files(peers("a", "http://a1", "a.example.com"), peers("b", "http://b", "b.example.com")))
		old, gone := f.fakes.built[0], f.fakes.built[1]
		held := f.Lookup([]byte("a.example.com"), []byte("/"), nil)
		f.Apply(files(peers("a", "http://a2", "a.example.com")))
		if old.isClosed() || gone.isClosed() {
			t.Error("a backend was closed in the moment of the swap")
		}
		if held.Handler == nil {
			t.Error("a held entry lost its handler")
		}
		synctestSleep(DefaultGrace)
		if !old.isClosed() || !gone.isClosed() {
			t.Error("backends that fell out are still open after the grace time")
		}
		if f.fakes.built[2].isClosed() {
			t.Error("a backend in service was closed")
		}
		f.Apply(files(peers("a", "http://a3", "a.example.com")))
		f.Close()
		for _, b := range f.fakes.built {
			if !b.isClosed() {
				t.Errorf("%s is open after Close", b.addr)
			}
		}
	})
}

func TestBrokenKeepsPrevious(t *testing.T) {
	f := newFixture(t)
	f.Apply(files(peers("a", "http://a", "a.example.com"), peers("b", "http://b", "b.example.com")))
	f.fakes.broken["http://bad"] = app.Problem{Field: "backend.peer_set_opts.addrs[0]", Value: "http://bad", Message: "cannot be used"}
	f.log.take()
	f.Apply(files(peers("a", "http://bad", "a2.example.com"), peers("b", "http://b2", "b.example.com"), peers("c", "http://bad", "c.example.com")))
	f.wantAsk(t, "a.example.com", "/", "http://a")
	f.wantAsk(t, "a2.example.com", "/", "")
	f.wantAsk(t, "b.example.com", "/", "http://b2")
	f.wantAsk(t, "c.example.com", "/", "")
	a := f.wantState(t, "a", StateKept)
	if len(a.Problems) != 1 || a.Problems[0].Field != "backend.peer_set_opts.addrs[0]" || a.Problems[0].App != "a" {
		t.Errorf("problems of a: %v", a.Problems)
	}
	if a.Definition.Frontends[0].Hostname != "a.example.com" {
		t.Error("the snapshot shows the broken definition as what is served")
	}
	f.wantState(t, "c", StateBroken)
	if log := f.log.take(); !strings.Contains(log, "cannot be used") {
		t.Errorf("the problem is not logged: %s", log)
	}
	if got := f.metric("er_app_problems"); got != "2" {
		t.Errorf("er_app_problems is %s, want 2", got)
	}

	// The same broken set again: tried again, not told again.
	s := f.Snapshot()
	f.Apply(files(peers("a", "http://bad", "a2.example.com"), peers("b", "http://b2", "b.example.com"), peers("c", "http://bad", "c.example.com")))
	if f.Snapshot() != s || f.log.take() != "" {
		t.Error("the same problems are told twice")
	}

	// What made it fail is gone: the same definition works now.
	delete(f.fakes.broken, "http://bad")
	f.Apply(files(peers("a", "http://bad", "a2.example.com"), peers("b", "http://b2", "b.example.com"), peers("c", "http://bad", "c.example.com")))
	f.wantAsk(t, "a2.example.com", "/", "http://bad")
	f.wantAsk(t, "a.example.com", "/", "")
	f.wantState(t, "a", StateRunning)
	f.wantState(t, "c", StateRunning)
}

func TestBrokenThenBack(t *testing.T) {
	f := newFixture(t)
	f.fakes.broken["http://bad"] = errors.New("no")
	f.Apply(files(peers("a", "http://a", "a.example.com")))
	f.Apply(files(peers("a", "http://bad", "a.example.com")))
	f.Apply(files(peers("a", "http://a", "a.example.com")))
	f.wantState(t, "a", StateRunning)
	if f.fakes.count() != 1 || f.fakes.built[0].isClosed() {
		t.Error("going back to what is served still took a new backend")
	}
}

func TestBrokenThenRemoved(t *testing.T) {
	f := newFixture(t)
	f.fakes.broken["http://bad"] = errors.New("no")
	f.Apply(files(peers("a", "http://a", "a.example.com"), peers("c", "http://bad", "c.example.com")))
	f.Apply(files(peers("a", "http://bad", "a.example.com")))
	f.Apply(files())
	f.wantAsk(t, "a.example.com", "/", "")
	if f.Snapshot().Apps.Len() != 0 {
		t.Error("a removed application still shows")
	}
}

// A frontend that cannot be compiled breaks its application, and what was built
// for it is closed again.
func TestBrokenFrontend(t *testing.T) {
	f := newFixture(t)
	f.Apply(files(rule("r", "http://r", "Host(`r.example.com`")))
	a := f.wantState(t, "r", StateBroken)
	if len(a.Problems) != 1 || a.Problems[0].Field != "frontends[0]" {
		t.Errorf("problems: %v", a.Problems)
	}
	if !f.fakes.built[0].isClosed() {
		t.Error("the backend of a broken application stays open")
	}
}

func TestUnavailableKinds(t *testing.T) {
	f := newFixture(t)
	lambda := peers("l", "", "l.example.com")
	lambda.Backend = app.Backend{Kind: app.BackendAWSLambda, AWSLambda: &app.AWSLambdaOpts{FunctionName: "f"}}
	limited := peers("m", "http://m", "m.example.com")
	limited.Middlewares = []app.Middleware{{Kind: app.MiddlewareRateLimit, RateLimit: &app.RateLimitOpts{Average: 1}}}
	f.Apply(files(lambda, limited, peers("a", "http://a", "a.example.com")))
	f.wantAsk(t, "a.example.com", "/", "http://a")
	f.wantAsk(t, "l.example.com", "/", "backend kind aws_lambda is not available in this version\n")
	f.wantAsk(t, "m.example.com", "/", "middleware kind rate_limit is not available in this version\n")
	l := f.wantState(t, "l", StateUnavailable)
	if len(l.Problems) != 1 || l.Problems[0].Value != "aws_lambda" {
		t.Errorf("problems: %v", l.Problems)
	}
	if e := f.Lookup([]byte("l.example.com"), []byte("/"), nil); e.Direct {
		t.Error("the answer of an unavailable kind does not write the wire itself")
	}
	if f.fakes.count() != 1 {
		t.Error("a backend was built behind a middleware that is not available")
	}
	s := f.Snapshot()
	f.Apply(files(lambda, limited, peers("a", "http://a", "a.example.com")))
	if f.Snapshot() != s {
		t.Error("an unavailable kind is a change each time")
	}
	// It becomes available in the sense that its definition changes.
	limited.Middlewares = nil
	f.Apply(files(lambda, limited, peers("a", "http://a", "a.example.com")))
	f.wantAsk(t, "m.example.com", "/", "http://m")
}

func TestMiddlewaresWrap(t *testing.T) {
	f := newFixture(t)
	tag := func(s string) app.Middleware {
		return app.Middleware{Kind: app.MiddlewareHeaders, Headers: &app.HeadersOpts{Request: map[string]string{"tag": s}}}
	}
	a := peers("a", "http://a", "a.example.com")
	a.Middlewares = []app.Middleware{tag("outer"), tag("inner")}
	f.Apply(files(a))
	f.wantAsk(t, "a.example.com", "/", "outer(inner(http://a))")
	if f.Lookup([]byte("a.example.com"), []byte("/"), nil).Direct {
		t.Error("direct, and a middleware stands before it")
	}
	backend := f.fakes.built[0]
	a.Middlewares = []app.Middleware{tag("only")}
	f.Apply(files(a))
	f.wantAsk(t, "a.example.com", "/", "only(http://a)")
	if f.fakes.count() != 1 || backend.isClosed() {
		t.Error("another middleware made a new backend")
	}
	a.Middlewares = []app.Middleware{{Kind: app.MiddlewareHeaders, Headers: &app.HeadersOpts{Request: map[string]string{"broken": "1"}}}}
	f.Apply(files(a))
	f.wantAsk(t, "a.example.com", "/", "only(http://a)")
	if p := f.wantState(t, "a", StateKept).Problems; len(p) != 1 || p[0].Field != "middlewares[0]" {
		t.Errorf("problems: %v", p)
	}
}

func TestConflictsBySourceOrder(t *testing.T) {
	f := newFixture(t)
	sets := []SourceSet{
		{Source: "file", Apps: []app.Application{peers("z", "http://z", "x.example.com")}},
		{Source: "docker", Apps: []app.Application{peers("a", "http://a", "x.example.com", "a.example.com")}},
	}
	f.Apply(sets)
	f.wantAsk(t, "x.example.com", "/", "http://z")
	f.wantAsk(t, "a.example.com", "/", "http://a")
	want := Conflict{App: "a", Source: "docker", Claim: "x.example.com/", Winner: "z", WinnerSource: "file"}
	got := f.Snapshot().Conflicts
	if len(got) != 1 || got[0].App != want.App || got[0].Source != want.Source || got[0].Winner != want.Winner || got[0].WinnerSource != want.WinnerSource {
		t.Fatalf("conflicts %+v, want %+v", got, want)
	}
	if log := f.log.take(); !strings.Contains(log, `"winner":"z"`) {
		t.Errorf("the conflict is not logged by name: %s", log)
	}
	// The winner moves to a later source and loses.
	sets[0].Apps, sets[1].Apps = nil, append(sets[1].Apps, peers("z", "http://z", "x.example.com"))
	f.Apply(sets)
	f.wantAsk(t, "x.example.com", "/", "http://a")
	if f.fakes.count() != 2 {
		t.Error("moving between sources made a new backend")
	}
	if got := f.metric("er_conflicts"); got != "1" {
		t.Errorf("er_conflicts is %s", got)
	}
	// And the conflict ends.
	sets[1].Apps = sets[1].Apps[1:]
	f.Apply(sets)
	if len(f.Snapshot().Conflicts) != 0 {
		t.Error("a conflict outlives its cause")
	}
}

func TestSourceProblemsShow(t *testing.T) {
	f := newFixture(t)
	set := SourceSet{Source: "file", Apps: []app.Application{peers("a", "http://a", "a.example.com"), peers("b", "http://b", "b.example.com")}}
	f.Apply([]SourceSet{set})
	set.Problems = []app.Problem{{File: "x.json", App: "a", Message: "newer version is broken"}, {File: "x.json", Message: "of the file"}}
	set.Kept = []string{"a"}
	f.Apply([]SourceSet{set})
	if a := f.wantState(t, "a", StateKept); len(a.Problems) != 1 {
		t.Errorf("problems of a: %v", a.Problems)
	}
	f.wantState(t, "b", StateRunning)
	if got := f.metric("er_app_problems"); got != "2" {
		t.Errorf("er_app_problems is %s", got)
	}
	set.Problems, set.Kept = nil, nil
	f.Apply([]SourceSet{set})
	if a := f.wantState(t, "a", StateRunning); len(a.Problems) != 0 {
		t.Errorf("problems of a stay: %v", a.Problems)
	}
	if f.fakes.count() != 2 {
		t.Error("problems of a source made a new backend")
	}
}

// Ids are unique by contract; when they are not, nothing worse happens than that
// the first stays.
func TestDuplicateIDs(t *testing.T) {
	f := newFixture(t)
	for range 3 {
		f.Apply(files(peers("a", "http://1", "a.example.com"), peers("a", "http://2", "a.example.com"), peers("b", "http://b", "b.example.com")))
		f.wantAsk(t, "a.example.com", "/", "http://1")
		f.Apply(files(peers("b", "http://b", "b.example.com"), peers("a", "http://1", "a.example.com"), peers("a", "http://2", "a.example.com")))
		f.wantAsk(t, "a.example.com", "/", "http://1")
	}
	if f.Snapshot().Apps.Len() != 2 {
		t.Errorf("%d applications", f.Snapshot().Apps.Len())
	}
}

func TestRules(t *testing.T) {
	f := newFixture(t)
	plain := rule("plain", "http://plain", "Host(`a.example.com`) || Host(`b.example.com`)")
	f.Apply(files(plain))
	f.wantAsk(t, "a.example.com", "/api", "http://plain")
	if e := f.Lookup([]byte("b.example.com"), []byte("/"), nil); e.Kind != router.Exact {
		t.Errorf("a rule of hosts alone is matched as %v", e.Kind)
	}
	api := rule("api", "http://api", "Host(`a.example.com`) && PathPrefix(`/api/of/the/first`)")
	f.Apply(files(plain, api))
	f.wantAsk(t, "a.example.com", "/api/of/the/first/x", "http://api")
	f.wantAsk(t, "a.example.com", "/api/of/the/firstborn", "http://api") // rules keep Traefik's string prefix
	f.wantAsk(t, "a.example.com", "/", "http://plain")
	f.wantAsk(t, "b.example.com", "/api", "http://plain")
	for _, path := range []string{"/", "/api/of/the/firstborn"} {
		if e := f.Lookup([]byte("a.example.com"), []byte(path), nil); e.Kind != router.Exact {
			t.Errorf("%s is matched as %v", path, e.Kind)
		}
	}
	// One that asks for more stays a rule, and so do those that come after it.
	get := rule("get", "http://get", "Host(`a.example.com`) && PathPrefix(`/api`) && ClientIP(`::/0`)")
	f.Apply(files(plain, api, get))
	for path, want := range map[string]router.Kind{"/": router.Rule, "/api/of/the/first": router.Rule} {
		if e := f.Lookup([]byte("a.example.com"), []byte(path), nil); e.Kind != want {
			t.Errorf("%s is matched as %v", path, e.Kind)
		}
	}
	f.Apply(files(plain))
	if e := f.Lookup([]byte("a.example.com"), []byte("/api"), nil); e == nil || e.Kind != router.Exact {
		t.Error("the rule is not an exact host again")
	}
	// A rule for any host may be longer than that of a host.
	f.Apply(files(plain, rule("any", "http://any", "PathPrefix(`/a-very-long-prefix-that-is-longer-than-the-hosts-of-the-rule`)")))
	f.wantAsk(t, "a.example.com", "/a-very-long-prefix-that-is-longer-than-the-hosts-of-the-rule", "http://any")
	f.wantAsk(t, "a.example.com", "/", "http://plain")
}

func TestRuleMatchersAllCompile(t *testing.T) {
	f := newFixture(t)
	text := "(Host(`r.example.com`) || HostRegexp(`^x\\.`)) && (Path(`/p`) || PathPrefix(`/q`) || PathRegexp(`^/r\\d`)) && !Method(`POST`) && " +
		"(ClientIP(`10.0.0.0/8`) || ClientIP(`::1`) || Header(`X-A`, `b`) || HeaderRegexp(`X-B`, `c+`) || Query(`d`) || Query(`e`, `f`) || QueryRegexp(`g`) || QueryRegexp(`h`, `i`) || PathPrefix(`/q`))"
	f.Apply(files(rule("r", "http://r", text)))
	f.wantState(t, "r", StateRunning)
	f.wantAsk(t, "r.example.com", "/q/1", "http://r")
	f.wantAsk(t, "x.example.com", "/q", "http://r")
	f.wantAsk(t, "y.example.com", "/q", "")
	f.wantAsk(t, "r.example.com", "/p", "")
}

func TestOtherFrontends(t *testing.T) {
	f := newFixture(t)
	ten := 10
	a := peers("a", "http://a")
	a.Frontends = []app.Frontend{
		{Kind: app.FrontendHostnameRegexp, HostnameRegexp: "{[a-z]+}.re.example.com", PathPrefix: "/in", StripPathPrefix: "/in"},
		{Kind: app.FrontendPathPrefix, PathPrefix: "/.well-known", AllowInsecureHTTP: true},
		{Kind: app.FrontendHostname, Hostname: "P.example.com", Priority: &ten},
	}
	f.Apply(files(a))
	e := f.Lookup([]byte("abc.re.example.com"), []byte("/in/x"), nil)
	if e == nil || e.StripPrefix != "/in" || e.AllowPlain || e.Frontend != 0 {
		t.Errorf("regexp: %+v", e)
	}
	if e := f.Lookup([]byte("any"), []byte("/.well-known/x"), nil); e == nil || !e.AllowPlain {
		t.Errorf("path prefix: %+v", e)
	}
	if e := f.Lookup([]byte("p.example.com"), []byte("/"), nil); e == nil || !e.HasPriority || e.Priority != 10 {
		t.Errorf("priority: %+v", e)
	}
}

func TestHostsForCerts(t *testing.T) {
	f := newFixture(t)
	re := peers("re", "http://re", "*.Wild.example.com", "Exact.example.com.")
	re.Frontends = append(re.Frontends,
		app.Frontend{Kind: app.FrontendHostnameRegexp, HostnameRegexp: "{[a-z]+}.re.example.com"},
		app.Frontend{Kind: app.FrontendPathPrefix, PathPrefix: "/any"})
	f.Apply(files(re, rule("r", "http://r", "(Host(`One.example.com`) || Host(`two.example.com`)) && Path(`/`)")))
	if got := f.HostsForCerts(); !slices.Equal(got, []string{"exact.example.com", "one.example.com", "two.example.com"}) {
		t.Errorf("HostsForCerts() = %v", got)
	}
	for name, want := range map[string]bool{
		"exact.example.com": true, "EXACT.example.com.": true, "a.wild.example.com": true, "a.b.wild.example.com": false,
		"wild.example.com": false, "abc.re.example.com": true, "1.re.example.com": false, "one.example.com": true, "other.example.com": false, "": false,
	} {
		if got := f.CoversHost(name); got != want {
			t.Errorf("CoversHost(%q) = %v, want %v", name, got, want)
		}
	}
}

func TestDroppedAppMetrics(t *testing.T) {
	f := newFixture(t)
	f.Apply(files(peers("a", "http://a", "a.example.com")))
	f.Lookup([]byte("a.example.com"), []byte("/"), nil).Observer.Observe([]byte("GET"), 200, 1)
	const series = `er_requests_ok{app="a",code="200",method="GET"}`
	if f.metric(series) != "1" {
		t.Fatalf("%s is %q", series, f.metric(series))
	}
	f.Apply(files())
	if got := f.metric(series); got != "" {
		t.Errorf("the series of an application that is gone is still there: %s", got)
	}
}

func TestEvents(t *testing.T) {
	f := newFixture(t)
	events, cancel := f.Subscribe()
	slow, cancelSlow := f.Subscribe()
	defer cancelSlow()
	f.Apply(files(peers("a", "http://a", "a.example.com")))
	e := <-events
	if e.Generation != 1 || len(e.Changes) != 1 || e.Changes[0].ID != "a" || e.Changes[0].Kind != app.Added || e.Changes[0].Source != "file" {
		t.Errorf("event %+v", e)
	}
	cancel()
	if _, open := <-events; open {
		t.Error("the channel is open after cancel")
	}
	cancel() // twice is fine

	for i := range eventBuffer + 5 {
		f.Apply(files(peers("a", "http://a", "a.example.com", strings.Repeat("x", i+1)+".example.com")))
	}
	for range eventBuffer {
		if e := <-slow; e.Missed != 0 {
			t.Errorf("generation %d says %d are missed", e.Generation, e.Missed)
		}
	}
	f.Apply(files())
	if e := <-slow; e.Missed != 6 || e.Changes[0].Kind != app.Removed || e.Changes[0].Source != "file" {
		t.Errorf("missed %d, want 6: %+v", e.Missed, e)
	}
	f.Close()
	if _, open := <-slow; open {
		t.Error("the channel is open after Close")
	}
	late, _ := f.Subscribe()
	if _, open := <-late; open {
		t.Error("a subscription after Close is open")
	}
}
