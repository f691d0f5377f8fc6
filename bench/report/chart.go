package report

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"slices"
)

// The charts are drawn by hand: a plotting library would bring its fonts and PDF
// writer into a binary that stands at the edge, for bars and lines.
const (
	chartMetrics = 3 // how many of a scenario's columns are drawn
	panelWidth   = 300
	barsWidth    = 200 // of the longest bar
	labelWidth   = 120
	rowHeight    = 22
	barHeight    = 14
	topMargin    = 52
	bottomMargin = 14
)

// Chart is an SVG of a scenario: for each of its first columns a bar per proxy
// with the median, and a line over the range of the rounds.
func (r *Run) Chart(s Scenario) ([]byte, error) {
	proxies := r.Proxies(s.Name)
	var keys []string
	for _, k := range s.Columns {
		if len(keys) < chartMetrics && slices.ContainsFunc(proxies, func(p string) bool { return r.Of(s.Name, p, k).N > 0 }) {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("chart of %s: nothing was measured", s.Name)
	}
	width := labelWidth + len(keys)*panelWidth
	height := topMargin + len(proxies)*rowHeight + bottomMargin
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="12">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height)
	text(&b, 10, 20, "start", "#222", 14, s.Title)
	for i, p := range proxies {
		text(&b, labelWidth-8, rowY(i)+11, "end", "#222", 12, p)
	}
	for i, key := range keys {
		r.panel(&b, s, key, proxies, labelWidth+i*panelWidth)
	}
	b.WriteString("</svg>\n")
	return b.Bytes(), nil
}

func rowY(i int) int { return topMargin + i*rowHeight }

// panel draws one metric at x.
func (r *Run) panel(b *bytes.Buffer, s Scenario, key string, proxies []string, x int) {
	m := MetricOf(key)
	title := m.Title
	if m.Unit != "" {
		title += ", " + m.Unit
	}
	text(b, x, topMargin-10, "start", "#555", 12, title)
	highest := 0.0
	for _, p := range proxies {
		if spread := r.Of(s.Name, p, key); spread.N > 0 {
			highest = max(highest, spread.Max)
		}
	}
	if highest <= 0 {
		highest = 1
	}
	at := func(v float64) float64 { return float64(x) + math.Max(0, v)/highest*barsWidth }
	for i, p := range proxies {
		spread := r.Of(s.Name, p, key)
		y := rowY(i)
		if spread.N == 0 {
			text(b, x, y+11, "start", "#999", 11, "–")
			continue
		}
		fill := "#b8c4ce"
		if p == r.Base {
			fill = "#1f77b4"
		}
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", x, y, at(spread.Median)-float64(x), barHeight, fill)
		fmt.Fprintf(b, `<path d="M%.1f %dH%.1fM%.1f %dv8M%.1f %dv8" stroke="#333" fill="none"/>`+"\n",
			at(spread.Min), y+barHeight/2, at(spread.Max), at(spread.Min), y+3, at(spread.Max), y+3)
		text(b, int(at(spread.Max))+6, y+11, "start", "#222", 11, fmt.Sprintf("%.*f", m.Digits, spread.Median))
	}
}

func text(b *bytes.Buffer, x, y int, anchor, fill string, size int, s string) {
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="%s" fill="%s" font-size="%d">`, x, y, anchor, fill, size)
	_ = xml.EscapeText(b, []byte(s)) // writing to a buffer does not fail
	b.WriteString("</text>\n")
}
