package bench

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"edgerouter/bench/load"
	"edgerouter/bench/peer"
	"edgerouter/bench/report"
)

const (
	// Files of a version: those that are asked for and differ from version to
	// version, and those that nobody asks for and that stay.
	switchHot, switchHotSize = 20, 16 << 10
	switchCold               = 2000
	// switchAt is when in a slice the version changes: what follows from it, up to the
	// last encoding that is made again, is to be within the slice.
	switchAt = 200 * time.Millisecond
	// settledIdle is for how long no encoding was made once none is left to be made.
	settledIdle = 400 * time.Millisecond
)

// switchAccept are the clients: each encoding of each file is in use.
var switchAccept = []string{"Accept-Encoding: gzip", "Accept-Encoding: gzip, deflate, br", "Accept-Encoding: gzip, deflate, br, zstd"}

func staticSwitch() *scenario {
	return &scenario{
		name: "static-switch", title: "Version change of a static site during load",
		about: fmt.Sprintf("A Turbocharger site of %d files of %d KB of text that are asked for at a constant rate (--rate), with gzip, br and zstd in turn, and %d small ones that are not. "+
			"%d ms into every second slice the application's file names a version that edgerouter has not seen, all of whose asked-for files are others; "+
			"in the slices between, a file of the same size is written where nobody looks. The versions were deployed before. p50 and p99 are medians over the slices, and moved is the median of the ratios of a slice with a change to the one before it without. "+
			"A slice without a change begins when everything is compressed. A miss is a request that had to wait for a file.",
			switchHot, switchHotSize>>10, switchCold, switchAt.Milliseconds()),
		columns:  []string{"quiet_p50_us", "p50_us", "quiet_p99_us", "p99_us", "p99_moved", "changes", "misses", "applied_p50_ms", "applied_max_ms", "settled_max_ms", "cpu_us", "quiet_cpu_us", "errors"},
		ratios:   []string{"p99_us", "p99_moved", "applied_p50_ms"},
		optional: true, open: true,
		takes:   func(proxy string) bool { return proxy == "edgerouter" },
		prepare: prepareVersions,
		job:     func(o *Options, _ string, j *peer.Job) { j.Site, _ = o.versions.take() },
		run:     runSwitch,
	}
}

// versions are deployed versions of a site. Each is served once: what a proxy has
// compressed before, it has kept.
type versions struct {
	store     string
	manifests []string
	used      int
}

// take is the next one, and what its version.bin says.
func (v *versions) take() (*peer.Site, string) {
	n := v.used
	v.used++
	return &peer.Site{Store: v.store, Manifest: v.manifests[n]}, strconv.Itoa(n)
}

// prepareVersions deploys one version for each change, those of slices that are
// made again included.
func prepareVersions(o *Options) (stop func(), err error) {
	o.versions = &versions{store: "file://" + filepath.Join(o.temp, "versions")}
	for n := range o.Rounds * (o.Slices*attempts + 1) {
		archive, err := versionTar(n)
		if err != nil {
			return nil, fmt.Errorf("make version %d of the site: %w", n, err)
		}
		manifest, err := o.deploy(o.versions.store, archive)
		if err != nil {
			return nil, fmt.Errorf("deploy version %d of the site: %w", n, err)
		}
		o.versions.manifests = append(o.versions.manifests, manifest)
	}
	return func() {}, nil
}

// versionTar is version n: the same bytes each time.
func versionTar(n int) (io.Reader, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	add := func(name string, content []byte) error {
		if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(content)), Mode: 0o644, Typeflag: tar.TypeReg}); err != nil {
			return err
		}
		_, err := w.Write(content)
		return err
	}
	random := rand.New(rand.NewPCG(1, uint64(n)))
	var all error
	for i := range switchHot {
		all = errors.Join(all, add(hotFile(i), text(random, switchHotSize)))
	}
	for i := range switchCold {
		all = errors.Join(all, add(fmt.Sprintf("cold/%d.txt", i), fmt.Appendf(nil, "the file %d\n", i)))
	}
	// /b/1 is what shows that the proxy is ready.
	all = errors.Join(all, add("b/1", []byte{'x'}), add("version.bin", fmt.Append(nil, n)), w.Close())
	return &archive, all
}

