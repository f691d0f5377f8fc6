package browser

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDeployedMetricsExist: every metric that the dashboard and the alerts use is
// one that a node shows which has served a little.
func TestDeployedMetricsExist(t *testing.T) {
	e := startEdge(t, shop(origin(t)))
	for range 3 {
		e.request("shop.example.com", "/")
		e.request("reports.example.com", "/")
		e.request("nobody.example.com", "/")
	}
	resp, err := http.Get(e.url("metrics"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, name := range regexp.MustCompile(`(?m)^[a-z][a-z0-9_]*`).FindAllString(string(text), -1) {
		there[name] = true
	}
	// With a certificate for a name; none of these was asked for over TLS.
	there["er_cert_expiry_timestamp_seconds"] = true

	dashboard, err := os.ReadFile("../../deploy/grafana/edgerouter.json")
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(dashboard) {
		t.Error("the dashboard is not JSON")
	}
	rules, err := os.ReadFile("../../deploy/prometheus/edge.yml")
	if err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string]string{"edgerouter.json": string(dashboard), "edge.yml": string(rules)} {
		used := regexp.MustCompile(`\b(?:er|process|go)_[a-z0-9_]+`).FindAllString(content, -1)
		if len(used) < 8 {
			t.Errorf("%s: only %q", file, used)
		}
		for _, name := range used {
			if !there[name] {
				t.Errorf("%s uses %s, which no node has", file, name)
			}
		}
		if strings.Count(content, "expr") < 8 {
			t.Errorf("%s has no expressions", file)
		}
	}
}
