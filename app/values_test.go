package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// clone is a copy that shares no memory with a.
func clone(a Application) Application {
	return rewrite(a, rewriter{secret: func(s Secret, _ *at) Secret { return s }})
}

func TestDuration(t *testing.T) {
	f := func(in string, want time.Duration, written string) {
		t.Helper()
		var d Duration
		if err := json.Unmarshal([]byte(in), &d); err != nil || d.Std() != want {
			t.Errorf("%s is %s, %v; want %s", in, d.Std(), err, want)
			return
		}
		out, _ := json.Marshal(d)
		if string(out) != written {
			t.Errorf("%s is written as %s, want %s", in, out, written)
		}
		var again Duration
		if err := json.Unmarshal(out, &again); err != nil || again != d {
			t.Errorf("%s is read as %s, %v", out, again, err)
		}
	}
	f(`"5s"`, 5*time.Second, `"5s"`)
	f(`5`, 5*time.Second, `"5s"`)
	f(`"5"`, 5*time.Second, `"5s"`)
	f(`1.5`, 1500*time.Millisecond, `"1.5s"`)
	f(`1e2`, 100*time.Second, `"1m40s"`)
	f(`" 1m30s "`, 90*time.Second, `"1m30s"`)
	f(`"90m"`, 90*time.Minute, `"1h30m"`)
	f(`"1h"`, time.Hour, `"1h"`)
	f(`"1h0m5s"`, time.Hour+5*time.Second, `"1h0m5s"`)
	f(`"24h"`, 24*time.Hour, `"1d"`)
	f(`"1.5d"`, 36*time.Hour, `"36h"`)
	f(`"7d12h"`, 180*time.Hour, `"180h"`)
	f(`"250us"`, 250*time.Microsecond, `"250us"`)
	f(`"0"`, 0, `"0s"`)
	f(`0`, 0, `"0s"`)
	f(`"3650d"`, MaxDuration.Std(), `"3650d"`)

	for _, in := range []string{`"-1s"`, `-1`, `""`, `"x"`, `"5 s"`, `"1d-1h"`, `"d"`, `"1dd"`, `"3651d"`, `315360001`, `"1e3s"`, `1e300`, `"NaN"`, `"Inf"`, `"0x10"`, `true`, `{}`, `"--5"`, `"9999999d99999999999h"`} {
		d := Duration(7)
		if err := d.UnmarshalJSON([]byte(in)); err == nil {
			t.Errorf("%s is taken as %s", in, d)
		}
		if d != 7 {
			t.Errorf("%s has changed the value though it is refused", in)
		}
	}
	if Duration(0).Or(time.Minute) != time.Minute || Duration(5).Or(time.Minute) != 5 {
		t.Error("Or")
	}
}

func TestSize(t *testing.T) {
	f := func(in string, want int64, written string) {
		t.Helper()
		var s Size
		if err := json.Unmarshal([]byte(in), &s); err != nil || int64(s) != want {
			t.Errorf("%s is %d, %v; want %d", in, int64(s), err, want)
			return
		}
		out, _ := json.Marshal(s)
		if string(out) != written {
			t.Errorf("%s is written as %s, want %s", in, out, written)
		}
		var again Size
		if err := json.Unmarshal(out, &again); err != nil || again != s {
			t.Errorf("%s is read as %s, %v", out, again, err)
		}
	}
	f(`0`, 0, `0`)
	f(`1`, 1, `1`)
	f(`1023`, 1023, `1023`)
	f(`1024`, 1024, `"1KiB"`)
	f(`"1024"`, 1024, `"1KiB"`)
	f(`"1MiB"`, 1<<20, `"1MiB"`)
	f(`"1.5mib"`, 3<<19, `"1536KiB"`)
	f(`"10 MB"`, 10_000_000, `10000000`)
	f(`"1GiB"`, 1<<30, `"1GiB"`)
	f(`"3tib"`, 3<<40, `"3TiB"`)
	f(`"64kb"`, 64000, `64000`)
	f(`"64000B"`, 64000, `64000`)
	f(`1e6`, 1_000_000, `1000000`)
	f(`9007199254740992`, 1<<53, `"8192TiB"`)

	for _, in := range []string{`-1`, `"-1MiB"`, `1.5`, `"1.0001KiB"`, `""`, `"MiB"`, `"1M"`, `"1 XB"`, `9007199254740994`, `1e300`, `true`, `[]`} {
		s := Size(7)
		if err := s.UnmarshalJSON([]byte(in)); err == nil || s != 7 {
			t.Errorf("%s is taken as %d", in, int64(s))
		}
	}
	if Size(0).Or(5) != 5 || Size(3).Or(5) != 3 {
		t.Error("Or")
	}
}

