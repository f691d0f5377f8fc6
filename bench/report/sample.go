package report

import "slices"

// Sample is one measurement of one proxy in one round of a scenario.
type Sample struct {
	Scenario string             `json:"scenario"`
	Proxy    string             `json:"proxy"`
	Round    int                `json:"round"`
	Values   map[string]float64 `json:"values"` // by Metric.Key
	Errors   map[string]int64   `json:"errors,omitempty"`
	First    string             `json:"first_error,omitempty"`
}

// Scenario is what a table is about.
type Scenario struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	About string `json:"about"`
	// Columns are the metrics of its table, Ratios those that are set against the
	// base; by Metric.Key.
	// Open says that the proxy was not meant to be the limit.
	Open    bool     `json:"open,omitempty"`
	Columns []string `json:"columns"`
	Ratios  []string `json:"ratios"`
}

// Program is a measured program and its version.
type Program struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Run is everything that a report is made of.
type Run struct {
	Time      string     `json:"time"`
	Command   string     `json:"command"`
	Commit    string     `json:"commit"`
	Machine   []Fact     `json:"machine"`
	Programs  []Program  `json:"programs"`
	Base      string     `json:"base"` // the proxy that ratios are of
	Scenarios []Scenario `json:"scenarios"`
	Samples   []Sample   `json:"samples"`
	Notes     []string   `json:"notes,omitempty"`
}

// Fact is a line of the machine's description.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Metric is a kind of figure.
type Metric struct {
	Key, Title, Unit string
	Digits           int
}

// Metrics are the kinds of figure that scenarios may use.
func Metrics() []Metric {
	return []Metric{
		{"cpu_us", "CPU per request", "µs", 2},
		{"rps", "requests a second", "", 0},
		{"p50_us", "p50", "µs", 0},
		{"p99_us", "p99", "µs", 0},
		{"p999_us", "p99.9", "µs", 0},
		{"max_us", "longest", "µs", 0},
		{"rss_mb", "RSS", "MB", 1},
		{"pss_mb", "PSS", "MB", 1},
		{"mb_s", "body", "MB/s", 0},
		{"cpu_ms_gb", "CPU per GB", "ms", 0},
		{"proxy_core", "proxy's core", "%", 0},
		{"load_core", "load's core", "%", 0},
		{"foreign", "others on the proxy's core", "%", 1},
		{"steal", "stolen", "%", 1},
		{"system", "in the kernel", "%", 0},
		{"switches", "context switches per request", "", 3},
		{"start_ms", "start to ready", "ms", 0},
		{"errors", "failed", "", 0},
		{"retryable", "closed unanswered", "", 0},
		{"base_mb", "RSS before", "MB", 1},
		{"dropped", "closed by the proxy", "", 0},
		{"idle_kb", "per idle connection", "KB", 2},
		{"idle_pss_kb", "per idle connection (PSS)", "KB", 2},
		{"rise_mb", "rise of RSS", "MB", 1},
		{"applied_p50_ms", "change in service, p50", "ms", 1},
		{"applied_max_ms", "change in service, longest", "ms", 1},
		{"changes", "changes", "", 0},
		{"misses", "misses", "", 0},
		{"settled_max_ms", "compressed again, longest", "ms", 0},
		{"quiet_cpu_us", "CPU per request without changes", "µs", 2},
		{"quiet_p50_us", "p50 without changes", "µs", 0},
		{"quiet_p99_us", "p99 without changes", "µs", 0},
		{"p50_moved", "p50 with / without", "", 2},
		{"p99_moved", "p99 with / without", "", 2},
		{"up_mb_s", "upload", "MB/s", 0},
		{"up_rise_mb", "rise of RSS, upload", "MB", 1},
		{"up_cpu_ms_gb", "CPU per GB, upload", "ms", 0},
	}
}

// MetricOf finds a metric by its key; one that is not known is shown by its key.
func MetricOf(key string) Metric {
	for _, m := range Metrics() {
		if m.Key == key {
			return m
		}
	}
	return Metric{Key: key, Title: key, Digits: 2}
}

// Proxies are the proxies of a scenario in the order in which Programs lists
// them, those that are not listed last.
func (r *Run) Proxies(scenario string) []string {
	var seen []string
	for _, s := range r.Samples {
		if s.Scenario == scenario && !slices.Contains(seen, s.Proxy) {
			seen = append(seen, s.Proxy)
		}
	}
	rank := func(name string) int {
		for i, p := range r.Programs {
			if p.Name == name {
				return i
			}
		}
		return len(r.Programs)
	}
	slices.SortStableFunc(seen, func(a, b string) int { return rank(a) - rank(b) })
	return seen
}

// values are a metric's figures by round.
func (r *Run) values(scenario, proxy, key string) map[int]float64 {
	m := map[int]float64{}
	for _, s := range r.Samples {
		if v, ok := s.Values[key]; ok && s.Scenario == scenario && s.Proxy == proxy {
			m[s.Round] = v
		}
	}
	return m
}
