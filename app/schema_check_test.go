package app

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// schemaChecker is as much of JSON schema as docs/application.schema.json uses.
// A keyword that it does not know is a failure.
type schemaChecker struct {
	t    testing.TB
	root map[string]any
}

func loadSchema(t testing.TB) *schemaChecker {
	data, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	c := &schemaChecker{t: t}
	if err := json.Unmarshal(data, &c.root); err != nil {
		t.Fatal(err)
	}
	return c
}

// file says what the schema has against a document; nil for nothing.
func (c *schemaChecker) file(doc []byte) []string {
	var v any
	if err := json.Unmarshal(doc, &v); err != nil {
		return []string{err.Error()}
	}
	return c.check(c.root, v, "")
}

func (c *schemaChecker) check(schema any, v any, path string) (errs []string) {
	if allowed, ok := schema.(bool); ok {
		if !allowed {
			return []string{path + ": not allowed"}
		}
		return nil
	}
	s := schema.(map[string]any)
	bad := func(format string, args ...any) {
		errs = append(errs, path+": "+fmt.Sprintf(format, args...))
	}
	good := func(schema any) bool { return len(c.check(schema, v, path)) == 0 }
	object, isObject := v.(map[string]any)
	for keyword, arg := range s {
		switch keyword {
		case "$schema", "$defs", "title", "description", "default", "deprecated", "then", "else":
		case "$ref":
			name := strings.TrimPrefix(arg.(string), "#/$defs/")
			def, ok := c.root["$defs"].(map[string]any)[name]
			if !ok {
				c.t.Fatalf("the schema has no %s", arg)
			}
			errs = append(errs, c.check(def, v, path)...)
		case "type":
			if !hasType(v, arg.(string)) {
				bad("not of type %s", arg)
			}
		case "enum":
			if !slices.ContainsFunc(arg.([]any), func(e any) bool { return reflect.DeepEqual(e, v) }) {
				bad("not in %v", arg)
			}
		case "minimum":
			if n, ok := v.(float64); ok && n < arg.(float64) {
				bad("less than %v", arg)
			}
		case "maximum":
			if n, ok := v.(float64); ok && n > arg.(float64) {
				bad("more than %v", arg)
			}
		case "minLength":
			if text, ok := v.(string); ok && utf8.RuneCountInString(text) < int(arg.(float64)) {
				bad("too short")
			}
		case "pattern":
			if text, ok := v.(string); ok && !regexp.MustCompile(arg.(string)).MatchString(text) {
				bad("%q does not match %s", text, arg)
			}
		case "minItems":
			if list, ok := v.([]any); ok && len(list) < int(arg.(float64)) {
				bad("too few elements")
			}
		case "items":
			if list, ok := v.([]any); ok {
				for i, e := range list {
					errs = append(errs, c.check(arg, e, fmt.Sprintf("%s[%d]", path, i))...)
				}
			}
		case "properties":
			for name, part := range arg.(map[string]any) {
				if value, ok := object[name]; ok {
					errs = append(errs, c.check(part, value, path+"."+name)...)
				}
			}
		case "additionalProperties":
			known, _ := s["properties"].(map[string]any)
			for name, value := range object {
				if _, ok := known[name]; !ok {
					errs = append(errs, c.check(arg, value, path+"."+name)...)
				}
			}
		case "required":
			for _, name := range arg.([]any) {
				if _, ok := object[name.(string)]; isObject && !ok {
					bad("%s is missing", name)
				}
			}
		case "dependentSchemas":
			for name, then := range arg.(map[string]any) {
				if _, ok := object[name]; ok {
					errs = append(errs, c.check(then, v, path)...)
				}
			}
		case "allOf":
			for _, part := range arg.([]any) {
				errs = append(errs, c.check(part, v, path)...)
			}
		case "anyOf":
			if !slices.ContainsFunc(arg.([]any), good) {
				bad("matches none of the alternatives")
			}
		case "if":
			branch := "else"
			if good(arg) {
				branch = "then"
			}
			if then, ok := s[branch]; ok {
				errs = append(errs, c.check(then, v, path)...)
			}
		default:
			c.t.Fatalf("the schema has the keyword %q, which this test does not know", keyword)
		}
	}
	return errs
}