func TestSecretNeverPrints(t *testing.T) {
	s := Secret("hunter2")
	const want = "***f52f" // printf hunter2 | sha256sum
	if s.Redacted() != want || s.String() != want {
		t.Errorf("Redacted is %q, want %q", s.Redacted(), want)
	}
	opts := BasicAuthOpts{Users: []Secret{s}}
	for _, format := range []string{"%v", "%s", "%q", "%d", "%x", "%+v", "%#v", "%t", "%10s"} {
		for _, v := range []any{s, &s, opts, &opts, []Secret{s}, map[string]Secret{"a": s}, AuthV0Opts{BearerToken: s}} {
			if text := fmt.Sprintf(format, v); strings.Contains(text, "hunter2") || strings.Contains(text, "68756e74") {
				t.Errorf("%s of %T prints %s", format, v, text)
			}
		}
	}
	if got := fmt.Sprintf("%q", s); got != `"`+want+`"` {
		t.Errorf("%%q prints %s", got)
	}
	for _, s := range []Secret{"", "env:TOKEN", "file:/run/secrets/x"} {
		if s.Redacted() != string(s) {
			t.Errorf("%s is redacted to %s", string(s), s.Redacted())
		}
	}
	if out, _ := json.Marshal(s); string(out) != `"hunter2"` {
		t.Errorf("in JSON it is %s", out)
	}
}

func TestResolve(t *testing.T) {
	files := map[string]string{"/token": "hunter2\n", "/dos": "hunter2\r\n", "/two": "a\nb\n", "/empty": "\n"}
	readFile := func(name string) ([]byte, error) {
		if text, ok := files[name]; ok {
			return []byte(text), nil
		}
		return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
	}
	getenv := func(name string) (string, bool) {
		text, ok := map[string]string{"TOKEN": "hunter2", "EMPTY": ""}[name]
		return text, ok
	}
	f := func(s Secret, want, wantError string) {
		t.Helper()
		got, err := Resolve(s, readFile, getenv)
		if got != want || (err == nil) != (wantError == "") || err != nil && !strings.Contains(err.Error(), wantError) {
			t.Errorf("%s is %q, %v; want %q, %q", string(s), got, err, want, wantError)
		}
	}
	f("hunter2", "hunter2", "")
	f("", "", "")
	f("file:/token", "hunter2", "")
	f("file:/dos", "hunter2", "")
	f("file:/two", "a\nb", "")
	f("env:TOKEN", "hunter2", "")
	f("file:/gone", "", "read the secret file:/gone: open /gone")
	f("file:/empty", "", "empty")
	f("env:GONE", "", "not set")
	f("env:EMPTY", "", "empty")
	if _, err := Resolve("file:/gone", readFile, getenv); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the cause is lost: %v", err)
	}

	a := Application{ID: "a", Middlewares: []Middleware{{Kind: MiddlewareBasicAuth, BasicAuth: &BasicAuthOpts{Users: []Secret{"env:TOKEN", "file:/gone"}}}},
		Backend: Backend{Kind: BackendPeerSet, PeerSet: &PeerSetOpts{HeadersToOrigin: map[string]string{"Authorization": "file:/token", "X-Note": "env:TOKEN"}}}}
	before := clone(a)
	resolved, problems := ResolveAll(a, readFile, getenv)
	if users := resolved.Middlewares[0].BasicAuth.Users; users[0] != "hunter2" || users[1] != "file:/gone" {
		t.Errorf("users are %q %q", string(users[0]), string(users[1]))
	}
	if h := resolved.Backend.PeerSet.HeadersToOrigin; h["Authorization"] != "hunter2" || h["X-Note"] != "env:TOKEN" {
		t.Errorf("headers are %v", h)
	}
	if len(problems) != 1 || problems[0].Field != "middlewares[0].basic_auth_opts.users[1]" || problems[0].App != "a" {
		t.Errorf("problems are %v", problems)
	}
	if !Equal(a, before) {
		t.Error("the argument has been changed")
	}
}

