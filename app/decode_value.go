package app

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// wrong notes a problem of the value at offset.
func (d *decoder) wrong(a *at, offset int, value, message, suggestion string) {
	d.findings = append(d.findings, finding{path: a.path(), offset: offset, problem: Problem{Value: shorten(value), Message: message, Suggestion: suggestion}})
}

// object reads the application's object; its parts come back here through
// fields.
func (d *decoder) object(a *Application) {
	d.fields(plans()[typeApplication], reflect.ValueOf(a).Elem(), nil)
}

// fields reads an object into the struct v.
func (d *decoder) fields(p *plan, v reflect.Value, a *at) {
	var byName, byAlias, copied uint64
	start := d.pos
	for first := true; (!first || d.open()) && d.next(first, '}'); first = false {
		name, offset, ok := d.key()
		if !ok {
			return
		}
		i, known := p.byName[string(name)]
		if !known {
			if !(p.typ == typeApplication && string(name) == "$schema") {
				d.unknown(p, a, string(name), offset)
			}
			d.skip()
			continue
		}
		f := &p.fields[i]
		bit := uint64(1) << i
		mine, other := &byName, byAlias
		if string(name) != f.name {
			mine, other = &byAlias, byName
		}
		switch {
		case *mine&bit != 0:
			d.wrong(a.field(f.name), offset, "", "the field is given twice", "")
			d.skip()
		case other&bit != 0:
			d.wrong(a.field(f.name), offset, "", fmt.Sprintf("the field is given twice: %s is the older name of %s", f.alias, f.name), "keep "+f.name)
			d.skip()
		case f.toggle != "" && f.typ.Kind() == reflect.String && isBool(d.peek()):
			if d.word() == "true" {
				copied |= bit
			}
		default:
			d.value(f, f.typ, v.Field(i), a.field(f.name))
		}
		*mine |= bit
	}
	if d.err != nil {
		return
	}
	for i := range p.fields {
		f := &p.fields[i]
		if f.required && f.typ.Kind() == reflect.Bool && (byName|byAlias)&(1<<i) == 0 {
			d.wrong(a.field(f.name), start, "", "is missing", "write true or false")
		}
		if copied&(1<<i) != 0 {
			from := &p.fields[p.byName[f.toggle]]
			if text := v.Field(from.index).String(); text != from.def {
				v.Field(i).SetString(text)
			}
		}
	}
}

func isBool(c byte) bool { return c == 't' || c == 'f' }

// unknown reports a field that the struct does not have. Its value is not
// shown: it may be a secret under a misspelt name.
func (d *decoder) unknown(p *plan, a *at, name string, offset int) {
	f := finding{path: a.field(name).path(), offset: offset, problem: Problem{Message: "unknown field"}}
	if near := nearest(name, p.names); near != "" {
		f.problem.Suggestion = fmt.Sprintf("did you mean %q?", near)
		f.also = a.field(p.fields[p.byName[near]].name).path()
	} else if homes := homesOf(name); homes != "" {
		f.problem.Suggestion = fmt.Sprintf("%s is a field of %s", name, homes)
	} else {
		f.problem.Suggestion = "the fields here are " + strings.Join(p.fieldNames(), ", ")
	}
	d.findings = append(d.findings, f)
}

