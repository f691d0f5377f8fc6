package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/bus"
	"edgerouter/certs"
	"edgerouter/discovery"
	"edgerouter/gateway"
)

func document(t *testing.T, handler fasthttp.RequestHandler) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(call(handler, "GET", "/api/v1/openapi.json").Body(), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// conforms checks a value against a schema, strictly: what is not described is a fault.
func conforms(doc map[string]any, schema map[string]any, v any, at string) (faults []string) {
	if ref, ok := schema["$ref"].(string); ok {
		schemas := doc["components"].(map[string]any)["schemas"].(map[string]any)
		return conforms(doc, schemas[ref[strings.LastIndexByte(ref, '/')+1:]].(map[string]any), v, at)
	}
	if one, ok := schema["anyOf"].([]any); ok { // or null
		if v == nil {
			return nil
		}
		return conforms(doc, one[0].(map[string]any), v, at)
	}
	ok := true
	switch schema["type"] {
	case "object":
		o, is := v.(map[string]any)
		ok = is
		properties, described := schema["properties"].(map[string]any)
		if !described {
			if of, ok := schema["additionalProperties"].(map[string]any); ok {
				for name, value := range o {
					faults = append(faults, conforms(doc, of, value, at+"."+name)...)
				}
			}
			break
		}
		for name, value := range o {
			if p, known := properties[name].(map[string]any); known {
				faults = append(faults, conforms(doc, p, value, at+"."+name)...)
			} else {
				faults = append(faults, at+"."+name+" is not described")
			}
		}
		required, _ := schema["required"].([]any)
		for _, name := range required {
			if _, there := o[name.(string)]; !there {
				faults = append(faults, at+"."+name.(string)+" is missing")
			}
		}
	case "array":
		l, is := v.([]any)
		ok = is
		for i, e := range l {
			faults = append(faults, conforms(doc, schema["items"].(map[string]any), e, fmt.Sprintf("%s[%d]", at, i))...)
		}
	case "string":
		_, ok = v.(string)
		if values, limited := schema["enum"].([]any); limited && !slices.Contains(values, v) {
			faults = append(faults, fmt.Sprintf("%s is %q, not one of %v", at, v, values))
		}
	case "boolean":
		_, ok = v.(bool)
	case "number", "integer":
		_, ok = v.(float64)
	}
	if !ok {
		faults = append(faults, fmt.Sprintf("%s is %T, not %v", at, v, schema["type"]))
	}
	return faults
}

// Every handler answers as the description says, errors included.
func TestOpenAPI(t *testing.T) {
	a := newAdmin(t, newGateway(t))
	a.deps.Cluster = func() Cluster {
		return Cluster{Bus: "embedded", Node: "a", Nodes: []ClusterNode{{NodeStatus: NodeStatus{Node: "a", Streams: []bus.FollowerStatus{{State: bus.Following}}}, State: NodeOK, Copy: &ClusterCopy{}}}}
	}
	a.deps.Sources = func() []discovery.Status {
		return []discovery.Status{{Name: "docker", State: discovery.StateOK, Problems: []app.Problem{{App: "never-good", Message: "it is bad"}}}}
	}
	a.deps.Origin = func(_, id string) (discovery.Origin, bool) {
		return discovery.Origin{Kind: "container", Name: id, Containers: []discovery.OriginContainer{{Name: "c"}}, Siblings: []discovery.Sibling{{ID: "s"}}}, true
	}
	a.deps.CertProblems = func() map[string][]certs.Problem {
		return map[string][]certs.Problem{"file": {{File: "a.pem", Message: "bad"}}}
	}
	a.deps.IPRules = func() IPRules { return IPRules{Problem: "bad"} }
	a.deps.History = func(_ context.Context, id string) ([]HistoryRow, error) {
		if id != "shop" {
			return nil, ErrUnknown
		}
		return []HistoryRow{{Version: 3, At: time.Now(), Change: app.Change{ID: id, Kind: app.Added, Details: []string{"x"}}, Back: []string{"y"}}}, nil
	}
	a.deps.Rollback = func(context.Context, string, int64) (int64, error) { return 4, nil }
	handler := a.Handler(Exposure{Access: AccessLoopback})
	doc := document(t, handler)
	asked := map[string]bool{}
	for _, c := range []struct{ method, target, path, body string }{
		{"GET", "/readyz", "/readyz", ""},
		{"GET", "/api/v1/openapi.json", "/api/v1/openapi.json", ""},
		{"GET", "/api/v1/overview", "/api/v1/overview", ""},
		{"GET", "/api/v1/apps", "/api/v1/apps", ""},
		{"GET", "/api/v1/apps/shop", "/api/v1/apps/{id}", ""},
		{"GET", "/api/v1/apps/nobody", "/api/v1/apps/{id}", ""},
		{"GET", "/api/v1/apps/never-good", "/api/v1/apps/{id}", ""},
		{"GET", "/api/v1/peers", "/api/v1/peers", ""},
		{"GET", "/api/v1/certs", "/api/v1/certs", ""},
		{"GET", "/api/v1/sources", "/api/v1/sources", ""},
		{"GET", "/api/v1/conflicts", "/api/v1/conflicts", ""},
		{"GET", "/api/v1/explain?url=http://shop.example.com/files/a", "/api/v1/explain", ""},
		{"GET", "/api/v1/explain", "/api/v1/explain", ""},
		{"GET", "/api/v1/explain?url=http://nobody.example/", "/api/v1/explain", ""},
		{"GET", "/api/v1/ip-rules", "/api/v1/ip-rules", ""},
		{"DELETE", "/api/v1/cache?app=shop", "/api/v1/cache", ""},
		{"DELETE", "/api/v1/cache?app=x", "/api/v1/cache", ""},
		{"DELETE", "/api/v1/cache", "/api/v1/cache", ""},
		{"GET", "/api/v1/cluster", "/api/v1/cluster", ""},
		{"GET", "/api/v1/history?app=shop", "/api/v1/history", ""},
		{"GET", "/api/v1/history?app=x", "/api/v1/history", ""},
		{"POST", "/api/v1/rollback", "/api/v1/rollback", `{"app":"shop","version":3}`},
		{"POST", "/api/v1/rollback", "/api/v1/rollback", `{"app":"shop","version":3,"more":1}`},
		{"POST", "/api/v1/drain", "/api/v1/drain", `{"app":"shop","peer":"http://10.0.0.1:8080","drain":true}`},
	} {
		var req fasthttp.Request
		req.Header.SetMethod(c.method)
		req.Header.SetRequestURI(c.target)
		req.Header.SetHost("127.0.0.1:9090")
		if c.method != "GET" {
			req.Header.Set(tokenField, "good")
		}
		if c.body != "" {
			req.Header.SetContentType("application/json")
			req.SetBodyString(c.body)
		}
		resp := callRequest(handler, &req)
		asked[c.method+" "+c.path] = true
		operation := doc["paths"].(map[string]any)[c.path].(map[string]any)[strings.ToLower(c.method)].(map[string]any)
		answer, known := operation["responses"].(map[string]any)[fmt.Sprint(resp.StatusCode())].(map[string]any)
		if !known {
			t.Errorf("%s %s answers %d, which is not described: %s", c.method, c.target, resp.StatusCode(), resp.Body())
			continue
		}
		var v any
		if err := json.Unmarshal(resp.Body(), &v); err != nil {
			t.Errorf("%s %s: %v in %s", c.method, c.target, err, resp.Body())
			continue
		}
		schema := answer["content"].(map[string]any)["application/json"].(map[string]any)["schema"].(map[string]any)
		for _, f := range conforms(doc, schema, v, c.path) {
			t.Errorf("%s %s (%d): %s", c.method, c.target, resp.StatusCode(), f)
		}
	}
	for _, r := range a.routes() {
		path := catchAll.ReplaceAllString(r.path, "{$1}")
		if r.text == "" && !strings.HasPrefix(path, "/api/v1/log") && !asked[r.method+" "+path] {
			t.Errorf("%s %s is not asked here", r.method, path)
		}
	}
}

// The events of both streams are of the form that is described, and none is
// described that never comes.
func TestOpenAPIDescribesEvents(t *testing.T) {
	g := newGateway(t)
	a := newAdmin(t, g)
	handler := a.Handler(Exposure{Access: AccessLoopback})
	doc := document(t, handler)
	client := serve(t, handler)
	for _, path := range []string{"/api/v1/events", "/api/v1/live"} {
		answer := doc["paths"].(map[string]any)[path].(map[string]any)["get"].(map[string]any)["responses"].(map[string]any)["200"].(map[string]any)
		events := answer["content"].(map[string]any)["text/event-stream"].(map[string]any)["schema"].(map[string]any)["x-events"].(map[string]any)
		resp, err := client.Get("http://localhost" + path)
		if err != nil {
			t.Fatal(err)
		}
		r := bufio.NewReader(resp.Body)
		seen := map[string]bool{}
		for step := 0; len(seen) < len(events); step++ {
			if step == 1 {
				apply(t, g, strings.Replace(applications, "10.0.0.2", "10.0.0.9", 1))
				a.live.change(gateway.Event{Generation: 2, At: time.Now(), Changes: []gateway.AppChange{{Change: app.Change{ID: "shop", Kind: app.Changed, Details: []string{"x"}}, Source: "file"}}})
				apply(t, g, applications)
				a.live.beat(time.Now())
			}
			name, data := nextEvent(t, r)
			schema, described := events[name].(map[string]any)
			if !described {
				t.Fatalf("%s sends %s, which is not described", path, name)
			}
			var v any
			if err := json.Unmarshal([]byte(data), &v); err != nil {
				t.Fatal(err)
			}
			for _, f := range conforms(doc, schema, v, path+" "+name) {
				t.Error(f)
			}
			seen[name] = true
			if path == "/api/v1/live" && len(seen) == len(events)-1 && !seen["traffic"] {
				break // comes first to those who join when there is some, with the form of beat
			}
		}
		resp.Body.Close()
	}
	g.Close()
}

// A type of text of which the description lists the values has all its constants there.
func TestOpenAPIListsAllValues(t *testing.T) {
	for _, c := range []struct {
		folder string
		of     reflect.Type
	}{
		{"../gateway", reflect.TypeFor[gateway.State]()}, {"../discovery", reflect.TypeFor[discovery.State]()},
		{"../app", reflect.TypeFor[app.ChangeKind]()}, {"../bus", reflect.TypeFor[bus.FollowerState]()}, {".", reflect.TypeFor[NodeState]()},
	} {
		files, _ := filepath.Glob(c.folder + "/*.go")
		var there []string
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`(?m)^\t\w+ +`+c.of.Name()+` += "(\w+)"`).FindAllStringSubmatch(string(content), -1) {
				there = append(there, m[1])
			}
		}
		listed := valuesOf(c.of)
		slices.Sort(there)
		slices.Sort(listed)
		if len(there) == 0 || !slices.Equal(there, listed) {
			t.Errorf("%s: %q are declared, %q are described", c.of, there, listed)
		}
	}
}

// What the page and the commands ask for is described.
func TestOpenAPIDescribesWhatIsUsed(t *testing.T) {
	doc := document(t, newAdmin(t, newGateway(t)).Handler(Exposure{Access: AccessLoopback}))
	var described []string
	for path := range doc["paths"].(map[string]any) {
		described = append(described, strings.TrimPrefix(strings.Split(path, "{")[0], "/"))
	}
	found := 0
	for _, pattern := range []string{"page/*.js", "page/*.html", "../cli/*.go", "../bus/remote/*.go"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, used := range regexp.MustCompile(`api/v1/[a-z0-9./-]*`).FindAllString(string(content), -1) {
				found++
				if used = strings.TrimRight(used, "."); !slices.Contains(described, used) {
					t.Errorf("%s uses %s, which is not described", file, used)
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d uses were found", found)
	}
}
