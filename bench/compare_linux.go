package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"edgerouter/bench/load"
	"edgerouter/bench/peer"
	"edgerouter/bench/proc"
	"edgerouter/bench/report"
)

// Options are what a comparison is told.
type Options struct {
	Scenarios   []string
	Proxies     []string // names, or "all" for those that are there
	Extra       []string // NAME=COMMAND
	Edgerouter  string   // binary
	Self        []string // how this program's bench command is called
	Base        string   // the proxy that ratios are of; empty: edgerouter, or the first one
	Rounds      int
	Connections int
	Duration    time.Duration // measured for each proxy in each round
	Slices      int           // into which it is cut
	Warmup      time.Duration
	Rate        float64
	Apps        int
	Idle        int
	StreamSize  int64
	// MaxNoise is how much of a core, in percent, others may take during a
	// slice before it is measured again, up to three times in all.
	MaxNoise float64
	// ReloadOneFile keeps all applications in one file, which each change rewrites.
	ReloadOneFile bool
	StartTimeout  time.Duration
	Out           string
	Bare          bool
	ProxyCPU      int // -1: not pinned
	LoadCPU       int
	Progress      io.Writer // a line for each measurement
	Command       string    // as it was typed, for the report

	temp     string
	lambda   string // URL of the Lambda service
	site     *peer.Site
	versions *versions
}

// ErrFailed is returned by Compare when requests failed in a scenario that
// promises that none do, or a proxy could not be started or measured. The report
// is written all the same.
var ErrFailed = errors.New("the comparison is not whole")

// Compare measures the proxies against each other and writes the report into
// Options.Out. A proxy that cannot be started is reported and left out.
func Compare(ctx context.Context, o Options) (*report.Run, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	chosen, err := chooseScenarios(o.Scenarios)
	if err != nil {
		return nil, err
	}
	proxies, notes, err := o.proxies(ctx)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Out, 0o755); err != nil {
		return nil, fmt.Errorf("--out: %w", err)
	}
	if o.temp, err = workFolder(); err != nil {
		return nil, err
	}
	defer os.RemoveAll(o.temp)
	st, closeStage, err := newStage(&o)
	if err != nil {
		return nil, err
	}
	defer closeStage()

	run := o.describe(ctx, proxies)
	run.Notes = notes
	broken := map[string]bool{}
	var failed []string
	for _, s := range chosen {
		run.Scenarios = append(run.Scenarios, report.Scenario{Name: s.name, Title: s.title, About: s.about, Open: s.open, Columns: s.columns, Ratios: s.ratios})
		subjects := s.subjects(proxies)
		if s.prepare != nil {
			stop, err := s.prepare(&o)
			if err != nil {
				return run, fmt.Errorf("scenario %s: %w", s.name, err)
			}
			defer stop()
		}
		for round := range o.Rounds {
			// The order is turned by one place each round.
			turn := round % max(1, len(subjects))
			var order []peer.Proxy
			for _, p := range append(slices.Clone(subjects[turn:]), subjects[:turn]...) {
				if !broken[s.name+p.Name()] {
					order = append(order, p)
				}
			}
			for proxy, outcome := range st.round(ctx, s, order, round) {
				name := proxy.Name()
				switch {
				case ctx.Err() != nil:
					return run, ctx.Err()
				case errors.Is(outcome.err, peer.ErrNotSimple):
					broken[s.name+name] = true
				case outcome.err != nil:
					broken[s.name+name] = true
					fmt.Fprintf(o.Progress, "%v\n", outcome.err)
					run.Notes = append(run.Notes, outcome.err.Error())
					failed = append(failed, name+" in "+s.name+": not measured")
				default:
					sample := outcome.sample
					run.Samples = append(run.Samples, sample)
					if faulty(sample) && (s.mayFail == nil || !s.mayFail(name)) {
						failed = append(failed, fmt.Sprintf("%s in %s: failed requests %v (first: %s)", name, s.name, sample.Errors, sample.First))
					}
					fmt.Fprintf(o.Progress, "%s\n", line(s, sample, o.Rounds))
				}
			}
		}
		fmt.Fprintf(o.Progress, "\n%s\n", run.Section(run.Scenarios[len(run.Scenarios)-1]))
		if err := Write(run, o.Out); err != nil {
			return run, err
		}
	}
	if len(failed) > 0 {
		return run, fmt.Errorf("%w: %s", ErrFailed, strings.Join(failed, "; "))
	}
	return run, nil
}

// faulty tells whether requests failed. That some were not sent at a constant
// rate says that the proxy, or the machine, was too slow for it, and is in the
// latencies.
func faulty(s report.Sample) bool {
	for kind, n := range s.Errors {
		if n > 0 && kind != load.ErrUnsent.String() {
			return true
		}
	}
	return false
}

// subjects are what a scenario measures.
func (s *scenario) subjects(proxies []peer.Proxy) []peer.Proxy {
	var subjects []peer.Proxy
	for _, p := range proxies {
		switch {
		case s.takes != nil && !s.takes(p.Name()):
		case s.variants != nil:
			subjects = append(subjects, s.variants(p)...)
		default:
			subjects = append(subjects, p)
		}
	}
	return subjects
}