// value reads what stands at pos into v, whose type is t.
func (d *decoder) value(f *fieldPlan, t reflect.Type, v reflect.Value, a *at) {
	c := d.peek()
	if d.err != nil {
		return
	}
	switch {
	case t == typeDuration || t == typeSize:
		d.measure(t, v, a, c)
	case t.Kind() == reflect.String:
		d.string(f, v, a, c)
	case t.Kind() == reflect.Bool:
		d.bool(v, a, c)
	case t.Kind() == reflect.Int:
		d.int(f, v, a, c)
	case t.Kind() == reflect.Float64:
		d.float(v, a, c)
	case t.Kind() == reflect.Struct:
		if d.expect('{', c, "an object", a) {
			d.fields(f.sub, v, a)
		}
	case t.Kind() == reflect.Pointer:
		if f.toggle != "" && isBool(c) {
			inner := reflect.New(t.Elem())
			inner.Elem().Field(f.sub.byName[f.toggle]).SetBool(d.word() == "true")
			v.Set(inner)
			return
		}
		inner := reflect.New(t.Elem())
		before := len(d.findings)
		d.value(f, t.Elem(), inner.Elem(), a)
		if len(d.findings) == before || t.Elem().Kind() == reflect.Struct {
			v.Set(inner)
		}
	case t.Kind() == reflect.Slice:
		d.list(f, t, v, a, c)
	case t.Kind() == reflect.Map:
		d.entries(f, t, v, a, c)
	}
}

// expect says whether the value begins with want. If not it is skipped and
// reported, without telling it, as it may be all that secrets are part of.
func (d *decoder) expect(want, c byte, wanted string, a *at) bool {
	if c == want {
		return true
	}
	d.mismatch(wanted, c, true, a, "")
	return false
}

// mismatch skips and reports a value of the wrong type.
func (d *decoder) mismatch(wanted string, c byte, hide bool, a *at, suggestion string) {
	start := d.pos
	d.skip()
	if d.err != nil {
		return
	}
	raw := d.shown(start)
	switch {
	case c == 'n':
		if suggestion = "leave the field out"; a.name == "" {
			suggestion = "remove it"
		}
		d.wrong(a, start, "", "want "+wanted+", this is null", suggestion)
		return
	case hide || c == '{' || c == '[':
		raw = ""
	}
	d.wrong(a, start, raw, fmt.Sprintf("want %s, this is %s", wanted, kindOf(c)), suggestion)
}

// shown is the scalar that was read from start up to here as it is told: a
// text without its quotes.
func (d *decoder) shown(start int) string {
	raw := d.data[start:d.pos]
	if raw[0] == '"' {
		again := scanner{data: d.data, pos: start}
		raw = again.text()
	}
	return string(raw)
}

func isNumber(c byte) bool { return c == '-' || c >= '0' && c <= '9' }

func (d *decoder) string(f *fieldPlan, v reflect.Value, a *at, c byte) {
	if c != '"' {
		suggestion := ""
		if isNumber(c) || isBool(c) {
			suggestion = "put it in double quotes"
		}
		d.mismatch("a text", c, f.secret || a.isKey && SecretHeader(a.key), a, suggestion)
		return
	}
	v.SetString(f.intern(d.text()))
}

// intern is the string of a text; the known values of a field are shared.
func (f *fieldPlan) intern(text []byte) string {
	if to, ok := f.enumAlias[string(text)]; ok {
		return to
	}
	for _, known := range f.enum {
		if string(text) == known {
			return known
		}
	}
	return string(text)
}

func (d *decoder) bool(v reflect.Value, a *at, c byte) {
	if !isBool(c) {
		suggestion := ""
		if c == '"' || isNumber(c) {
			suggestion = "write true or false without quotes"
		}
		d.mismatch("true or false", c, false, a, suggestion)
		return
	}
	v.SetBool(d.word() == "true")
}

func (d *decoder) int(f *fieldPlan, v reflect.Value, a *at, c byte) {
	if !isNumber(c) {
		d.mismatch("a whole number", c, false, a, unquoted(c))
		return
	}
	start := d.pos
	raw := string(d.number())
	if d.err != nil {
		return
	}
	n, err := strconv.ParseInt(raw, 10, strconv.IntSize)
	switch {
	case err == nil && n == 0 && f.min != nil && *f.min > 0:
		// Later this could not be told from a field that is absent.
		d.wrong(a, start, raw, "must be at least "+f.minText, "")
	case err == nil:
		v.SetInt(n)
	case strings.ContainsAny(raw, ".eE"):
		d.wrong(a, start, raw, "want a whole number, without a point or an exponent", "")
	default:
		d.wrong(a, start, raw, "the number is too large", "")
	}
}

