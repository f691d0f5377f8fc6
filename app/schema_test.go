package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const schemaFile = "../docs/application.schema.json"

// TestSchema keeps docs/application.schema.json what the types say.
func TestSchema(t *testing.T) {
	golden(t, schemaFile, string(schema(t)))
}

// member is a field of a JSON object that keeps its place.
type member struct {
	key   string
	value any
}

// object is a JSON object in the order in which it is written.
type object []member

func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		var value bytes.Buffer
		e := json.NewEncoder(&value)
		e.SetEscapeHTML(false)
		if err := e.Encode(m.value); err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%q:%s", m.key, bytes.TrimSpace(value.Bytes()))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func (o *object) put(key string, value any) { *o = append(*o, member{key, value}) }

// get finds the value of a key, or makes it an empty object.
func (o *object) get(key string) *object {
	for i := range *o {
		if (*o)[i].key == key {
			return (*o)[i].value.(*object)
		}
	}
	made := &object{}
	o.put(key, made)
	return made
}

func ref(name string) object { return object{{"$ref", "#/$defs/" + name}} }

// schema writes the JSON schema (draft 2020-12) of an application file, from the
// types, their tags and their comments.
func schema(t testing.TB) []byte {
	docs := comments(t)
	root := object{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"title", "edgerouter applications"},
		{"description", "A file of applications, or one application by itself. Made from the Go types of app/ by go generate; do not edit."},
		{"type", "object"},
		{"if", object{{"required", []string{"apps"}}}},
		{"then", ref("File")},
		{"else", ref("Application")},
	}
	defs := object{
		{"File", object{
			{"description", "A file of applications."},
			{"type", "object"},
			{"additionalProperties", false},
			{"required", []string{"apps"}},
			{"properties", object{
				{"$schema", object{{"type", "string"}}},
				{"apps", object{{"description", "The applications; ids are unique."}, {"type", "array"}, {"items", ref("Application")}}},
			}},
		}},
		{"Duration", object{
			{"description", `A length of time, at most ten years: "500ms", "5s", "1h30m", "7d", or a number of seconds.`},
			{"anyOf", []object{
				{{"type", "string"}, {"pattern", `^ *([0-9]+(\.[0-9]*)?|\.[0-9]+|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h|d))+) *$`}},
				{{"type", "number"}, {"minimum", 0}, {"maximum", MaxDuration.Std().Seconds()}},
			}},
		}},
		{"Size", object{
			{"description", `A number of bytes, or a number with a unit: "64KiB", "1MiB" (powers of 1024), "10MB" (powers of 1000).`},
			{"anyOf", []object{
				{{"type", "string"}, {"pattern", `^ *([0-9]+(\.[0-9]*)?|\.[0-9]+) *([kKmMgGtT][iI]?)?[bB]? *$`}},
				{{"type", "integer"}, {"minimum", 0}, {"maximum", int64(MaxSize)}},
			}},
		}},
		{"Secret", object{
			{"description", "A password, token or key: the value itself, or file:PATH or env:NAME where it is."},
			{"type", "string"},
		}},
	}
	seen := map[*plan]bool{}
	var add func(p *plan)
	add = func(p *plan) {
		if seen[p] {
			return
		}
		seen[p] = true
		defs.put(p.typ.Name(), structSchema(t, p, docs))
		for _, f := range p.fields {
			if f.sub != nil {
				add(f.sub)
			}
		}
	}
	add(plans()[typeApplication])
	root.put("$defs", defs)
	raw, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, raw, "", "  "); err != nil {
		t.Fatal(err)
	}
	// The encoder of encoding/json escapes what MarshalJSON returns for HTML.
	text := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(out.String())
	return []byte(text + "\n")
}

func structSchema(t testing.TB, p *plan, docs map[string]string) object {
	name := p.typ.Name()
	out := object{{"description", docs[name]}, {"type", "object"}, {"additionalProperties", false}}
	properties, dependent := object{}, object{}
	if p.typ == typeApplication {
		properties.put("$schema", object{{"type", "string"}})
	}
	var required []string
	var all []object
	for i, f := range p.fields {
		doc := docs[name+"."+p.typ.Field(i).Name]
		if doc == "" {
			t.Errorf("%s.%s has no comment", name, p.typ.Field(i).Name)
		}
		properties.put(f.name, fieldSchema(t, &f, doc))
		switch {
		case f.alias != "":
			properties.put(f.alias, fieldSchemaOlder(t, &f))
			dependent.get(f.alias).get("properties").put(f.name, false)
			if f.required {
				all = append(all, object{{"anyOf", []object{{{"required", []string{f.name}}}, {{"required", []string{f.alias}}}}}})
			}
		case f.required:
			required = append(required, f.name)
		}
	}
	if required != nil {
		out.put("required", required)
	}
	out.put("properties", properties)
	all = append(all, kindSchema(p, &dependent)...)
	if len(dependent) > 0 {
		out.put("dependentSchemas", dependent)
	}
	if len(all) > 0 {
		out.put("allOf", all)
	}
	return out
}