// workFolder is where proxies have their files: in memory if that can be, because
// what a disk does after a file has changed falls on the measured cores.
func workFolder() (string, error) {
	const memory = "/dev/shm"
	if dir, err := os.MkdirTemp(memory, "edgerouter-bench-"); err == nil {
		return dir, nil
	}
	dir, err := os.MkdirTemp("", "edgerouter-bench-")
	if err != nil {
		return "", fmt.Errorf("make a folder for the proxies' files: %w", err)
	}
	return dir, nil
}

// newStage makes what all measurements share: the pinned loop, the origin with two
// peers, the starter and the certificate.
func newStage(o *Options) (*stage, func(), error) {
	if _, err := proc.RaiseFiles(65536); err != nil {
		return nil, nil, err
	}
	var undo []func()
	cleanup := func() {
		for _, f := range slices.Backward(undo) {
			f()
		}
	}
	if o.ProxyCPU >= 0 {
		unpin, err := proc.PinSelf(o.LoadCPU)
		if err != nil {
			return nil, nil, err
		}
		undo = append(undo, unpin)
	}
	st := &stage{opts: o, starter: proc.NewStarter()}
	undo = append(undo, st.starter.Close)
	var err error
	if st.cert, err = makeCertificate(o.temp); err == nil {
		st.loop, err = load.NewLoop()
	}
	if err != nil {
		cleanup()
		return nil, nil, err
	}
	undo = append(undo, st.loop.Close)
	ports, err := freePorts(2)
	if err == nil {
		st.origin, err = load.NewOrigin(st.loop, ports...)
	}
	if err != nil {
		cleanup()
		return nil, nil, err
	}
	return st, cleanup, nil
}

func (o *Options) check() error {
	for _, c := range []struct {
		wrong bool
		say   string
	}{
		{o.Rounds < 1 || o.Rounds > 1000, fmt.Sprintf("--rounds %d: between 1 and 1000", o.Rounds)},
		{o.Slices < 1 || o.Slices > 1000, fmt.Sprintf("--slices %d: between 1 and 1000", o.Slices)},
		{o.Duration <= 0 || o.Duration > load.MaxDuration, fmt.Sprintf("--duration %s: more than 0 and at most %s", o.Duration, load.MaxDuration)},
		{o.Warmup < 0 || o.Warmup > time.Minute, fmt.Sprintf("--warmup %s: between 0 and a minute", o.Warmup)},
		{o.Connections < 1 || o.Connections > 10000, fmt.Sprintf("--connections %d: between 1 and 10,000", o.Connections)},
		{o.Rate <= 0, fmt.Sprintf("--rate %g: more than 0", o.Rate)},
		{o.Apps < 1, fmt.Sprintf("--apps %d: at least 1", o.Apps)},
		{o.Idle < 1 || o.Idle > load.MaxConnections, fmt.Sprintf("--idle %d: between 1 and %d", o.Idle, load.MaxConnections)},
		{o.StreamSize < 1, fmt.Sprintf("--stream-size %d: at least 1", o.StreamSize)},
	} {
		if c.wrong {
			return fmt.Errorf("%w: %s", ErrUsage, c.say)
		}
	}
	return nil
}

// proxies finds what is to be measured.
func (o *Options) proxies(ctx context.Context) (found []peer.Proxy, notes []string, err error) {
	names, all := o.Proxies, slices.Contains(o.Proxies, "all")
	if all {
		names = peer.Names
	}
	for _, name := range names {
		if name == "" || name == "none" {
			continue
		}
		p, err := peer.Find(ctx, name, o.Edgerouter, o.Self)
		switch {
		case err == nil:
			found = append(found, p)
		case all:
			notes = append(notes, "Left out: "+err.Error())
			fmt.Fprintf(o.Progress, "left out: %v\n", err)
		default:
			return nil, nil, err
		}
	}
	for _, e := range o.Extra {
		p, err := peer.ParseExtra(e)
		if err != nil {
			return nil, nil, err
		}
		found = append(found, p)
	}
	if len(found) == 0 {
		return nil, nil, fmt.Errorf("%w: --proxies: nothing to measure", ErrUsage)
	}
	if o.Base == "" {
		o.Base = found[0].Name()
	}
	if !slices.ContainsFunc(found, func(p peer.Proxy) bool { return p.Name() == o.Base }) {
		return nil, nil, fmt.Errorf("%w: --base %s: it is not among the proxies that are measured", ErrUsage, o.Base)
	}
	return found, notes, nil
}

// line is the progress of one measurement.
func line(s *scenario, sample report.Sample, rounds int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-8s %d/%d %-12s", s.name, sample.Round+1, rounds, sample.Proxy)
	for _, key := range s.columns {
		m := report.MetricOf(key)
		if v, ok := sample.Values[key]; ok {
			fmt.Fprintf(&b, "  %s %.*f%s", key, m.Digits, v, m.Unit)
		}
	}
	if sample.First != "" {
		fmt.Fprintf(&b, "  (%s)", sample.First)
	}
	return b.String()
}
