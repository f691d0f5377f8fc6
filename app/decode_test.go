package app

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// full are the applications of testdata/full.json, which use every field.
func full(t testing.TB) []Application {
	t.Helper()
	data, err := os.ReadFile("testdata/full.json")
	if err != nil {
		t.Fatal(err)
	}
	apps, problems := Decode("full.json", data)
	for _, p := range problems {
		t.Error(p)
	}
	if t.Failed() {
		t.FailNow()
	}
	return apps
}

// TestFullUsesEveryField keeps testdata/full.json, and with it the tests that
// use it, complete.
func TestFullUsesEveryField(t *testing.T) {
	used := map[string]bool{}
	var walk func(v reflect.Value, p *plan)
	walk = func(v reflect.Value, p *plan) {
		switch v.Kind() {
		case reflect.Pointer:
			if !v.IsNil() && p != nil {
				walk(v.Elem(), p)
			}
		case reflect.Slice:
			for i := range v.Len() {
				walk(v.Index(i), p)
			}
		case reflect.Struct:
			for i, f := range p.fields {
				if !v.Field(i).IsZero() {
					used[p.typ.Name()+"."+f.name] = true
					walk(v.Field(i), f.sub)
				}
			}
		}
	}
	walk(reflect.ValueOf(full(t)), plans()[typeApplication])
	for _, p := range plans() {
		for _, f := range p.fields {
			if !used[p.typ.Name()+"."+f.name] {
				t.Errorf("testdata/full.json does not use %s of %s", f.name, p.typ.Name())
			}
		}
	}
}

// Everything that is written is read back, by Decode and by encoding/json.
func TestRoundTrip(t *testing.T) {
	apps := full(t)
	written, err := json.Marshal(map[string]any{"apps": apps})
	if err != nil {
		t.Fatal(err)
	}
	again, problems := Decode("again", written)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if !Equal(apps, again) {
		t.Error(cmp.Diff(apps, again))
	}
	var byJSON struct{ Apps []Application }
	if err := json.Unmarshal(written, &byJSON); err != nil {
		t.Fatal(err)
	}
	if !Equal(apps, byJSON.Apps) {
		t.Error(cmp.Diff(apps, byJSON.Apps))
	}
	for _, older := range []string{"reverse_proxy", "origins"} {
		if strings.Contains(string(written), older) {
			t.Errorf("the older name %s is written", older)
		}
	}
}

func TestDecodeForms(t *testing.T) {
	const one = `"id": "a", "frontends": [{"kind": "hostname", "hostname": "a.example"}], "backend": {"kind": "prom_metrics"}`
	f := func(data string, want int) {
		t.Helper()
		apps, problems := Decode("f", []byte(data))
		if len(apps) != want || len(problems) > 0 {
			t.Errorf("Decode(%s): %d applications, want %d; problems %v", data, len(apps), want, problems)
		}
	}
	f(`{"apps": []}`, 0)
	f(`{"apps":[{`+one+`}]}`, 1)
	f(`{`+one+`}`, 1)
	f("\ufeff\r\n\t {"+one+"} \n", 1)
	f(`{"$schema": "x", `+one+`}`, 1)
	f(`{"$schema": "x", "apps": [{`+one+`}]}`, 1)
	f(strings.ReplaceAll(`{`+one+`}`, "a.example", `\u0061.example`), 1)
	f(strings.ReplaceAll(`{`+one+`}`, `"kind"`, `"k\u0069nd"`), 1)
}

