package labels

import (
	"fmt"
	"slices"
	"strings"

	"edgerouter/app"
)

// notes are the problems of a part of the labels. Field is the label's name;
// App and File are filled in at the end.
type notes struct{ errors, warnings []app.Problem }

func (n *notes) fail(label, value, message, suggestion string) {
	n.errors = append(n.errors, app.Problem{Field: label, Value: short(value), Message: message, Suggestion: suggestion})
}

func (n *notes) warn(label, value, message, suggestion string) {
	n.warnings = append(n.warnings, app.Problem{Field: label, Value: short(value), Message: message, Suggestion: suggestion})
}

func (n *notes) add(o notes) {
	n.errors = append(n.errors, o.errors...)
	n.warnings = append(n.warnings, o.warnings...)
}

// told are the problems of an application, errors first, none of them twice.
func (n *notes) told(id, from string) []app.Problem {
	var out []app.Problem
	seen := map[app.Problem]bool{}
	all := slices.Concat(n.errors, n.warnings)
	for _, p := range all {
		p.App, p.File = id, from
		if seen[p] {
			continue
		}
		if len(out) == maxTold {
			return append(out, app.Problem{App: id, File: from, Message: fmt.Sprintf("and more problems, %d in all", len(all))})
		}
		seen[p] = true
		out = append(out, p)
	}
	return out
}

// inLabels tells a problem of the definition by the label that it came from.
func inLabels(p app.Problem, places []place) app.Problem {
	var best place
	for _, pl := range places {
		if strings.HasPrefix(p.Field, pl.field) && len(pl.field) > len(best.field) {
			best = pl
		}
	}
	if best.label == "" {
		return p
	}
	rest := strings.TrimPrefix(strings.TrimPrefix(p.Field, best.field), ".")
	// The name of the options says nothing to whoever writes labels.
	if head, tail, ok := strings.Cut(rest, "."); ok && strings.HasSuffix(head, "_opts") {
		rest = tail
	} else if strings.HasSuffix(rest, "_opts") {
		rest = ""
	}
	if rest != "" && rest != "rule" && rest != "hostname_regexp" {
		p.Message = rest + ": " + p.Message
	}
	p.Field = best.label
	return p
}

// nearest suggests the known name that is most like a misspelt one; "" when
// none is much like it.
func nearest(name string, known []string) string {
	best := closest(name, known)
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// closest is the known name with the fewest other letters, at most three.
func closest(name string, known []string) string {
	if len(name) > 128 {
		return ""
	}
	best, distance := "", min(len(name)/4+2, 4)
	for _, k := range known {
		if d := editDistance(lower(name), lower(k), distance); d < distance {
			best, distance = k, d
		}
	}
	return best
}

// editDistance is Levenshtein's, or limit when it is at least that.
func editDistance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			next := diagonal
			if a[i] != b[j] {
				next = min(diagonal, row[j], row[j+1]) + 1
			}
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return min(row[len(b)], limit)
}