func hotFile(i int) string { return fmt.Sprintf("hot/%d.js", i) }

// text is words of a vocabulary that small ones are more frequent in, as in a
// program's source.
func text(random *rand.Rand, size int) []byte {
	b := make([]byte, 0, size+16)
	for len(b) < size {
		b = strconv.AppendUint(append(b, "name_"...), uint64(random.ExpFloat64()*200), 36)
		b = append(b, " (=;\n"[random.IntN(5)])
	}
	return b[:size]
}

func runSwitch(ctx context.Context, b *bed) (report.Sample, error) {
	cfg := b.config(0)
	cfg.Rate, cfg.Length, cfg.Duration = b.opts.Rate, -1, b.opts.Duration/time.Duration(b.opts.Slices)
	cfg.Requests = nil
	for i := range switchHot {
		for _, accept := range switchAccept {
			cfg.Requests = append(cfg.Requests, load.NewRequest("GET", peer.Host, "/"+hotFile(i), 0, accept))
		}
	}
	c, err := newChanger(b, "apps.json")
	if err != nil {
		return report.Sample{}, err
	}
	c.every, c.first = time.Hour, switchAt
	c.request = load.NewRequest("GET", peer.Host, "/version.bin", 0)
	c.next = func() (change, error) {
		job, answer := b.job, ""
		job.Site, answer = b.opts.versions.take()
		files, err := peer.Applications(job)
		return change{files["apps.json"], answer}, err
	}
	files, err := peer.Applications(b.job)
	if err != nil {
		return report.Sample{}, err
	}
	c.last.content = files["apps.json"]
	var longest time.Duration
	settled := func() error {
		took, err := b.encoded(ctx)
		longest = max(longest, took)
		return err
	}
	// Everything is asked for once, so that it is here and compressed before it counts.
	if _, err := b.get(ctx, false, peer.Host, "/version.bin"); err != nil {
		return report.Sample{}, err
	}
	first := cfg
	first.Warmup, first.Duration = 0, switchAt
	if _, err := b.runLoad(ctx, first); err != nil {
		return report.Sample{}, err
	}
	if err := settled(); err != nil {
		return report.Sample{}, err
	}
	longest = 0
	before, err := b.figures(ctx)
	if err != nil {
		return report.Sample{}, err
	}
	without, with, pairs, err := c.slices(ctx, cfg, settled)
	if err != nil {
		return report.Sample{}, err
	}
	after, err := b.figures(ctx)
	if err != nil {
		return report.Sample{}, err
	}
	sample := pairedSample(b, c, without, with, pairs)
	sample.Values["misses"] = after["er_site_misses_total"] - before["er_site_misses_total"]
	sample.Values["settled_max_ms"] = float64(longest.Milliseconds())
	return sample, nil
}

// encoded waits until nothing is left to be compressed, and tells how long that was.
func (b *bed) encoded(ctx context.Context) (took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, 6*b.opts.StartTimeout)
	defer cancel()
	began := time.Now()
	since, made := began, -1.0
	for {
		f, err := b.figures(ctx)
		if err != nil {
			return 0, err
		}
		if queued, total := f["er_cache_encodings_queued"], f["er_cache_encoded_total"]; queued > 0 || total != made {
			since, made = time.Now(), total
		}
		if time.Since(since) >= settledIdle {
			return since.Sub(began), nil
		}
		select {
		case <-ctx.Done():
			return 0, errors.New("compressing does not come to an end")
		case <-time.After(settlePoll):
		}
	}
}

// figures are the metrics of edgerouter that have no labels.
func (b *bed) figures(ctx context.Context) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.job.Admin.String()+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("read the metrics of %s: %w", b.proxy.Name(), err)
	}
	defer resp.Body.Close()
	all := map[string]float64{}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			all[name] = v
		}
	}
	return all, lines.Err()
}
