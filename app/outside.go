package app

import (
	"fmt"
	"reflect"
	"strings"
)

// Outside lists the fields of an application that are read from files or the
// environment of the edge, such as "middlewares[0].basic_auth_opts.users_file":
// secrets given as file: or env: and paths of files.
func Outside(a Application) []string {
	var fields []string
	outside(reflect.ValueOf(a), "", &fields)
	return fields
}

func outside(v reflect.Value, at string, fields *[]string) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			outside(v.Elem(), at, fields)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			if name == "" {
				continue
			}
			f := v.Field(i)
			if f.Kind() == reflect.String && f.String() != "" && strings.HasSuffix(name, "_file") {
				*fields = append(*fields, at+name)
				continue
			}
			outside(f, at+name+".", fields)
		}
	case reflect.Slice:
		for i := range v.Len() {
			outside(v.Index(i), fmt.Sprintf("%s[%d].", strings.TrimSuffix(at, "."), i), fields)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			outside(v.MapIndex(key), at+key.String()+".", fields)
		}
	case reflect.String:
		if s := Secret(v.String()); v.Type() == reflect.TypeFor[Secret]() && s.IsReference() {
			*fields = append(*fields, strings.TrimSuffix(at, "."))
		}
	}
}