func TestRedact(t *testing.T) {
	apps := full(t)
	for _, a := range apps {
		before := clone(a)
		out, err := json.Marshal(Redact(a))
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{"hunter2", "s3cret", "apr1"} {
			if strings.Contains(string(out), secret) {
				t.Errorf("%s: %q is told: %s", a.ID, secret, out)
			}
		}
		if !Equal(a, before) {
			t.Errorf("%s: Redact has changed its argument", a.ID)
		}
	}
	redacted := Redact(apps[0])
	if got := redacted.Backend.PeerSet.HeadersToOrigin; got["X-Edge"] != "1" || got["Authorization"] != Secret("Bearer hunter2").Redacted() {
		t.Errorf("headers are %v", got)
	}
	redacted.Backend.PeerSet.Addrs[0] = "changed"
	redacted.Frontends[0].Hostname = "changed"
	redacted.Backend.PeerSet.Weights["x"] = 1
	if !Equal(apps, full(t)) {
		t.Error("the copy shares memory")
	}
}

func TestEqual(t *testing.T) {
	f := func(a, b any, want bool) {
		t.Helper()
		if Equal(a, b) != want || Equal(b, a) != want {
			t.Errorf("Equal(%+v, %+v) is not %v", a, b, want)
		}
	}
	one, otherOne, two := 1, 1, 2
	f(nil, nil, true)
	f(nil, PeerSetOpts{}, false)
	f(PeerSetOpts{}, TLSConfig{}, false)
	f(&PeerSetOpts{}, &PeerSetOpts{}, true)
	f((*PeerSetOpts)(nil), &PeerSetOpts{}, false)
	f((*PeerSetOpts)(nil), (*PeerSetOpts)(nil), true)
	f(PeerSetOpts{Addrs: nil, Weights: nil}, PeerSetOpts{Addrs: []string{}, Weights: map[string]int{}}, true)
	f(PeerSetOpts{Addrs: []string{"a"}}, PeerSetOpts{Addrs: []string{"b"}}, false)
	f(PeerSetOpts{Addrs: []string{"a"}}, PeerSetOpts{Addrs: []string{"a", "b"}}, false)
	f(PeerSetOpts{Weights: map[string]int{"a": 1}}, PeerSetOpts{Weights: map[string]int{"b": 1}}, false)
	f(PeerSetOpts{Weights: map[string]int{"a": 1}}, PeerSetOpts{Weights: map[string]int{"a": 2}}, false)
	f(PeerSetOpts{Weights: map[string]int{"a": 1}}, PeerSetOpts{Weights: map[string]int{"a": 1}}, true)
	f(PeerSetOpts{Caching: &Caching{}}, PeerSetOpts{}, false)
	f(PeerSetOpts{PassHostHeader: true}, PeerSetOpts{}, false)
	f(PeerSetOpts{MaxRequestBody: 1}, PeerSetOpts{}, false)
	f(RateLimitOpts{Average: 1.5}, RateLimitOpts{Average: 1.5}, true)
	f(RateLimitOpts{Average: 1.5}, RateLimitOpts{Average: 2}, false)
	f(Frontend{Priority: &one}, Frontend{Priority: &otherOne}, true)
	f(Frontend{Priority: &one}, Frontend{Priority: &two}, false)
	f(Frontend{Priority: &one}, Frontend{}, false)
	for _, a := range full(t) {
		f(a, clone(a), true)
	}
}

func TestDescribe(t *testing.T) {
	var out strings.Builder
	for _, a := range full(t) {
		out.WriteString(Describe(a) + "\n")
	}
	if strings.Contains(out.String(), "hunter2") {
		t.Error("a secret is told")
	}
	golden(t, "testdata/describe.golden", out.String())
	for _, a := range []Application{{}, {ID: "a\n\x1b[31m", Backend: Backend{Kind: BackendPeerSet}}} {
		if text := Describe(a); strings.ContainsAny(text, "\n\x1b") {
			t.Errorf("%q", text)
		}
	}
}

