package app

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

func manual(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/applications.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Every example of the manual of middlewares is a good file as it stands; that it
// is served is seen to in gateway.
func TestMiddlewareManualExamples(t *testing.T) {
	text, err := os.ReadFile("../docs/middlewares.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(examples) < 16 {
		t.Fatalf("only %d examples were found", len(examples))
	}
	c := loadSchema(t)
	for _, m := range examples {
		if _, problems := Decode("docs/middlewares.md", []byte(m[1])); len(problems) > 0 {
			t.Errorf("%s\n%v", m[1], problems)
		}
		if errs := c.file([]byte(m[1])); len(errs) > 0 {
			t.Errorf("%s\n%s", m[1], strings.Join(errs, "\n"))
		}
	}
}

// The manual has every field, with its default in the same line.
func TestManualIsComplete(t *testing.T) {
	var lines []string
	for line := range strings.SplitSeq(manual(t), "\n") {
		lines = append(lines, line)
	}
	for _, p := range plans() {
		for _, f := range p.fields {
			for _, name := range []string{f.name, f.alias} {
				if name == "" {
					continue
				}
				found, withDefault := false, false
				for _, line := range lines {
					if strings.Contains(line, "`"+name+"`") {
						found = true
						withDefault = withDefault || strings.Contains(line, "efault `"+f.def+"`")
					}
				}
				if !found {
					t.Errorf("docs/applications.md lacks the field `%s` of %s", name, p.typ.Name())
				} else if f.def != "" && !withDefault && name == f.name && !withPlainDefault(f.def, lines, name) {
					t.Errorf("docs/applications.md does not give the default of `%s`, which is %s", name, f.def)
				}
			}
			for _, value := range f.enum {
				if !strings.Contains(manual(t), value) {
					t.Errorf("docs/applications.md lacks the value %s of %s", value, f.name)
				}
			}
		}
	}
}

// withPlainDefault finds a default that is told in other words: "has 1".
func withPlainDefault(def string, lines []string, name string) bool {
	for _, line := range lines {
		if strings.HasPrefix(line, "| `"+name+"`") && strings.Contains(line, " "+def+",") {
			return true
		}
	}
	return false
}

// Every example of the manual is a good file, or a good part of one.
func TestManualExamples(t *testing.T) {
	examples := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(manual(t), -1)
	if len(examples) < 9 {
		t.Fatalf("only %d examples were found", len(examples))
	}
	c := loadSchema(t)
	for _, m := range examples {
		doc := m[1]
		switch {
		case strings.Contains(doc, `"backend"`):
		case strings.HasPrefix(doc, `{"kind": "rule"`) || strings.HasPrefix(doc, `{"kind": "hostname`):
			doc = `{"id": "a", "frontends": [` + doc + `], "backend": {"kind": "prom_metrics"}}`
		default:
			doc = `{"id": "a", "frontends": [{"kind": "hostname", "hostname": "a.example"}], "backend": ` + doc + `}`
		}
		if _, problems := Decode("docs/applications.md", []byte(doc)); len(problems) > 0 {
			t.Errorf("%s\n%v", m[1], problems)
		}
		if errs := c.file([]byte(doc)); len(errs) > 0 {
			t.Errorf("%s\n%s", m[1], strings.Join(errs, "\n"))
		}
	}
}
