package gateway

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"edgerouter/app"
	"edgerouter/auth"
	"edgerouter/metrics"
	"edgerouter/upstream"
)

// Every example of docs/auth.md is a definition that is served, each kind has one
// under a heading with its name, and the IP rules are rules.
func TestAuthExamples(t *testing.T) {
	text, err := os.ReadFile("../docs/auth.md")
	if err != nil {
		t.Fatal(err)
	}
	kinds := Standard{Upstream: upstream.Deps{Log: zerolog.Nop(), Stats: &upstream.Stats{}}, SignIn: auth.SignInDeps{SessionKey: make([]byte, 32)}}
	// The examples name files and variables that are not on this machine.
	kinds.Auth.Resolve = func(app.Secret) (string, error) { return "secret", nil }
	f := &fixture{log: &logBuffer{}, ms: metrics.NewSet()}
	f.Gateway = New(Options{Builders: kinds.Builders(), Middlewares: kinds.Middlewares(), Metrics: f.ms, Log: zerolog.New(f.log)})
	t.Cleanup(f.Close)

	var apps []app.Application
	shown := map[string]bool{}
	for _, section := range strings.Split(string(text), "\n## ")[1:] {
		heading, _, _ := strings.Cut(section, "\n")
		for _, m := range regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(section, -1) {
			decoded, problems := app.Decode("docs/auth.md", []byte(m[1]))
			if len(problems) > 0 {
				t.Errorf("%s: %v", heading, problems)
			}
			for _, a := range decoded {
				shown[string(a.Backend.Kind)] = shown[string(a.Backend.Kind)] || string(a.Backend.Kind) == heading
			}
			apps = append(apps, decoded...)
		}
	}
	f.Apply(files(apps...))
	for i := range apps {
		f.wantState(t, apps[i].ID, StateRunning)
	}
	for _, kind := range guardKinds {
		if !shown[string(kind)] {
			t.Errorf("docs/auth.md has no example of %s", kind)
		}
	}
	for _, id := range []string{"prometheus", "grafana"} {
		if f.Snapshot().App(id) == nil {
			t.Errorf("docs/auth.md has no example for %s", id)
		}
	}
	rules := regexp.MustCompile("(?s)```hcl\n(.*?)```").FindStringSubmatch(string(text))
	if rules == nil {
		t.Fatal("docs/auth.md has no IP rules")
	}
	if _, err := auth.ParseIPRules("docs/auth.md", []byte(rules[1])); err != nil {
		t.Error(err)
	}
}