// kindSchema says which fields a kind needs, and adds to dependent which kind a
// field needs.
func kindSchema(p *plan, dependent *object) (all []object) {
	i, ok := p.byName["kind"]
	if !ok {
		return nil
	}
	when := func(kinds []string, then object) object {
		return object{{"if", object{{"required", []string{"kind"}}, {"properties", object{{"kind", object{{"enum", kinds}}}}}}}, {"then", then}}
	}
	for _, kind := range p.fields[i].enum {
		kinds, field := []string{kind}, kind+"_opts"
		for older, newer := range p.fields[i].enumAlias {
			if newer == kind {
				kinds = append(kinds, older)
			}
		}
		if p.typ == reflect.TypeFor[Frontend]() {
			field = kind
		}
		j, ok := p.byName[field]
		if !ok {
			continue
		}
		names := []string{field}
		if alias := p.fields[j].alias; alias != "" {
			names = append(names, alias)
		}
		var choices []object
		for _, name := range names {
			choices = append(choices, object{{"required", []string{name}}})
			if field != "path_prefix" {
				dependent.get(name).get("properties").put("kind", object{{"enum", kinds}})
			}
		}
		switch {
		case kind == string(MiddlewareCompress):
		case len(choices) == 1:
			all = append(all, when(kinds, choices[0]))
		default:
			all = append(all, when(kinds, object{{"anyOf", choices}}))
		}
	}
	if p.typ == reflect.TypeFor[Frontend]() {
		all = append(all, when([]string{"rule"}, object{{"properties", object{{"path_prefix", false}}}}))
	}
	return all
}

func fieldSchema(t testing.TB, f *fieldPlan, doc string) object {
	out := object{{"description", doc}}
	value := valueSchema(t, f, f.typ)
	if f.toggle != "" {
		value = object{{"anyOf", []object{{{"type", "boolean"}}, value}}}
	}
	out = append(out, value...)
	if f.def != "" && f.typ.Kind() != reflect.Map {
		out.put("default", defaultOf(t, f, f.typ))
	}
	return out
}

func fieldSchemaOlder(t testing.TB, f *fieldPlan) object {
	return append(object{{"description", "The older name of " + f.name + "."}, {"deprecated", true}}, valueSchema(t, f, f.typ)...)
}

func valueSchema(t testing.TB, f *fieldPlan, typ reflect.Type) object {
	switch {
	case typ == typeSecret && f.required:
		return append(ref(typ.Name()), member{"minLength", 1})
	case typ == typeDuration || typ == typeSize || typ == typeSecret || typ.Kind() == reflect.Struct:
		return ref(typ.Name())
	case typ.Kind() == reflect.Pointer:
		return valueSchema(t, f, typ.Elem())
	case typ.Kind() == reflect.Bool:
		return object{{"type", "boolean"}}
	case typ.Kind() == reflect.Slice:
		out := object{{"type", "array"}}
		if f.required {
			out.put("minItems", 1)
		}
		return append(out, member{"items", valueSchema(t, f, typ.Elem())})
	case typ.Kind() == reflect.Map:
		return object{{"type", "object"}, {"additionalProperties", valueSchema(t, f, typ.Elem())}}
	case typ.Kind() == reflect.String:
		out := object{{"type", "string"}}
		if f.enum != nil {
			values := slices.Clone(f.enum)
			for older := range f.enumAlias {
				values = append(values, older)
			}
			out.put("enum", values)
		} else if f.required && f.typ.Kind() == reflect.String {
			out.put("minLength", 1)
		}
		return out
	case typ.Kind() == reflect.Int || typ.Kind() == reflect.Float64:
		out := object{{"type", "number"}}
		if typ.Kind() == reflect.Int {
			out = object{{"type", "integer"}}
		}
		if f.enum != nil {
			var values []int
			for _, e := range f.enum {
				n, err := strconv.Atoi(e)
				if err != nil {
					t.Fatal(err)
				}
				values = append(values, n)
			}
			out.put("enum", values)
		}
		if f.min != nil {
			out.put("minimum", *f.min)
		}
		if f.max != nil {
			out.put("maximum", *f.max)
		}
		return out
	}
	t.Fatalf("no schema for %s", typ)
	return nil
}

// defaultOf is the default tag in the JSON type of the field.
func defaultOf(t testing.TB, f *fieldPlan, typ reflect.Type) any {
	switch typ.Kind() {
	case reflect.Pointer:
		return defaultOf(t, f, typ.Elem())
	case reflect.Slice:
		return strings.Split(f.def, ",")
	case reflect.Bool:
		return f.def == "true"
	case reflect.Int:
		n, err := strconv.Atoi(f.def)
		if err != nil {
			t.Fatalf("default of %s: %v", f.name, err)
		}
		return n
	}
	switch typ {
	case typeDuration:
		if _, err := ParseDuration(f.def); err != nil {
			t.Fatalf("default of %s: %v", f.name, err)
		}
	case typeSize:
		n, err := ParseSize(f.def)
		if err != nil {
			t.Fatalf("default of %s: %v", f.name, err)
		}
		return n
	}
	return f.def
}