func (d *decoder) float(v reflect.Value, a *at, c byte) {
	if !isNumber(c) {
		d.mismatch("a number", c, false, a, unquoted(c))
		return
	}
	start := d.pos
	raw := string(d.number())
	if d.err != nil {
		return
	}
	n, err := strconv.ParseFloat(raw, 64)
	if err != nil || math.IsInf(n, 0) {
		d.wrong(a, start, raw, "the number is too large", "")
		return
	}
	v.SetFloat(n)
}

func unquoted(c byte) string {
	if c == '"' {
		return "write it without quotes"
	}
	return ""
}

// measure reads a Duration or a Size.
func (d *decoder) measure(t reflect.Type, v reflect.Value, a *at, c byte) {
	wanted := "a length of time"
	if t == typeSize {
		wanted = "a size"
	}
	if c != '"' && !isNumber(c) {
		d.mismatch(wanted, c, false, a, "")
		return
	}
	start := d.pos
	var text string
	if c == '"' {
		text = string(d.text())
	} else if raw := d.number(); d.err == nil {
		text, _ = numberOrString(raw)
	}
	if d.err != nil {
		return
	}
	var n int64
	var err error
	if t == typeSize {
		var s Size
		s, err = ParseSize(text)
		n = int64(s)
	} else {
		var l Duration
		l, err = ParseDuration(text)
		n = int64(l)
	}
	if err != nil {
		d.wrong(a, start, d.shown(start), err.Error(), "")
		return
	}
	v.SetInt(n)
}

func (d *decoder) list(f *fieldPlan, t reflect.Type, v reflect.Value, a *at, c byte) {
	if c != '[' {
		suggestion := ""
		if c == '"' && !f.secret || c == '{' {
			suggestion = "put it in square brackets"
		}
		d.mismatch("a list", c, f.secret || f.sub != nil, a, suggestion)
		return
	}
	if t == typeStrings {
		d.strings(f, v, a)
		return
	}
	out := reflect.MakeSlice(t, 0, 1)
	zero := reflect.Zero(t.Elem())
	for i := 0; (i > 0 || d.open()) && d.next(i == 0, ']'); i++ {
		out = reflect.Append(out, zero)
		d.value(f, t.Elem(), out.Index(i), a.item(i))
	}
	v.Set(out)
}

// strings is list for the most common type, without reflection.
func (d *decoder) strings(f *fieldPlan, v reflect.Value, a *at) {
	out := []string{}
	for i := 0; (i > 0 || d.open()) && d.next(i == 0, ']'); i++ {
		if d.peek() == '"' {
			out = append(out, f.intern(d.text()))
			continue
		}
		var other string
		d.value(f, reflect.TypeFor[string](), reflect.ValueOf(&other).Elem(), a.item(i))
		out = append(out, other)
	}
	v.Set(reflect.ValueOf(out))
}

// entries reads an object into a map.
func (d *decoder) entries(f *fieldPlan, t reflect.Type, v reflect.Value, a *at, c byte) {
	if !d.expect('{', c, "an object", a) {
		return
	}
	out := reflect.MakeMap(t)
	for first := true; (!first || d.open()) && d.next(first, '}'); first = false {
		raw, offset, ok := d.key()
		if !ok {
			return
		}
		name := string(raw)
		key := reflect.ValueOf(name)
		if out.MapIndex(key).IsValid() {
			d.wrong(a.entry(name), offset, "", "the entry is given twice", "")
			d.skip()
			continue
		}
		elem := reflect.New(t.Elem()).Elem()
		d.value(f, t.Elem(), elem, a.entry(name))
		out.SetMapIndex(key, elem)
	}
	v.Set(out)
}
