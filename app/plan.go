package app

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
)

// plan is what the struct tags of one type say, ready for the decoder,
// Validate, Diff and Redact.
type plan struct {
	typ    reflect.Type
	fields []fieldPlan
	byName map[string]int // index in fields, by name and by alias
	names  []string       // every name that is read, for suggestions
}

// fieldPlan is one field of a plan.
type fieldPlan struct {
	name, alias string
	index       int
	typ         reflect.Type
	sub         *plan // of the struct that the field, its pointer or its elements are
	required    bool
	enum        []string
	enumAlias   map[string]string
	min, max    *float64
	minText     string
	maxText     string
	def         string // the default tag
	toggle      string // the switch tag
	secret      bool   // Secret or a list of them
}

var (
	typeApplication = reflect.TypeFor[Application]()
	typeBackend     = reflect.TypeFor[Backend]()
	typeMiddleware  = reflect.TypeFor[Middleware]()
	typeStrings     = reflect.TypeFor[[]string]()
	typeDuration    = reflect.TypeFor[Duration]()
	typeSize        = reflect.TypeFor[Size]()
	typeSecret      = reflect.TypeFor[Secret]()
)

// plans are derived from the types once and never change.
var plans = sync.OnceValue(func() map[reflect.Type]*plan {
	made := map[reflect.Type]*plan{}
	makePlan(typeApplication, made)
	return made
})

func makePlan(t reflect.Type, made map[reflect.Type]*plan) *plan {
	if p, ok := made[t]; ok {
		return p
	}
	p := &plan{typ: t, byName: map[string]int{}}
	made[t] = p
	for i := range t.NumField() {
		f := t.Field(i)
		name, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
		fp := fieldPlan{
			name: name, alias: f.Tag.Get("alias"), index: i, typ: f.Type,
			required: rest != "omitempty", def: f.Tag.Get("default"), toggle: f.Tag.Get("switch"),
			minText: f.Tag.Get("min"), maxText: f.Tag.Get("max"),
		}
		if tag := f.Tag.Get("enum"); tag != "" {
			fp.enum = strings.Split(tag, ",")
		}
		if from, to, ok := strings.Cut(f.Tag.Get("enumalias"), "="); ok {
			fp.enumAlias = map[string]string{from: to}
		}
		inner := elemOf(f.Type)
		fp.min, fp.max = bound(inner, fp.minText), bound(inner, fp.maxText)
		fp.secret = inner == typeSecret
		if inner.Kind() == reflect.Struct {
			fp.sub = makePlan(inner, made)
		}
		p.byName[name] = i
		p.names = append(p.names, name)
		if fp.alias != "" {
			p.byName[fp.alias] = i
			p.names = append(p.names, fp.alias)
		}
		p.fields = append(p.fields, fp)
	}
	return p
}

// elemOf is what a pointer points at, a list or a map holds, or t itself.
func elemOf(t reflect.Type) reflect.Type {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return t.Elem()
	}
	return t
}

// bound reads the min or max tag in the notation of the field's type.
func bound(t reflect.Type, text string) *float64 {
	if text == "" {
		return nil
	}
	var v float64
	var err error
	switch t {
	case typeDuration:
		var d Duration
		d, err = ParseDuration(text)
		v = float64(d)
	case typeSize:
		var s Size
		s, err = ParseSize(text)
		v = float64(s)
	default:
		v, err = strconv.ParseFloat(text, 64)
	}
	if err != nil {
		// The tags are part of this package; the tests read every one of them.
		panic(fmt.Sprintf("app: tag %q of a %s: %v", text, t, err))
	}
	return &v
}