func hasType(v any, name string) bool {
	switch v := v.(type) {
	case map[string]any:
		return name == "object"
	case []any:
		return name == "array"
	case string:
		return name == "string"
	case bool:
		return name == "boolean"
	case float64:
		return name == "number" || name == "integer" && v == math.Trunc(v)
	}
	return name == "null"
}

// specExamples are the examples of shared/specs/app-config.md, and definitions
// that the event stream has held.
var specExamples = []string{
	`{"id": "example.com", "frontends": [{"kind": "hostname", "hostname": "example.com", "path_prefix": "/"}],
	  "backend": {"kind": "peer_set", "peer_set_opts": {"addrs": ["http://192.168.1.2", "http://192.168.1.3:8080"]}}}`,
	`{"id":"example.com-api","frontends":[{"kind":"hostname","hostname":"example.com","path_prefix":"/api"}],
	  "backend":{"kind":"reverse_proxy","reverse_proxy_opts":{"origins":["http://127.0.0.1:9102"],"pass_host_header":true}}}`,
}

// What Decode takes, the schema takes.
func TestSchemaTakes(t *testing.T) {
	c := loadSchema(t)
	fullText, err := os.ReadFile("testdata/full.json")
	if err != nil {
		t.Fatal(err)
	}
	written, err := json.Marshal(map[string]any{"apps": full(t)})
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range append(specExamples, string(fullText), string(written), `{"apps": []}`) {
		if _, problems := Decode("f", []byte(doc)); len(problems) > 0 {
			t.Errorf("%s\n%v", shorten(doc), problems)
		}
		if errs := c.file([]byte(doc)); len(errs) > 0 {
			t.Errorf("%s\n%s", shorten(doc), strings.Join(errs, "\n"))
		}
	}
}

// What the schema refuses, Decode refuses; and the schema refuses these.
func TestSchemaRefuses(t *testing.T) {
	c := loadSchema(t)
	refused := map[string]bool{}
	for _, in := range problemInputs(t) {
		refused[in.title] = len(c.file([]byte(in.data))) > 0
	}
	for _, title := range []string{
		"file a list", "file unknown field", "file apps an object", "file no id", "file everything missing", "file one bad of three",
		"app id a number", "app null", "app unknown far from anything", "app no frontends",
		"frontend kind missing", "frontend kind unknown", "frontend hostname missing", "frontend camel case", "frontend wrong field", "frontend prefix in a rule", "frontend prefix missing",
		"frontend strip a number", "frontend bool as text", "frontend priority fraction", "frontend priority text", "frontend priority out of bounds",
		"backend kind missing", "backend kind unknown", "backend options missing", "backend options of another kind", "backend options where none belong", "backend alias and name",
		"backend aliased names in paths", "backend secret a number", "backend secret misspelt", "backend secret empty", "backend nested problem", "backend oidc", "backend lambda", "backend lambda missing", "backend redirect code",
		"peers none", "peers address a number", "peers one text", "peers origins twice", "peers policy", "peers header a number", "peers durations", "peers durations again", "peers sizes",
		"peers caching without enabled", "peers caching a number", "peers explicit zeros", "peers retries", "peers limits", "peers sticky",
		"middleware kind missing", "middleware kind unknown", "middleware options missing", "middleware redirect scheme", "middleware rate", "middleware rate missing", "middleware in flight", "middleware retry",
		"middleware compress", "middleware certificate",
	} {
		if !refused[title] {
			t.Errorf("the schema takes %q of testdata/problems.txt", title)
		}
	}
}
