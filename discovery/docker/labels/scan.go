package labels

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The bounds of what is read. A label of Traefik with all the users of a company
// in it has some ten kilobytes.
const (
	maxValue  = 64 << 10 // bytes of one label's value
	maxLabels = 4096     // labels in our namespaces
	maxTold   = 50       // problems of one application
	maxShown  = 120      // bytes of a value in a problem
	maxItems  = 1024     // elements of a list
	maxApps   = 64       // applications of one container
)

// label is one label in our namespaces.
type label struct {
	name  string // as written
	key   string // in lower case
	value string // without white space around it
	used  bool
}

// scan takes the labels in our namespaces, ordered by name. Of two that differ
// in case only the first one is read; the other is left over.
func scan(labels map[string]string) []*label {
	var found []*label
	for name, value := range labels {
		key := lower(name)
		if strings.HasPrefix(key, "traefik.") || strings.HasPrefix(key, "edgerouter.") {
			found = append(found, &label{name: name, key: key, value: strings.TrimSpace(value)})
		}
	}
	slices.SortFunc(found, func(a, b *label) int { return strings.Compare(a.name, b.name) })
	return joinIndexed(found)
}

// joinIndexed makes one label of users[0], users[1] and so on, with commas between
// their values in the order of the indexes. One without an index goes before them.
func joinIndexed(found []*label) []*label {
	type element struct {
		index int
		*label
	}
	lists := map[string][]element{}
	var out []*label
	for _, l := range found {
		name, index, ok := indexed(l.name)
		if !ok {
			out = append(out, l)
			continue
		}
		key := lower(name)
		lists[key] = append(lists[key], element{index, &label{name: name, key: key, value: l.value}})
	}
	if len(lists) == 0 {
		return found
	}
	first := map[string]*label{}
	for _, l := range out {
		if first[l.key] == nil {
			first[l.key] = l
		}
	}
	for _, key := range sortedNames(lists) {
		elements := lists[key]
		slices.SortStableFunc(elements, func(a, b element) int { return a.index - b.index })
		whole := first[key]
		if whole == nil {
			whole = &label{name: elements[0].name, key: key, value: elements[0].value}
			out, elements = append(out, whole), elements[1:]
		}
		values := []string{whole.value}
		for _, e := range elements {
			values = append(values, e.value)
		}
		whole.value = strings.Join(values, ",")
	}
	slices.SortFunc(out, func(a, b *label) int { return strings.Compare(a.name, b.name) })
	return out
}

// indexed takes the index off the name of an element of a list.
func indexed(name string) (list string, index int, ok bool) {
	open := strings.LastIndexByte(name, '[')
	if open < 0 || !strings.HasSuffix(name, "]") || !strings.HasPrefix(lower(name), "traefik.http.") {
		return "", 0, false
	}
	index, err := strconv.Atoi(name[open+1 : len(name)-1])
	return name[:open], index, err == nil && index >= 0
}

// tooLong refuses what is beyond the bounds. It is cut away, so that nothing
// after this has to care.
func (c *compiler) tooLong() {
	for _, l := range c.labels {
		if len(l.value) > maxValue {
			c.all.fail(l.name, short(l.value), fmt.Sprintf("has %d bytes; at most %d are read", len(l.value), maxValue), "")
			l.value, l.used = "", true
		}
	}
	if len(c.labels) > maxLabels {
		c.all.fail("", "", fmt.Sprintf("has %d labels of traefik. and edgerouter.; at most %d are read", len(c.labels), maxLabels), "")
		c.labels = c.labels[:maxLabels]
	}
	seen := map[string]*label{}
	for _, l := range c.labels {
		if first := seen[l.key]; first != nil {
			l.used = true
			if l.value != first.value {
				c.all.fail(l.name, "", "is there twice: "+first.name+" is the same label", "case does not matter in names of labels")
			}
			continue
		}
		seen[l.key] = l
	}
}

// short cuts a value for display, at a character's border.
func short(s string) string {
	if len(s) <= maxShown {
		return s
	}
	cut := maxShown
	for cut > 0 && s[cut]&0xc0 == 0x80 {
		cut--
	}
	return s[:cut] + "..."
}

// lower makes ASCII letters small and nothing else, so that what it returns has
// its parts where s has them.
func lower(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= 'A' && c <= 'Z' {
			b := []byte(s)
			for j := i; j < len(b); j++ {
				if c := b[j]; c >= 'A' && c <= 'Z' {
					b[j] = c + 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}
