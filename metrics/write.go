package metrics

import (
	"io"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// WritePrometheus writes everything in the set in Prometheus text format, in
// pieces of about 32 KiB. It holds no lock while it writes or asks functions for
// their values. When w fails the rest is not written.
func (s *Set) WritePrometheus(w io.Writer) {
	families := append(s.snapshot(), s.requests.families()...)
	slices.SortFunc(families, func(a, b shown) int { return strings.Compare(a.name, b.name) })
	out := output{w: w}
	for _, f := range families {
		out.begin(f.name, f.kind, s.helpOf(f.name))
		f.write(&out)
	}
	out.flush()
}

// shown is a family at the moment it is written.
type shown struct {
	name, kind string
	write      func(out *output)
}

// snapshot returns the registered families.
func (s *Set) snapshot() []shown {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := make([]shown, 0, len(s.families)+4)
	for _, f := range s.families {
		series := f.inOrder()
		l = append(l, shown{f.name, f.kind, func(out *output) {
			for _, m := range series {
				out.add(func(b []byte) []byte { return m.append(b, f.name, m.labels) })
			}
		}})
	}
	if n := s.refused.Get(); n > 0 {
		l = append(l, shown{familyRefused, "counter", func(out *output) {
			out.add(func(b []byte) []byte { return appendUint(b, familyRefused, "", n) })
		}})
	}
	return l
}

func (s *Set) helpOf(family string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.help[family]
}

// families returns those of the requests. The totals stand where their label
// stands among the applications'.
func (r *requests) families() []shown {
	apps, all := r.snapshot()
	for _, a := range apps {
		all.add(a.counts)
	}
	each := func(do func(app string, t *totals)) {
		t := totals{requests: map[key]uint64{}}
		before, _ := slices.BinarySearchFunc(apps, AllApps, func(a appCounts, label string) int { return strings.Compare(a.label, label) })
		for i := 0; i <= len(apps); i++ {
			if i == before {
				do(AllApps, &all)
			}
			if i < len(apps) {
				t.reset(apps[i].counts)
				do(apps[i].label, &t)
			}
		}
	}
	var labels []byte
	label := func(app string) []byte {
		return append(append(append(labels[:0], `app="`...), app...), '"')
	}
	counters := func(family string, failed bool) shown {
		return shown{family, "counter", func(out *output) {
			each(func(app string, t *totals) {
				for _, k := range t.keys() {
					if k.failed() == failed {
						labels = k.appendLabels(label(app))
						out.add(func(b []byte) []byte { return appendUint(b, family, labels, t.requests[k]) })
					}
				}
			})
		}}
	}
	texts := boundTexts(durationBounds())
	return []shown{
		counters(familyOK, false),
		counters(familyFail, true),
		{familyDuration, "histogram", func(out *output) {
			each(func(app string, t *totals) {
				if t.observed() || app == AllApps {
					labels = label(app)
					out.add(func(b []byte) []byte {
						return appendHistogram(b, familyDuration, labels, texts, t.buckets[:], t.seconds())
					})
				}
			})
		}},
	}
}

// durationBounds are those of er_request_duration_seconds, in seconds.
func durationBounds() []float64 {
	bounds := make([]float64, durationBuckets)
	for i := range bounds {
		bounds[i] = firstBucket.Seconds() * float64(int(1)<<i)
	}
	return bounds
}

// output gathers lines and hands them on in large pieces.
type output struct {
	w      io.Writer
	buf    []byte
	header []byte // of the family that has not shown anything yet

	flushes int
	failed  bool
}

const flushAt = 32 << 10

// begin starts a family. Its header is written with its first series.
func (o *output) begin(name, kind, help string) {
	o.header = o.header[:0]
	if help != "" {
		o.header = append(o.header, "# HELP "...)
		o.header = append(o.header, name...)
		o.header = append(o.header, ' ')
		o.header = append(o.header, escapeHelp(help)...)
		o.header = append(o.header, '\n')
	}
	if kind != "" {
		o.header = append(o.header, "# TYPE "...)
		o.header = append(o.header, name...)
		o.header = append(o.header, ' ')
		o.header = append(o.header, kind...)
		o.header = append(o.header, '\n')
	}
}

// add takes what series appends, which may be nothing.
func (o *output) add(series func(b []byte) []byte) {
	from := len(o.buf)
	o.buf = append(o.buf, o.header...)
	headed := len(o.buf)
	o.buf = series(o.buf)
	if len(o.buf) == headed {
		o.buf = o.buf[:from]
		return
	}
	o.header = o.header[:0]
	if len(o.buf) >= flushAt {
		o.flush()
	}
}

func (o *output) flush() {
	if !o.failed && len(o.buf) > 0 {
		_, err := o.w.Write(o.buf)
		o.failed = err != nil
	}
	o.buf = o.buf[:0]
	// A large set takes 10 ms to write. Requests must not wait for that where
	// there is but one processor.
	if o.flushes++; o.flushes%8 == 0 {
		runtime.Gosched()
	}
}

// text is what labels may come as.
type text interface{ string | []byte }

func appendUint[L text](b []byte, family string, labels L, v uint64) []byte {
	return append(strconv.AppendUint(appendSeries(b, family, "", labels), v, 10), '\n')
}

func appendFloat[L text](b []byte, family string, labels L, v float64) []byte {
	return append(strconv.AppendFloat(appendSeries(b, family, "", labels), v, 'g', -1, 64), '\n')
}

func appendSeries[L text](b []byte, family, suffix string, labels L) []byte {
	b = append(append(b, family...), suffix...)
	if len(labels) > 0 {
		b = append(b, '{')
		b = append(b, labels...)
		b = append(b, '}')
	}
	return append(b, ' ')
}
