package labels

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"edgerouter/app"
)

var update = flag.Bool("update", false, "write the golden files anew")

// parse reads lines KEY=VALUE.
func parse(text string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "="); ok {
			out[key] = value
		}
	}
	return out
}

// tell writes what labels became.
func tell(r Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "in: %v, %s\n", r.In, r.Why)
	if r.Network != "" {
		fmt.Fprintf(&b, "network: %s (%s)\n", r.Network, r.NetworkLabel)
	}
	if len(r.Borrowed) > 0 {
		fmt.Fprintf(&b, "borrowed: %s\n", strings.Join(r.Borrowed, ", "))
	}
	for _, a := range r.Apps {
		d := a.With([]Address{{Host: "10.0.0.2", Port: 80, Peer: a.Peer}})
		state := "application"
		if a.Broken {
			state = "broken"
		}
		fmt.Fprintf(&b, "\n%s %s, peers %s:%d weight %d\n", state, d.ID, a.Peer.Scheme, a.Peer.Port, a.Peer.Weight)
		for _, p := range a.Problems {
			p.App = ""
			fmt.Fprintf(&b, "  %s\n", p.Error())
		}
		if a.Broken {
			continue
		}
		e := json.NewEncoder(&b)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		if err := e.Encode(d); err != nil {
			fmt.Fprintln(&b, err)
		}
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil || len(a.Files) != 2 {
				t.Fatal("want the files labels and want", err)
			}
			given := parse(string(a.Files[0].Data))
			r := Compile("shop", given, Options{Trust: strings.Contains(string(a.Comment), "trusted")})
			got := tell(r)
			if *update {
				a.Files[1].Data = []byte(got)
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(a.Files[1].Data), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			checkResult(t, given, r)
		})
	}
}

// checkResult checks what holds for all labels.
func checkResult(t *testing.T, given map[string]string, r Result) {
	t.Helper()
	if !r.In {
		if len(r.Apps) > 0 {
			t.Error("applications without asking for any")
		}
		return
	}
	if len(r.Apps) == 0 {
		t.Error("no application, not even a broken one")
	}
	seen := map[string]bool{}
	for _, a := range r.Apps {
		if seen[a.Definition.ID] {
			t.Errorf("two applications %s", a.Definition.ID)
		}
		seen[a.Definition.ID] = true
		if len(a.Problems) > maxTold+1 {
			t.Errorf("%d problems", len(a.Problems))
		}
		for _, p := range a.Problems {
			if p.App != a.Definition.ID {
				t.Errorf("a problem of %s names %q", a.Definition.ID, p.App)
			}
			if len(p.Value) > 4*maxShown {
				t.Errorf("a problem repeats a value of %d bytes", len(p.Value))
			}
		}
		if a.Broken {
			if len(a.Problems) == 0 {
				t.Error("broken without a problem")
			}
			continue
		}
		d := a.With([]Address{{Host: "10.0.0.2", Port: 80, Peer: a.Peer}})
		if problems := d.Validate(); len(problems) > 0 {
			t.Errorf("not valid: %v", problems)
		}
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		if err := e.Encode(map[string]any{"apps": []app.Application{d}}); err != nil {
			t.Fatal(err)
		}
		if back, problems := app.Decode("x", b.Bytes()); len(problems) > 0 || len(back) != 1 || !app.Equal(back[0], d) {
			t.Errorf("does not survive being stored: %v", problems)
		}
		drained := Drained(d)
		if len(drained.Backend.PeerSet.Addrs) != 0 || len(d.Backend.PeerSet.Addrs) != 1 {
			t.Error("a drained application gets requests")
		}
	}
}

// TestEveryLabelIsInAGoldenFile keeps the golden files whole: each label that is
// known has to be in one.
func TestEveryLabelIsInAGoldenFile(t *testing.T) {
	var all strings.Builder
	files, _ := filepath.Glob("testdata/golden/*.txtar")
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(strings.ToLower(string(a.Files[0].Data)))
	}
	text := all.String()
	has := func(what string) {
		t.Helper()
		if !strings.Contains(text, what) {
			t.Errorf("no golden file has the label %s", what)
		}
	}
	for name := range v1FrontendOptions {
		if !strings.HasPrefix(name, "headers.") {
			has("traefik.frontend." + name)
		}
	}
	for name := range v1BackendOptions {
		has("traefik.backend." + name)
	}
	for name := range v1PartOptions {
		has("traefik." + name)
		has("traefik.admin." + name)
	}
	for name := range routerOptions {
		has("traefik.http.routers.r." + strings.TrimSuffix(name, "."))
	}
	for name := range serviceOptions {
		has("." + name)
	}
	for name := range middlewareKinds {
		has("." + name)
	}
	for name := range commonLabels {
		has(name)
	}
	for _, name := range ownNames {
		has(name)
	}
}

// TestIndexedListsAreSecretsToo: the hashes of users are not shown however the
// list is written, and shared middlewares have all elements.
func TestIndexedListsAreSecretsToo(t *testing.T) {
	given := map[string]string{
		"traefik.http.middlewares.m.basicauth.users[0]": "joe:$apr1$abcdefgh$abcdefghijklmnopqrstuv",
		"traefik.http.middlewares.m.basicauth.users[1]": "ann:$apr1$abcdefgh$abcdefghijklmnopqrstuv",
	}
	for name, value := range Shown(given) {
		if strings.Contains(value, "apr1") || !strings.Contains(value, "joe") || !strings.Contains(value, "ann") {
			t.Errorf("%s is shown as %s", name, value)
		}
	}
	m := Declared(given)["m"]
	got, n := m.build()
	if len(n.errors) > 0 || len(got) != 1 || len(got[0].BasicAuth.Users) != 2 {
		t.Errorf("%v %v", got, n)
	}
}
