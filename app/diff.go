package app

import (
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// ChangeKind is what happened to an application between two sets.
type ChangeKind string

// What can happen to an application.
const (
	Added   ChangeKind = "added"
	Removed ChangeKind = "removed"
	Changed ChangeKind = "changed"
)

// Change is what happened to one application between two sets.
type Change struct {
	ID   string     `json:"id"`
	Kind ChangeKind `json:"kind"`
	// Details are, for a changed application, its fields as "path: old -> new"
	// (or "+ new", "- old"), and for others its description. Secrets are redacted.
	Details []string `json:"details,omitempty"`
}

// String tells the change in one line: changed shop: backend.peer_set_opts.policy: "p2c" -> "hash".
func (c Change) String() string {
	return clean(string(c.Kind) + " " + c.ID + ": " + strings.Join(c.Details, "; "))
}

// Diff tells what changed between two sets, by id; applications that are Equal
// are not mentioned, and neither is a different order. Of several with one id
// the first counts.
func Diff(old, new []Application) []Change {
	before := byID(old)
	after := byID(new)
	var changes []Change
	for id, a := range after {
		b, was := before[id]
		switch {
		case !was:
			changes = append(changes, Change{ID: id, Kind: Added, Details: []string{Describe(*a)}})
		case a != b && !Equal(*a, *b):
			changes = append(changes, Change{ID: id, Kind: Changed, Details: details(*b, *a)})
		}
	}
	for id, b := range before {
		if _, is := after[id]; !is {
			changes = append(changes, Change{ID: id, Kind: Removed, Details: []string{Describe(*b)}})
		}
	}
	sort.Slice(changes, func(i, j int) bool { return changes[i].ID < changes[j].ID })
	return changes
}

func byID(apps []Application) map[string]*Application {
	m := make(map[string]*Application, len(apps))
	for i := range apps {
		if _, ok := m[apps[i].ID]; !ok {
			m[apps[i].ID] = &apps[i]
		}
	}
	return m
}

// details lists the fields that differ between two versions of an application.
func details(old, new Application) []string {
	var d differ
	d.object(plans()[typeApplication], reflect.ValueOf(old), reflect.ValueOf(new), nil)
	return d.out
}

type differ struct{ out []string }

func (d *differ) note(place *at, text string) {
	d.out = append(d.out, place.path().String()+": "+text)
}

// change notes two texts, of which an absent one is "".
func (d *differ) change(place *at, old, new string) {
	switch {
	case old == "":
		d.note(place, "+ "+new)
	case new == "":
		d.note(place, "- "+old)
	default:
		d.note(place, old+" -> "+new)
	}
}

func (d *differ) object(p *plan, old, new reflect.Value, place *at) {
	for i := range p.fields {
		f := &p.fields[i]
		if a, b := old.Field(i), new.Field(i); !equal(a, b) {
			d.field(f, a, b, place.field(f.name))
		}
	}
}

// field notes how two values of a field differ, which they do.
func (d *differ) field(f *fieldPlan, old, new reflect.Value, place *at) {
	switch old.Kind() {
	case reflect.Struct:
		d.object(f.sub, old, new, place)
	case reflect.Pointer:
		if f.sub != nil && !old.IsNil() && !new.IsNil() {
			d.object(f.sub, old.Elem(), new.Elem(), place)
			return
		}
		if f.sub == nil {
			d.change(place, show(old), show(new))
			return
		}
		d.options(f, old, new, place)
	case reflect.Slice:
		d.list(f, old, new, place)
	case reflect.Map:
		d.entries(old, new, place)
	default:
		d.change(place, show(old), show(new))
	}
}

// options notes a whole object that came or went, by its fields.
func (d *differ) options(f *fieldPlan, old, new reflect.Value, place *at) {
	empty := reflect.Zero(f.sub.typ)
	sign, before := "+", len(d.out)
	if old.IsNil() {
		d.object(f.sub, empty, new.Elem(), place)
	} else {
		sign = "-"
		d.object(f.sub, old.Elem(), empty, place)
	}
	if len(d.out) == before {
		d.note(place, sign+" {}")
	}
}

func (d *differ) list(f *fieldPlan, old, new reflect.Value, place *at) {
	if f.sub != nil {
		d.objects(f, old, new, place)
		return
	}
	gone, come := only(old, new), only(new, old)
	if len(gone)+len(come) == 0 {
		d.note(place, "another order: "+showList(new))
		return
	}
	for i := range max(len(gone), len(come)) {
		var a, b string
		if i < len(gone) {
			a = gone[i]
		}
		if i < len(come) {
			b = come[i]
		}
		d.change(place, a, b)
	}
}

// objects compares two lists of objects element by element.
func (d *differ) objects(f *fieldPlan, old, new reflect.Value, place *at) {
	for i := range max(old.Len(), new.Len()) {
		a, b := reflect.Zero(f.sub.typ), reflect.Zero(f.sub.typ)
		if i < old.Len() {
			a = old.Index(i)
		}
		if i < new.Len() {
			b = new.Index(i)
		}
		d.object(f.sub, a, b, place.item(i))
	}
}

func (d *differ) entries(old, new reflect.Value, place *at) {
	var names []string
	for _, m := range [...]reflect.Value{old, new} {
		for _, k := range m.MapKeys() {
			names = append(names, k.String())
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		key := reflect.ValueOf(name)
		a, b := old.MapIndex(key), new.MapIndex(key)
		if a.IsValid() && b.IsValid() && equal(a, b) {
			continue
		}
		d.change(place.entry(name), showEntry(name, a), showEntry(name, b))
	}
}

// only are the elements of a that are not in b, as often as they are missing.
func only(a, b reflect.Value) []string {
	have := map[string]int{}
	for i := range b.Len() {
		have[b.Index(i).String()]++
	}
	var out []string
	for i := range a.Len() {
		raw := a.Index(i).String()
		if have[raw]--; have[raw] < 0 {
			out = append(out, show(a.Index(i)))
		}
	}
	return out
}

func showList(v reflect.Value) string {
	elems := make([]string, v.Len())
	for i := range elems {
		elems[i] = show(v.Index(i))
	}
	return listed(elems)
}

func showEntry(name string, v reflect.Value) string {
	if v.IsValid() && v.Kind() == reflect.String && SecretHeader(name) {
		return strconv.Quote(Secret(v.String()).Redacted())
	}
	if v.IsValid() && v.Kind() == reflect.String {
		return strconv.Quote(shorten(v.String()))
	}
	if v.IsValid() {
		return strconv.FormatInt(v.Int(), 10)
	}
	return ""
}

// show writes a scalar for people; "" when it is absent.
func show(v reflect.Value) string {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return ""
		}
		return strconv.FormatInt(v.Elem().Int(), 10)
	}
	switch {
	case v.IsZero() && v.Kind() != reflect.Bool:
		return ""
	case v.Type() == typeSecret:
		return strconv.Quote(Secret(v.String()).Redacted())
	case v.Type() == typeDuration:
		return Duration(v.Int()).String()
	case v.Type() == typeSize:
		return Size(v.Int()).String()
	}
	switch v.Kind() {
	case reflect.String:
		return strconv.Quote(shorten(v.String()))
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	}
	return strconv.FormatInt(v.Int(), 10)
}
