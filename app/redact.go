package app

import "reflect"

// Redact is a copy of the application that can be shown: each secret, and each
// value of a header that SecretHeader knows, is replaced by its Redacted form.
// It shares no memory with a.
func Redact(a Application) Application {
	return rewrite(a, func(s Secret, _ *at) Secret { return Secret(s.Redacted()) })
}

// ResolveAll is a copy of the application in which each secret, and each value
// of a header that SecretHeader knows, is what Resolve makes of it. Its problems
// are the secrets that cannot be read; the copy has their references still.
// What it returns must not be shown or logged.
func ResolveAll(a Application, readFile func(string) ([]byte, error), getenv func(string) (string, bool)) (Application, []Problem) {
	var problems []Problem
	resolved := rewrite(a, func(s Secret, place *at) Secret {
		text, err := Resolve(s, readFile, getenv)
		if err != nil {
			problems = append(problems, Problem{App: a.ID, Field: place.path().String(), Message: err.Error()})
			return s
		}
		return Secret(text)
	})
	return resolved, problems
}

// rewrite copies the application deeply and replaces its secrets.
func rewrite(a Application, replace func(Secret, *at) Secret) Application {
	var out Application
	copyInto(reflect.ValueOf(&out).Elem(), reflect.ValueOf(&a).Elem(), plans()[typeApplication], nil, replace)
	return out
}

func copyInto(dst, src reflect.Value, p *plan, place *at, replace func(Secret, *at) Secret) {
	switch src.Kind() {
	case reflect.Struct:
		for i := range p.fields {
			f := &p.fields[i]
			copyInto(dst.Field(i), src.Field(i), f.sub, place.field(f.name), replace)
		}
	case reflect.Pointer:
		if !src.IsNil() {
			dst.Set(reflect.New(src.Type().Elem()))
			copyInto(dst.Elem(), src.Elem(), p, place, replace)
		}
	case reflect.Slice:
		if !src.IsNil() {
			dst.Set(reflect.MakeSlice(src.Type(), src.Len(), src.Len()))
			for i := range src.Len() {
				copyInto(dst.Index(i), src.Index(i), p, place.item(i), replace)
			}
		}
	case reflect.Map:
		if !src.IsNil() {
			dst.Set(reflect.MakeMapWithSize(src.Type(), src.Len()))
			for entry := src.MapRange(); entry.Next(); {
				name, value := entry.Key().String(), entry.Value()
				if value.Kind() == reflect.String && SecretHeader(name) {
					value = reflect.ValueOf(string(replace(Secret(value.String()), place.entry(name))))
				}
				dst.SetMapIndex(entry.Key(), value)
			}
		}
	default:
		if src.Type() == typeSecret {
			dst.SetString(string(replace(Secret(src.String()), place)))
			return
		}
		dst.Set(src)
	}
}
