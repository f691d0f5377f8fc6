package app

import (
	"fmt"
	"slices"
	"strings"
)

// nearest is the candidate that a misspelt name most likely means, or "".
func nearest(name string, candidates []string) string {
	best, bestDistance := "", 0
	if len(name) < 3 {
		return "" // nearly everything is near: "no" is not a misspelt "on"
	}
	flat := flatten(name)
	for _, c := range candidates {
		if flatten(c) == flat {
			return c
		}
		limit := max(1, min(len(name), len(c))/3)
		d := distance(name, c, limit)
		if d <= limit && (best == "" || d < bestDistance) {
			best, bestDistance = c, d
		}
	}
	return best
}

// Nearest returns the candidate that a misspelt name most likely means; empty when
// none is near.
func Nearest(name string, candidates []string) string { return nearest(name, candidates) }

// didYouMean is nearest as a suggestion; without one it lists what there is.
func didYouMean(name string, candidates []string) string {
	// Numbers with similar digits have nothing to do with each other.
	if near := nearest(name, candidates); near != "" && !isDigit(near[0]) {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "it is one of " + strings.Join(candidates, ", ")
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// flatten makes pathPrefix, path-prefix and path_prefix the same.
func flatten(s string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(s))
}

// distance is the number of letters to change, insert, drop or swap with the
// next to get from a to b; more than limit is only known to be more.
func distance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit || len(a) > 64 || len(b) > 64 {
		return limit + 1
	}
	var rows [3][66]int
	for j := range len(b) + 1 {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		row, above, twoAbove := &rows[i%3], &rows[(i+2)%3], &rows[(i+1)%3]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], twoAbove[j-2]+1)
			}
		}
	}
	return rows[len(a)%3][len(b)]
}

// homesOf names the objects that have a field of this name, for a field that
// stands in the wrong one.
func homesOf(name string) string {
	var homes []string
	seen := map[*plan]bool{}
	var walk func(p *plan, called string)
	walk = func(p *plan, called string) {
		if seen[p] {
			return
		}
		seen[p] = true
		if _, ok := p.byName[name]; ok {
			homes = append(homes, called)
		}
		for i := range p.fields {
			if sub := p.fields[i].sub; sub != nil {
				walk(sub, p.fields[i].name)
			}
		}
	}
	walk(plans()[typeApplication], "the application")
	slices.Sort(homes)
	if len(homes) > 3 {
		homes = append(homes[:3], "others")
	}
	return strings.Join(homes, ", ")
}

// fieldNames are the names of the fields that are written.
func (p *plan) fieldNames() []string {
	names := make([]string, len(p.fields))
	for i := range p.fields {
		names[i] = p.fields[i].name
	}
	return names
}
