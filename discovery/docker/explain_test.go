package docker

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

func TestExplain(t *testing.T) {
	f := newFake(t)
	f.noManager = ""
	f.services = []any{fakeService("web", 1, nil)}
	f.tasks = []any{fakeTask("web", 1, "running", "c1")}
	quiet := web(3, "quiet", "traefik.frontend.rule", "")
	broken := web(4, "broken", "traefik.port", "x")
	secret := web(5, "secret", "edgerouter.auth", "bearer_token", "edgerouter.auth_bearer_token", "open-sesame")
	secret.exposed, secret.ports = []string{"9000/tcp"}, nil
	oneOff := replica(6, composeOneOff, "True")
	f.running = []*fakeContainer{replica(1), replica(2), quiet, broken, secret, oneOff}
	o := Options{Host: f.onSocket(), Log: zerolog.Nop()}

	all, err := Explain(context.Background(), o, "")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]Detail{}
	for _, d := range all {
		got[d.ID] = d
	}
	if len(got) != 4 {
		t.Errorf("%d applications", len(got))
	}
	if d := got["p_s"]; !d.Served || d.Kind != KindCompose || d.Name != "p/s" || len(d.Peers) != 2 || d.Peers[0].Address != "http://172.17.0.3:8080" ||
		!strings.Contains(d.Peers[0].AddressWhy, "on bridge, which --docker-network asks for") || !strings.Contains(d.Peers[0].PortWhy, "only one that is exposed") {
		t.Errorf("p_s: %+v", d)
	}
	if d := got["web"]; d.Served || len(d.Problems) == 0 || !strings.Contains(d.Problems[0].Message, "has no address on the network bridge") {
		t.Errorf("web: %+v", d)
	}
	if d := got["broken"]; d.Served || d.Problems[0].Field != "traefik.port" {
		t.Errorf("broken: %+v", d)
	}
	if d := got["secret"]; !d.Served || d.Peers[0].Address != "http://172.17.0.7:9000" {
		t.Errorf("secret: %+v", d)
	}
	if text, _ := json.Marshal(all); strings.Contains(string(text), "open-sesame") {
		t.Error("a secret is shown")
	}
	for name, want := range map[string]string{
		"p_s": "p_s", "p/s": "p_s", "p-s-1": "p_s", "/p-s-1": "p_s", replica(2).id[:64]: "p_s", "web": "web", "quiet": "quiet", "p-s-6": "p_s",
	} {
		d, err := Explain(context.Background(), o, name)
		if err != nil || len(d) != 1 || d[0].ID != want {
			t.Errorf("%s: %v, %v", name, d, err)
		}
	}
	if d, _ := Explain(context.Background(), o, "quiet"); d[0].In || !strings.Contains(d[0].Why, "no label asks for it") {
		t.Errorf("quiet: %+v", d)
	}
	if d, _ := Explain(context.Background(), o, "p-s-6"); d[0].Served || !strings.Contains(d[0].Why, "one-off") {
		t.Errorf("one-off: %+v", d)
	}
	if _, err := Explain(context.Background(), o, "nobody"); !errors.Is(err, ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
}

func TestParseLabels(t *testing.T) {
	for _, c := range []struct{ text, key, value, says string }{
		{text: "a=b=c", key: "a", value: "b=c"},
		{text: "# x\n\n a = b \n", key: "a", value: "b"},
		{text: `- "traefik.x=y z"`, key: "traefik.x", value: "y z"},
		{text: `- 'a=b'`, key: "a", value: "b"},
		{text: `{"a": "b"}`, key: "a", value: "b"},
		{text: "a=\"b\"", key: "a", value: `"b"`},
		{text: `{"a": 1}`, says: "JSON object whose values are all texts"},
		{text: "x", says: `line 1: "x" is not KEY=VALUE`},
		{text: "a=b\n=c", says: "line 2"},
	} {
		got, err := ParseLabels([]byte(c.text))
		if c.says != "" {
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q: error %v", c.text, err)
			}
			continue
		}
		if err != nil || len(got) != 1 || got[c.key] != c.value {
			t.Errorf("%q: %v, %v", c.text, got, err)
		}
	}
}

func FuzzParseLabels(f *testing.F) {
	for _, s := range []string{"a=b", `{"a":"b"}`, "- \"a=b\"\n# c", "'=", "- ", "{"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := ParseLabels(data)
		if err != nil {
			if len(err.Error()) > 1000 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		for _, d := range ExplainLabels("app", got, Options{DefaultAuth: "public"}) {
			if d.In && !d.Served && len(d.Problems) == 0 {
				t.Error("not served, and nobody says why")
			}
		}
	})
}
