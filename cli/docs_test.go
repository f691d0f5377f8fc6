package cli

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Every flag and variable is in docs/configuration.md. Those of bench are told
// in bench/README.md.
func TestConfigurationIsDocumented(t *testing.T) {
	text := read(t, "../docs/configuration.md")
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Name() == "bench" {
			return
		}
		if cmd.Runnable() && !cmd.HasSubCommands() && !strings.Contains(text, "`"+cmd.CommandPath()) {
			t.Errorf("docs/configuration.md has no %s", cmd.CommandPath())
		}
		cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			if !strings.Contains(text, "`--"+f.Name) {
				t.Errorf("docs/configuration.md has no --%s of %s", f.Name, cmd.CommandPath())
			}
		})
		for _, below := range cmd.Commands() {
			walk(below)
		}
	}
	walk(newRoot())
	for _, s := range serveSettings {
		for _, name := range s.names() {
			if !strings.Contains(text, "`"+name+"`") {
				t.Errorf("docs/configuration.md has no %s", name)
			}
		}
	}
}

// Every metric is in docs/operations.md, and every one that is there exists.
func TestMetricsAreDocumented(t *testing.T) {
	name := regexp.MustCompile(`"(er_[a-z_]+[a-z])["{]`)
	used := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := filepath.Base(path)
		if d.IsDir() && (base == "bench" || base == "testdata" || strings.HasPrefix(base, ".") && base != "..") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			for _, m := range name.FindAllStringSubmatch(read(t, path), -1) {
				used[m[1]] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// Not metrics: the default name of the sticky cookie.
	delete(used, "er_peer")
	text := read(t, "../docs/operations.md")
	_, table, _ := strings.Cut(text, "## Metrics")
	table, _, _ = strings.Cut(table, "Alerts worth having")
	told := map[string]bool{}
	for _, m := range regexp.MustCompile("`(er_[a-z_]+)`").FindAllStringSubmatch(table, -1) {
		told[m[1]] = true
		if !used[m[1]] {
			t.Errorf("docs/operations.md has %s, which nothing counts", m[1])
		}
	}
	for n := range used {
		if !told[n] {
			t.Errorf("docs/operations.md has no %s", n)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Alert rules ask for metrics that there are.
func TestAlertsAskForMetrics(t *testing.T) {
	known := read(t, "../docs/operations.md")
	rules, err := filepath.Glob("../deploy/prometheus/*.yml")
	if err != nil || len(rules) == 0 {
		t.Fatal("there are no rules", err)
	}
	for _, path := range rules {
		for _, m := range regexp.MustCompile(`\ber_[a-z_]+[a-z]`).FindAllString(read(t, path), -1) {
			family := strings.TrimSuffix(strings.TrimSuffix(m, "_bucket"), "_count")
			if !strings.Contains(known, "`"+family+"`") {
				t.Errorf("%s asks for %s, which docs/operations.md does not have", path, m)
			}
		}
	}
}
