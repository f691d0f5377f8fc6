package app

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// comments are the doc comments of the package's types and fields, by "Type" and
// "Type.Field", as one line each and with the fields' JSON names in them.
func comments(t testing.TB) map[string]string {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	names := jsonNames()
	identifier := regexp.MustCompile(`\b[A-Z][A-Za-z0-9]+\b`)
	hump := regexp.MustCompile(`[a-z][A-Z]|[A-Z]{2}[a-z]`)
	plain := func(typ, text string) string {
		text = strings.Join(strings.Fields(text), " ")
		return identifier.ReplaceAllStringFunc(text, func(word string) string {
			if !hump.MatchString(word) {
				return word
			}
			for _, key := range []string{typ + "." + word, word} {
				if name, ok := names[key]; ok {
					return name
				}
			}
			return word
		})
	}
	out := map[string]string{}
	set := token.NewFileSet()
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(set, file, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range parsed.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok || gen.Tok != token.TYPE {
				continue
			}
			spec := gen.Specs[0].(*ast.TypeSpec)
			out[spec.Name.Name] = plain(spec.Name.Name, gen.Doc.Text())
			body, ok := spec.Type.(*ast.StructType)
			if !ok {
				continue
			}
			for _, field := range body.Fields.List {
				for _, name := range field.Names {
					out[spec.Name.Name+"."+name.Name] = plain(spec.Name.Name, field.Doc.Text())
				}
			}
		}
	}
	return out
}

// jsonNames are the names in JSON of fields, by "Type.Field" and by "Field", and of
// types, by the first field that holds one.
func jsonNames() map[string]string {
	names := map[string]string{}
	seen := map[*plan]bool{}
	var walk func(p *plan)
	walk = func(p *plan) {
		if seen[p] {
			return
		}
		seen[p] = true
		for i, f := range p.fields {
			goName := p.typ.Field(i).Name
			names[p.typ.Name()+"."+goName] = f.name
			if _, ok := names[goName]; !ok {
				names[goName] = f.name
			}
			if f.sub != nil {
				if _, ok := names[f.sub.typ.Name()]; !ok {
					names[f.sub.typ.Name()] = f.name
				}
				walk(f.sub)
			}
		}
	}
	walk(plans()[typeApplication])
	return names
}

// The constants of the kinds are what the enum tags say.
func TestEnumTags(t *testing.T) {
	constants := map[string][]string{}
	set := token.NewFileSet()
	for _, file := range []string{"application.go", "backend.go", "peerset.go", "middleware.go"} {
		parsed, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok {
				if typ, ok := spec.Type.(*ast.Ident); ok {
					value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
					if err != nil {
						t.Fatal(err)
					}
					constants[typ.Name] = append(constants[typ.Name], value)
				}
			}
			return true
		})
	}
	for _, p := range plans() {
		for _, f := range p.fields {
			if want, ok := constants[f.typ.Name()]; ok {
				if !slices.Equal(f.enum, want) {
					t.Errorf("%s.%s has the enum %v, its constants are %v", p.typ.Name(), f.name, f.enum, want)
				}
				delete(constants, f.typ.Name())
			}
		}
	}
	if len(constants) > 0 {
		t.Errorf("no field has the type of %v", constants)
	}
}

// Documented defaults are allowed values.
func TestDefaultTags(t *testing.T) {
	for _, p := range plans() {
		for _, f := range p.fields {
			if f.def == "" || f.enum == nil {
				continue
			}
			for _, value := range strings.Split(f.def, ",") {
				if !slices.Contains(f.enum, value) {
					t.Errorf("%s.%s has the default %q, which is not in %v", p.typ.Name(), f.name, value, f.enum)
				}
			}
		}
	}
}