func TestDiff(t *testing.T) {
	old := full(t)
	change := func(edit func(apps []Application) []Application) []string {
		apps := full(t)
		var got []string
		for _, c := range Diff(old, edit(apps)) {
			got = append(got, c.String())
		}
		return got
	}
	f := func(edit func(apps []Application) []Application, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, change(edit)); diff != "" {
			t.Error(diff)
		}
	}
	f(func(apps []Application) []Application { return apps })
	f(func(apps []Application) []Application { return append(apps[1:], apps[0]) })
	f(func(apps []Application) []Application { return append(apps[:2:2], apps[3:]...) },
		"removed fn: "+Describe(old[2]))
	f(func(apps []Application) []Application {
		return append(apps, Application{ID: "x", Backend: Backend{Kind: BackendAdmin}})
	}, "added x: x:  -> edgerouter_admin")
	f(func(apps []Application) []Application {
		o := apps[0].Backend.PeerSet
		o.Addrs[1], o.Policy, o.HashOn = "http://b", PolicyP2C, ""
		o.HeadersToOrigin["Authorization"] = "Bearer other"
		o.Weights = map[string]int{"https://10.0.0.1": 5, "http://b": 1}
		o.Timeouts.Connect = 0
		o.MaxRequestBody = 1
		o.Retries = nil
		o.PassHostHeader = false
		o.Caching.MaxMemory = 0
		*apps[0].Frontends[0].Priority = 7
		apps[0].Frontends = apps[0].Frontends[:4]
		apps[0].Middlewares[0].Headers.Response = nil
		apps[0].Middlewares[7].BasicAuth.Users = apps[0].Middlewares[7].BasicAuth.Users[1:]
		apps[0].Middlewares[9].AllowedIPs.Ranges = []string{"192.0.2.1", "10.0.0.0/8", "2001:db8::/32"}
		apps[0].Middlewares[10].RateLimit.Average = 3
		return apps
	}, "changed shop: "+strings.Join([]string{
		`frontends[0].priority: -5 -> 7`,
		`frontends[4].kind: - "rule"`,
		"frontends[4].rule: - \"Host(`old.example.com`) && !Method(`POST`)\"",
		"frontends[4].rule_priority: - 7",
		`middlewares[0].headers_opts.response["Server"]: - ""`,
		`middlewares[7].basic_auth_opts.users: - "` + old[0].Middlewares[7].BasicAuth.Users[0].Redacted() + `"`,
		`middlewares[9].allowed_ips_opts.ranges: another order: "192.0.2.1", "10.0.0.0/8", "2001:db8::/32"`,
		`middlewares[10].rate_limit_opts.average: 2.5 -> 3`,
		`backend.peer_set_opts.addrs: "https://[2001:db8::1]:8443/base" -> "http://b"`,
		`backend.peer_set_opts.pass_host_header: true -> false`,
		`backend.peer_set_opts.headers_to_origin["Authorization"]: "` + Secret("Bearer hunter2").Redacted() + `" -> "` + Secret("Bearer other").Redacted() + `"`,
		`backend.peer_set_opts.caching.max_memory: - 64MiB`,
		`backend.peer_set_opts.weights["h2c://grpc.internal:50051"]: - 0`,
		`backend.peer_set_opts.weights["http://b"]: + 1`,
		`backend.peer_set_opts.weights["https://10.0.0.1"]: 3 -> 5`,
		`backend.peer_set_opts.policy: "hash" -> "p2c"`,
		`backend.peer_set_opts.hash_on: - "cookie:session"`,
		`backend.peer_set_opts.retries.attempts: - 0`,
		`backend.peer_set_opts.retries.budget: - 0`,
		`backend.peer_set_opts.retries.on: - "connect_error"`,
		`backend.peer_set_opts.retries.on: - "503"`,
		`backend.peer_set_opts.timeouts.connect: - 2s`,
		`backend.peer_set_opts.max_request_body: 1GiB -> 1`,
	}, "; "))
	f(func(apps []Application) []Application {
		apps[1].Backend = Backend{Kind: BackendRedirect, Redirect: &RedirectOpts{To: "/x"}}
		return apps
	}, "changed old-names: "+strings.Join([]string{
		`backend.kind: "peer_set" -> "redirect"`,
		`backend.peer_set_opts.addrs: - "http://127.0.0.1:9101"`,
		`backend.peer_set_opts.pass_host_header: true -> false`,
		`backend.peer_set_opts.caching.enabled: true -> false`,
		`backend.redirect_opts.to: + "/x"`,
	}, "; "))
	f(func(apps []Application) []Application {
		apps[8].Backend.AuthV0.BearerToken = "other"
		apps[1].Backend.PeerSet.Retries = &Retries{}
		return apps
	}, "changed old-names: backend.peer_set_opts.retries: + {}",
		`changed private: backend.auth_v0_opts.bearer_token: "***f52f" -> "`+Secret("other").Redacted()+`"`)
}

// A problem is one line whatever is in it.
func TestProblemIsOneLine(t *testing.T) {
	p := Problem{File: "a\nb", Line: 1, Column: 2, App: "x\ny", Field: "f\x1b", Value: "v\n", Message: "m", Suggestion: "s"}
	if want := `a\nb:1:2: application "x\ny": f\x1b: "v\n": m: s`; p.Error() != want {
		t.Errorf("%q, want %q", p.Error(), want)
	}
	if got := (Problem{Message: "m"}).Error(); got != "m" {
		t.Errorf("%q", got)
	}
}
