package docker

import (
	"strings"
	"testing"
	"time"
)

// Two containers of one project with the same rule, one behind a password: the
// other one is not served, not even as it was before.
func TestOneRuleInAProject(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fakeEngine, w *watcher, _ *Source) {
		member := func(n int, name, project string, more ...string) *fakeContainer {
			return web(n, name, append([]string{composeProject, project, composeService, name, "traefik.frontend.rule", "", "traefik.http.routers." + name + ".rule", "Host(`shop.test`)"}, more...)...)
		}
		guard := []string{"traefik.http.routers.b.middlewares", "pw", "traefik.http.middlewares.pw.basicauth.users", "joe:{SHA}abc"}
		f.start(member(1, "a", "p"))
		settle(time.Second)
		w.want("p_a", "http://172.17.0.3:8080")
		f.start(member(2, "b", "p", guard...))
		f.start(member(3, "other", "q"))
		settle(time.Second)
		w.want("p_a")
		w.want("p_b", "http://172.17.0.4:8080")
		w.want("q_other", "http://172.17.0.5:8080") // another project's is a conflict of frontends
		told := false
		for _, p := range w.last.Problems {
			told = told || p.App == "" && strings.Contains(p.Error(), `"p_b" takes the same requests`) && strings.Contains(p.Error(), `"p_a" is not behind`)
		}
		if !told {
			t.Errorf("problems: %v", w.last.Problems)
		}
		for _, a := range w.last.Apps {
			if a.ID == "p_a" {
				t.Error("p_a is served")
			}
		}
	})
}
