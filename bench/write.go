package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"edgerouter/bench/report"
)

// Write writes run into dir: results.json with every measurement, RESULTS.md, and
// a chart for each scenario.
func Write(run *report.Run, dir string) error {
	raw, err := json.MarshalIndent(run, "", " ")
	if err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	out := map[string][]byte{"results.json": append(raw, '\n')}
	charts := map[string]string{}
	for _, s := range run.Scenarios {
		if len(run.Proxies(s.Name)) == 0 {
			continue
		}
		svg, err := run.Chart(s)
		if err != nil {
			return err
		}
		charts[s.Name] = "chart-" + s.Name + ".svg"
		out[charts[s.Name]] = svg
	}
	out["RESULTS.md"] = []byte(run.Markdown(charts))
	for name, b := range out {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return fmt.Errorf("write the results: %w", err)
		}
	}
	return nil
}

// Read reads the results.json of an earlier comparison.
func Read(file string) (*report.Run, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the results: %w", err)
	}
	var run report.Run
	if err := json.Unmarshal(b, &run); err != nil {
		return nil, fmt.Errorf("read the results: %s: %w", file, err)
	}
	return &run, nil
}
