package admin

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"edgerouter/app"
	"edgerouter/discovery"
)

// newDockerAdmin tells of a shop from three containers, whose sibling never was
// good.
func newDockerAdmin(t *testing.T) *Admin {
	t.Helper()
	g := newGateway(t)
	apply(t, g, applications)
	containers := []discovery.OriginContainer{
		{ID: "0123456789abcdef0123456789abcdef", Name: "shop-1", Address: "http://10.0.0.1:8080", State: "serving"},
		{ID: "1123456789abcdef0123456789abcdef", Name: "shop-2", State: "is unhealthy"},
	}
	for i := range 10 {
		containers = append(containers, discovery.OriginContainer{Name: fmt.Sprintf("shop-x%d", i), State: "serving"})
	}
	return New(Deps{
		Version: "1", Snapshot: g.Snapshot, Subscribe: g.Subscribe,
		Sources: func() []discovery.Status {
			return []discovery.Status{
				{Name: "file", Problems: []app.Problem{{App: "shop", Message: "a warning"}, {Message: "of the file"}}},
				{Name: "docker", Problems: []app.Problem{
					{App: "shop-api", File: "container shop-1", Field: "traefik.http.routers.api.rule", Message: "bad <rule>"},
					{App: "never", Message: "one"}, {App: "shop-api", Message: "two"},
				}},
			}
		},
		Origin: func(source, id string) (discovery.Origin, bool) {
			switch source + " " + id {
			case "file shop":
				return discovery.Origin{
					Engine: "unix:///e.sock", EngineName: "host1", Kind: "compose_service", Name: "proj/shop", Labels: "Traefik v2 and v3",
					Containers: containers, Siblings: []discovery.Sibling{
						{ID: "shop-api", Broken: true}, {ID: "shop-old", Broken: true, Served: true}, {ID: "shop-ok", Served: true},
					},
				}, true
			case "docker shop-api":
				return discovery.Origin{Engine: "unix:///e.sock", Kind: "compose_service", Name: "proj/shop", Containers: []discovery.OriginContainer{}}, true
			}
			return discovery.Origin{}, false
		},
		Ready: func() []string { return nil }, WriteMetrics: func(io.Writer) {}, Gate: newGate(t),
	})
}

func TestOriginsInTheAPI(t *testing.T) {
	handler := newDockerAdmin(t).Handler(Exposure{Access: AccessLoopback})
	var all struct{ Apps []App }
	if err := json.Unmarshal(call(handler, "GET", "/api/v1/apps").Body(), &all); err != nil {
		t.Fatal(err)
	}
	byID := map[string]App{}
	for _, a := range all.Apps {
		if _, twice := byID[a.ID]; twice {
			t.Errorf("%s is told twice", a.ID)
		}
		byID[a.ID] = a
	}
	if len(all.Apps) != 6 || all.Apps[4].ID != "never" || all.Apps[5].ID != "shop-api" {
		t.Errorf("apps: %+v", all.Apps)
	}
	shop := byID["shop"]
	if o := shop.Origin; shop.State != "running" || o == nil || o.Name != "proj/shop" || len(o.Containers) != 12 || len(o.Siblings) != 3 {
		t.Errorf("shop: %+v", shop)
	}
	if byID["private"].Origin != nil {
		t.Error("an application has an origin that nobody told")
	}
	if a := byID["shop-api"]; a.State != "broken" || a.Source != "docker" || len(a.Problems) != 2 || a.Origin == nil || a.Frontends == nil {
		t.Errorf("an application that never was good: %+v", a)
	}
	if a := byID["never"]; a.State != "broken" || len(a.Problems) != 1 || a.Origin != nil {
		t.Errorf("an application that never was good: %+v", a)
	}

	resp := call(handler, "GET", "/api/v1/apps/shop-api")
	if body := string(resp.Body()); resp.StatusCode() != 200 || !strings.Contains(body, `"state": "broken"`) ||
		!strings.Contains(body, `"peers": []`) || !strings.Contains(body, `"name": "proj/shop"`) || strings.Contains(body, "definition") {
		t.Errorf("%d %s", resp.StatusCode(), body)
	}
	if body := string(call(handler, "GET", "/api/v1/apps/shop").Body()); !strings.Contains(body, `"id": "0123456789abcdef0123456789abcdef"`) {
		t.Errorf("shop in detail: %s", body)
	}
	if code := call(handler, "GET", "/api/v1/apps/nobody").StatusCode(); code != 404 {
		t.Errorf("an application that nobody declares: %d", code)
	}
}