func TestDecodeValues(t *testing.T) {
	decode := func(frontend, peers string) Application {
		t.Helper()
		apps, problems := Decode("f", []byte(`{"id": "a", "frontends": [{`+frontend+`}], "backend": {"kind": "reverse_proxy", "peer_set_opts": {"origins": ["http://a"]`+peers+`}}}`))
		if len(apps) != 1 {
			t.Fatal(problems)
		}
		return apps[0]
	}
	strip := func(frontend, want string) {
		t.Helper()
		if got := decode(frontend, "").Frontends[0].StripPathPrefix; got != want {
			t.Errorf("%s: strip_path_prefix is %q, want %q", frontend, got, want)
		}
	}
	strip(`"kind": "hostname", "hostname": "a", "strip_path_prefix": true, "path_prefix": "/x/"`, "/x/")
	strip(`"kind": "hostname", "hostname": "a", "path_prefix": "/x", "strip_path_prefix": true`, "/x")
	strip(`"kind": "hostname", "hostname": "a", "path_prefix": "/x", "strip_path_prefix": false`, "")
	strip(`"kind": "hostname", "hostname": "a", "path_prefix": "/", "strip_path_prefix": true`, "")
	strip(`"kind": "hostname", "hostname": "a", "strip_path_prefix": true`, "")
	strip(`"kind": "hostname", "hostname": "a", "path_prefix": "/x/y", "strip_path_prefix": "/x"`, "/x")

	caching := func(peers string, want *Caching) {
		t.Helper()
		got := decode(`"kind": "hostname", "hostname": "a"`, peers).Backend.PeerSet.Caching
		if !Equal(got, want) {
			t.Errorf("%s: caching is %+v, want %+v", peers, got, want)
		}
	}
	caching(``, nil)
	caching(`, "caching": true`, &Caching{Enabled: true})
	caching(`, "caching": false`, &Caching{})
	caching(`, "caching": {"enabled": true, "max_memory": "2KiB"}`, &Caching{Enabled: true, MaxMemory: 2048})
}

// What the stream has held since the first version of edgerouter is read.
func TestDecodeStored(t *testing.T) {
	apps, problems := Decode("stream", []byte(`{"id":"example.com","frontends":[{"kind":"hostname","hostname":"example.com","path_prefix":"/"}],"backend":{"kind":"reverse_proxy","reverse_proxy_opts":{"origins":["http://127.0.0.1:9101"],"pass_host_header":true}}}`))
	want := []Application{{
		ID:        "example.com",
		Frontends: []Frontend{{Kind: FrontendHostname, Hostname: "example.com", PathPrefix: "/"}},
		Backend:   Backend{Kind: BackendPeerSet, PeerSet: &PeerSetOpts{Addrs: []string{"http://127.0.0.1:9101"}, PassHostHeader: true}},
	}}
	if len(problems) > 0 || !Equal(apps, want) {
		t.Error(problems, cmp.Diff(want, apps))
	}
}

func TestUnmarshalJSON(t *testing.T) {
	var event struct{ Application Application }
	if err := json.Unmarshal([]byte(`{"Application": {"id": "a", "backend": {"kind": "reverse_proxy"}}}`), &event); err != nil {
		t.Fatal(err)
	}
	if event.Application.ID != "a" || event.Application.Backend.Kind != BackendPeerSet {
		t.Errorf("%+v", event)
	}
	err := json.Unmarshal([]byte(`{"Application": {"id": "a", "backnd": {}, "frontends": 1}}`), &event)
	if err == nil || !strings.Contains(err.Error(), `did you mean "backend"?`) || !strings.Contains(err.Error(), "want a list") {
		t.Errorf("error is %v", err)
	}
}

func TestManyProblemsAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"apps": [{"id": "a"`)
	for range 1000 {
		b.WriteString(`, "x": 1`)
	}
	b.WriteString("}]}")
	apps, problems := Decode("f", []byte(b.String()))
	if len(apps) != 0 || len(problems) != maxProblems+1 || !strings.Contains(problems[maxProblems].Message, "more problems") {
		t.Errorf("%d applications, %d problems, the last is %v", len(apps), len(problems), problems[len(problems)-1])
	}
}

func TestDeepFileIsRefused(t *testing.T) {
	for _, deep := range []string{strings.Repeat("[", 1_000_000), `{"apps":` + strings.Repeat(`[{"a":`, 500_000)} {
		if apps, problems := Decode("f", []byte(deep)); len(apps) > 0 || len(problems) != 1 {
			t.Errorf("%d applications, problems %v", len(apps), problems)
		}
	}
}

func TestDecodeNotUTF8(t *testing.T) {
	apps, problems := Decode("f", []byte("{\"apps\": [\n{\"id\": \"\ufffda\xff\"}]}"))
	if len(apps) != 0 || len(problems) != 1 || problems[0].Error() != "f:2:11: not JSON: the byte 0xff is not UTF-8: save the file as UTF-8" {
		t.Error(apps, problems)
	}
}

func TestCheckSet(t *testing.T) {
	a1 := Application{ID: "a", Backend: Backend{Kind: BackendAdmin}}
	a2 := Application{ID: "a", Backend: Backend{Kind: BackendPromMetrics}}
	b, c := Application{ID: "b"}, Application{ID: "c"}
	apps, problems := CheckSet([]File{{"1.json", []Application{a1}}, {"2.json", []Application{b, a2}}, {"3.json", []Application{b, c, c}}})
	if !Equal(apps, []Application{a1, b, c}) {
		t.Errorf("the set is %v", apps)
	}
	var text []string
	for _, p := range problems {
		text = append(text, p.Error())
	}
	want := []string{
		`2.json: application "a": id: "a": the id is taken by the application in 1.json: ids are unique; only the first one is used`,
		`3.json: application "b": id: "b": the id is taken by the application in 2.json: ids are unique; only the first one is used`,
		`3.json: application "c": id: "c": the id is taken by the application before it in this file: ids are unique; only the first one is used`,
	}
	if diff := cmp.Diff(want, text); diff != "" {
		t.Error(diff)
	}
}

// Decode reports what Validate finds in definitions that were made in memory,
// with the same paths.
func TestValidate(t *testing.T) {
	priority := 2_000_000_000
	a := Application{
		ID:        "a/b",
		Frontends: []Frontend{{Kind: FrontendHostname, Hostname: "a.example:80", Priority: &priority}, {Kind: "host"}},
		Backend: Backend{Kind: "reverse_proxy", PeerSet: &PeerSetOpts{
			Addrs: []string{"http://a", "b"}, Timeouts: &Timeouts{Connect: -5, Idle: MaxDuration + 1}, MaxRequestBody: -1, HeadersToOrigin: map[string]string{"X": "\x00"},
		}},
		Middlewares: []Middleware{{Kind: MiddlewareRateLimit, RateLimit: &RateLimitOpts{Average: -1}}},
	}
	var got []string
	for _, p := range a.Validate() {
		got = append(got, p.Field)
	}
	want := []string{
		"frontends[0].priority", "frontends[0].hostname", "frontends[1].kind", "middlewares[0].rate_limit_opts.average",
		"backend.kind", "backend.peer_set_opts.headers_to_origin[\"X\"]", "backend.peer_set_opts.timeouts.connect",
		"backend.peer_set_opts.timeouts.idle", "backend.peer_set_opts.max_request_body", "backend.peer_set_opts.addrs[1]", "id",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, a := range full(t) {
		if problems := a.Validate(); len(problems) > 0 {
			t.Errorf("%s: %v", a.ID, problems)
		}
	}
	if problems := (Application{}).Validate(); len(problems) == 0 {
		t.Error("an empty application is valid")
	}
	knot := &Backend{Kind: BackendAuthV0, AuthV0: &AuthV0Opts{BearerToken: "x"}}
	knot.AuthV0.AuthorizedBackend = knot
	a = Application{ID: "a", Frontends: []Frontend{{Kind: FrontendHostname, Hostname: "a"}}, Backend: *knot}
	if problems := a.Validate(); len(problems) != 1 || !strings.Contains(problems[0].Message, "nested deeper") {
		t.Errorf("a backend that holds itself: %v", problems)
	}
}
