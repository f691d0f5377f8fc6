package gateway

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"edgerouter/app"
	"edgerouter/internal/testkit"
)

// Every example of docs/middlewares.md is a definition that is served, and every
// kind has one, under a heading with its name.
func TestMiddlewareExamples(t *testing.T) {
	text, err := os.ReadFile("../docs/middlewares.md")
	if err != nil {
		t.Fatal(err)
	}
	f := newStandard(t)
	ca := testkit.CAFile(t)
	var apps []app.Application
	shown := map[app.MiddlewareKind]bool{}
	for _, section := range strings.Split(string(text), "\n## ")[1:] {
		kind, _, _ := strings.Cut(section, "\n")
		for _, m := range regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(section, -1) {
			text := strings.ReplaceAll(m[1], "/etc/edgerouter/clients-ca.pem", ca)
			decoded, problems := app.Decode("docs/middlewares.md", []byte(text))
			if len(problems) > 0 {
				t.Errorf("%s: %v", kind, problems)
				continue
			}
			apps = append(apps, decoded...)
			for _, a := range decoded {
				for _, mw := range a.Middlewares {
					shown[mw.Kind] = shown[mw.Kind] || string(mw.Kind) == kind
				}
			}
		}
		if !strings.Contains(string(text), "(#"+kind+")") {
			t.Errorf("the table does not lead to %s", kind)
		}
	}
	f.Apply(files(apps...))
	for i := range apps {
		f.wantState(t, apps[i].ID, StateRunning)
	}
	for kind := range (Standard{}).Middlewares() {
		if !shown[kind] {
			t.Errorf("docs/middlewares.md has no example of %s", kind)
		}
	}
	if c := f.Snapshot().Conflicts; len(c) > 0 {
		t.Error(c)
	}
}
