package app

import (
	"reflect"
	"strings"
)

// Redact is a copy of the application that can be shown: each secret, and each
// value of a header that SecretHeader knows, is replaced by its Redacted form,
// and what stands before the host of a URL, which only definitions with problems
// have, by "***". It shares no memory with a.
func Redact(a Application) Application {
	return rewrite(a, rewriter{
		secret: func(s Secret, _ *at) Secret { return Secret(s.Redacted()) },
		text: func(s string) string {
			_, rest, _ := strings.Cut(s, "://")
			if host, _, _ := strings.Cut(rest, "/"); strings.Contains(host, "@") {
				return withoutCredentials(s)
			}
			return s
		},
	})
}

// ResolveAll is a copy of the application in which each secret, and each value
// of a header that SecretHeader knows, is what Resolve makes of it. Its problems
// are the secrets that cannot be read; the copy has their references still.
// What it returns must not be shown or logged.
func ResolveAll(a Application, readFile func(string) ([]byte, error), getenv func(string) (string, bool)) (Application, []Problem) {
	var problems []Problem
	resolved := rewrite(a, rewriter{secret: func(s Secret, place *at) Secret {
		text, err := Resolve(s, readFile, getenv)
		if err != nil {
			problems = append(problems, Problem{App: a.ID, Field: place.path().String(), Message: err.Error()})
			return s
		}
		return Secret(text)
	}})
	return resolved, problems
}

// rewriter is what becomes of secrets and of other texts; text may be nil.
type rewriter struct {
	secret func(Secret, *at) Secret
	text   func(string) string
}

// rewrite copies the application deeply and replaces its secrets.
func rewrite(a Application, r rewriter) Application {
	var out Application
	r.copyInto(reflect.ValueOf(&out).Elem(), reflect.ValueOf(&a).Elem(), plans()[typeApplication], nil)
	return out
}

func (r *rewriter) copyInto(dst, src reflect.Value, p *plan, place *at) {
	switch src.Kind() {
	case reflect.Struct:
		for i := range p.fields {
			f := &p.fields[i]
			r.copyInto(dst.Field(i), src.Field(i), f.sub, place.field(f.name))
		}
	case reflect.Pointer:
		if !src.IsNil() {
			dst.Set(reflect.New(src.Type().Elem()))
			r.copyInto(dst.Elem(), src.Elem(), p, place)
		}
	case reflect.Slice:
		if !src.IsNil() {
			dst.Set(reflect.MakeSlice(src.Type(), src.Len(), src.Len()))
			for i := range src.Len() {
				r.copyInto(dst.Index(i), src.Index(i), p, place.item(i))
			}
		}
	case reflect.Map:
		if !src.IsNil() {
			dst.Set(reflect.MakeMapWithSize(src.Type(), src.Len()))
			for entry := src.MapRange(); entry.Next(); {
				name, value := entry.Key().String(), entry.Value()
				if value.Kind() == reflect.String && SecretHeader(name) {
					value = reflect.ValueOf(string(r.secret(Secret(value.String()), place.entry(name))))
				}
				dst.SetMapIndex(entry.Key(), value)
			}
		}
	default:
		if src.Type() == typeSecret {
			dst.SetString(string(r.secret(Secret(src.String()), place)))
			return
		}
		if src.Kind() == reflect.String && r.text != nil {
			dst.SetString(r.text(src.String()))
			return
		}
		dst.Set(src)
	}
}
