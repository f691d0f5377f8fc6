package browser

import (
	"edgerouter/internal/testkit"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// deployed are the expressions of the dashboard and of the alerts, by file.
func deployed(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	rules, err := filepath.Glob("../../deploy/prometheus/*.yml")
	if err != nil || len(rules) == 0 {
		t.Fatal(rules, err)
	}
	for _, file := range rules {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^ +expr: (.+)$`).FindAllStringSubmatch(string(text), -1) {
			out[filepath.Base(file)] = append(out[filepath.Base(file)], m[1])
		}
	}
	text, err := os.ReadFile("../../deploy/grafana/edgerouter.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	ids := map[int]bool{}
	for _, p := range dashboard.Panels {
		if ids[p.ID] || p.Title == "" {
			t.Errorf("panel %d %q: no title, or an id that another has", p.ID, p.Title)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			out["edgerouter.json"] = append(out["edgerouter.json"], target.Expr)
		}
	}
	for file, all := range out {
		if len(all) < 5 {
			t.Errorf("%s: only %q", file, all)
		}
	}
	return out
}

// observed is a node that has served a little of each kind.
func observed(t *testing.T) *edge {
	t.Helper()
	e := startEdge(t, shop(origin(t)), "--cert-dir", certificates(t))
	for range 3 {
		e.request("shop.example.com", "/")
		e.request("reports.example.com", "/")
		e.request("nobody.example.com", "/")
	}
	return e
}

// seldom are metrics that only nodes with an option have, or to which something
// has happened; they are looked for in the package that makes them.
var seldom = map[string]string{"er_acme_failures_total": "../../certs/acme/*.go", "er_ocsp_errors_total": "../../certs/*.go", "er_metric_registrations_refused_total": "../../metrics/*.go"}

// TestDeployedMetricsExist: every metric that the dashboard and the alerts use is
// one that a node shows.
func TestDeployedMetricsExist(t *testing.T) {
	testkit.Long(t)
	there := map[string]bool{}
	for _, name := range regexp.MustCompile(`(?m)^[a-z][a-z0-9_]*`).FindAllString(observed(t).get("metrics"), -1) {
		there[name] = true
	}
	for name, pattern := range seldom {
		files, _ := filepath.Glob(pattern)
		there[name] = there[name] || slices.ContainsFunc(files, func(file string) bool {
			text, _ := os.ReadFile(file)
			return strings.Contains(string(text), `"`+name+`"`)
		})
	}
	for file, all := range deployed(t) {
		for _, expr := range all {
			used := regexp.MustCompile(`\b(?:er|process|go)_[a-z0-9_]+`).FindAllString(expr, -1)
			if len(used) == 0 {
				t.Errorf("%s: %s uses no metric", file, expr)
			}
			for _, name := range used {
				if !there[name] {
					t.Errorf("%s uses %s, which no node has", file, name)
				}
			}
		}
	}
}

// TestPrometheus: a real Prometheus takes the rules, scrapes a node, evaluates
// every alert and answers every query of the dashboard.
func TestPrometheus(t *testing.T) {
	testkit.Long(t)
	program := need(t, "prometheus")
	promtool := need(t, "promtool")
	rules, err := filepath.Abs("../../deploy/prometheus")
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(rules + "/*.yml")
	if out, err := exec.Command(promtool, append([]string{"check", "rules"}, files...)...).CombinedOutput(); err != nil {
		t.Fatalf("promtool: %v\n%s", err, out)
	}
	e := observed(t)
	dir, listen := t.TempDir(), testkit.FreeAddr(t)
	config := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(config, fmt.Appendf(nil, "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%q]\nscrape_configs:\n  - job_name: edgerouter\n    static_configs: [{targets: [%q]}]\n", rules+"/*.yml", e.admin), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--config.file", config, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", listen)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = errors.Join(cmd.Process.Signal(os.Interrupt), cmd.Wait(), log.Close())
	})
	ask := func(path string, v any) bool {
		resp, err := http.Get("http://" + listen + path)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil || json.Unmarshal(text, v) != nil {
			return false
		}
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, text)
		}
		return resp.StatusCode == http.StatusOK
	}
	var told struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, State, LastError string }
			}
		}
	}
	e.eventually("every rule was evaluated, and a broken application is told", func() bool {
		if !ask("/api/v1/rules", &told) || len(told.Data.Groups) == 0 {
			return false
		}
		pending := false
		for _, g := range told.Data.Groups {
			for _, r := range g.Rules {
				if r.Health == "err" {
					t.Fatalf("%s: %s", r.Name, r.LastError)
				}
				if r.Health != "ok" {
					return false
				}
				pending = pending || r.Name == "EdgerouterConflicts" && r.State != "inactive"
			}
		}
		return pending
	})
	variables := strings.NewReplacer("$instance", ".*", "$app", "_all", "$__rate_interval", "1m")
	for file, all := range deployed(t) {
		for _, expr := range all {
			var answer struct{ Status string }
			if !ask("/api/v1/query?query="+url.QueryEscape(variables.Replace(strings.Trim(expr, `"`))), &answer) || answer.Status != "success" {
				t.Errorf("%s: %s cannot be evaluated", file, expr)
			}
		}
	}
}
