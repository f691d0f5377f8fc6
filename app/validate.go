package app

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Validate says everything that is wrong with the application, each with the
// path of its field; nothing when it can be served. Problems have no File. It
// does not ask whether this version can serve the backend's kind, whether the
// files it names are there, or whether other applications claim the same hosts.
func (a Application) Validate() []Problem {
	findings := a.check()
	if len(findings) == 0 {
		return nil
	}
	problems := make([]Problem, len(findings))
	for i, f := range findings {
		problems[i] = f.problem
		problems[i].App, problems[i].Field = a.ID, f.path.String()
	}
	return problems
}

func (a Application) check() []finding {
	var c checker
	c.object(plans()[typeApplication], reflect.ValueOf(&a).Elem(), nil, 0)
	return c.found
}

// checker collects what is wrong with one application.
type checker struct {
	found []finding
}

// fault is what is wrong with one value; nil for nothing.
type fault struct {
	message, suggestion string
}

func faultf(format string, args ...any) *fault {
	return &fault{message: fmt.Sprintf(format, args...)}
}

func (f *fault) suggest(format string, args ...any) *fault {
	f.suggestion = fmt.Sprintf(format, args...)
	return f
}

func (c *checker) add(a *at, value, message, suggestion string) {
	c.found = append(c.found, finding{path: a.path(), offset: -1, problem: Problem{Value: shorten(value), Message: message, Suggestion: suggestion}})
}

// fault notes f, if there is one.
func (c *checker) fault(a *at, value string, f *fault) {
	if f != nil {
		c.add(a, value, f.message, f.suggestion)
	}
}

// missing is the message of required things that are absent.
const missing = "is missing"

// object checks a struct by its tags, then by what only its own type knows.
func (c *checker) object(p *plan, v reflect.Value, a *at, depth int) {
	if depth > maxDepth {
		c.add(a, "", fmt.Sprintf("nested deeper than %d levels", maxDepth), "")
		return
	}
	foreign := c.options(p, v, a)
	for i := range p.fields {
		f, part := &p.fields[i], v.Field(i)
		// Most fields are absent, and nothing is wrong with that.
		if foreign&(1<<i) == 0 && (f.required || !part.IsZero()) {
			c.value(f, part, a.field(f.name), depth)
		}
	}
	c.special(v.Addr().Interface(), a)
}

// special dispatches to the checks of one type.
func (c *checker) special(x any, a *at) {
	switch x := x.(type) {
	case *Application:
		c.application(x, a)
	case *Frontend:
		c.frontend(x, a)
	case *Backend:
		c.backend(x, a)
	case *Middleware:
		c.middleware(x, a)
	case *PeerSetOpts:
		c.peerSet(x, a)
	case *TLSConfig:
		c.tlsConfig(x, a)
	case *StickyCookie:
		c.stickyCookie(x, a)
	case *HealthCheck:
		c.healthCheck(x, a)
	case *PassiveHealth:
		c.passiveHealth(x, a)
	case *ResponseHeaders:
		c.responseHeaders(x, a)
	case *AWSLambdaOpts:
		c.lambda(x, a)
	case *S3StaticWebsiteOpts:
		c.s3(x, a)
	case *TurbochargerOpts:
		c.turbocharger(x, a)
	case *RedirectOpts:
		c.redirect(x, a)
	case *AuthV0Opts:
		c.secret(a.field("bearer_token"), x.BearerToken)
	case *AuthSSOOpts:
		c.sso(x, a)
	case *AuthForwardOpts:
		c.forward(x, a)
	case *AuthOIDCOpts:
		c.oidc(x, a)
	case *OIDCAllowed:
		c.oidcAllowed(x, a)
	default:
		c.middlewareOpts(x, a)
	}
}

// options compares the fields KIND_opts of a backend or middleware with its
// kind, and returns the fields that do not belong to it, as bits.
func (c *checker) options(p *plan, v reflect.Value, a *at) (foreign uint64) {
	if p.typ != typeBackend && p.typ != typeMiddleware {
		return 0
	}
	kindField := &p.fields[p.byName["kind"]]
	kind := v.Field(kindField.index).String()
	if !slices.Contains(kindField.enum, kind) {
		return 0
	}
	for i := range p.fields {
		f := &p.fields[i]
		owner, isOptions := strings.CutSuffix(f.name, "_opts")
		if !isOptions || f.typ.Kind() != reflect.Pointer {
			continue
		}
		given := !v.Field(i).IsNil()
		switch {
		case owner == kind && !given && kind != string(MiddlewareCompress): // whose options all have defaults
			c.add(a.field(f.name), "", missing, fmt.Sprintf("kind %s needs its options there", kind))
		case owner != kind && given:
			foreign |= 1 << i
			c.add(a.field(f.name), "", fmt.Sprintf("does not belong to kind %s", kind), fmt.Sprintf("remove it, or write \"kind\": %q", owner))
		}
	}
	return foreign
}

// value checks one value by the tags of its field.
func (c *checker) value(f *fieldPlan, v reflect.Value, a *at, depth int) {
	switch v.Kind() {
	case reflect.Struct:
		c.object(f.sub, v, a, depth+1)
	case reflect.Pointer:
		if v.IsNil() {
			if f.required {
				c.add(a, "", missing, "")
			}
			return
		}
		if f.sub != nil {
			c.object(f.sub, v.Elem(), a, depth+1)
			return
		}
		c.number(f, v.Elem(), a, true)
	case reflect.Slice:
		if v.Len() == 0 && f.required {
			c.add(a, "", "is empty", "name at least one")
		}
		for i := range v.Len() {
			switch elem := v.Index(i); elem.Kind() {
			case reflect.Struct:
				c.object(f.sub, elem, a.item(i), depth+1)
			case reflect.String:
				c.text(f, elem.String(), a.item(i), true)
			}
		}
	case reflect.Map:
		c.mapping(f, v, a)
	case reflect.String:
		c.text(f, v.String(), a, f.required)
	default:
		c.number(f, v, a, f.required)
	}
}

func (c *checker) mapping(f *fieldPlan, v reflect.Value, a *at) {
	if v.Len() == 0 {
		return
	}
	keys := v.MapKeys()
	slices.SortFunc(keys, func(x, y reflect.Value) int { return strings.Compare(x.String(), y.String()) })
	for _, k := range keys {
		name, elem := k.String(), v.MapIndex(k)
		place := a.entry(name)
		if control, ok := controlIn(name); ok {
			c.add(place, "", fmt.Sprintf("the name has the control character %q", control), "")
		}
		if elem.Kind() == reflect.String {
			if control, ok := controlIn(elem.String()); ok {
				c.add(place, "", fmt.Sprintf("has the control character %q", control), "")
			}
			continue
		}
		c.number(f, elem, place, true)
	}
}

// text checks a string or an element of a list of strings.
func (c *checker) text(f *fieldPlan, s string, a *at, required bool) {
	if s == "" {
		switch {
		case !required:
		case f.enum != nil:
			c.add(a, "", missing, "it is one of "+strings.Join(f.enum, ", "))
		case a.name == "":
			c.add(a, "", "is empty", "remove it")
		default:
			c.add(a, "", missing, "")
		}
		return
	}
	checked := s
	if f.name == "rule" {
		checked = spaced(s)
	}
	if control, ok := controlIn(checked); ok {
		shown := s
		if f.secret {
			shown = ""
		}
		c.add(a, shown, fmt.Sprintf("has the control character %q", control), "")
		return
	}
	if f.enum != nil && !slices.Contains(f.enum, s) {
		if to, ok := f.enumAlias[s]; ok {
			c.add(a, s, "is the older name of "+to, fmt.Sprintf("write %q", to))
			return
		}
		c.add(a, s, "unknown value", didYouMean(s, f.enum))
	}
}

// spaced is a rule with spaces in place of the tabs and line breaks between its
// matchers, which are not looked for in quoted values: those are checked when the
// rule is read.
func spaced(rule string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' || r == '\r' {
			return ' '
		}
		return r
	}, rule)
}

// controlIn finds a control character, or what is not UTF-8. Neither has a place
// in names, addresses or header values (RFC 9110 section 5.5), and both are used
// to fake lines in logs.
func controlIn(s string) (rune, bool) {
	for i, r := range s {
		if r < 0x20 || r == 0x7f || r >= 0x80 && unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return r, true
		}
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
				return r, true
			}
		}
	}
	return 0, false
}

// number checks bounds; given is whether zero counts as a value and not as
// absence.
func (c *checker) number(f *fieldPlan, v reflect.Value, a *at, given bool) {
	var n float64
	var text string
	switch {
	case v.Type() == typeDuration:
		n, text = float64(v.Int()), Duration(v.Int()).String()
		if n < 0 || Duration(v.Int()) > MaxDuration {
			c.add(a, text, durationRange(n < 0).Error(), "")
			return
		}
	case v.Type() == typeSize:
		n, text = float64(v.Int()), Size(v.Int()).String()
		if n < 0 || Size(v.Int()) > MaxSize {
			c.add(a, text, sizeRange(n < 0).Error(), "")
			return
		}
	case v.Kind() == reflect.Int:
		n, text = float64(v.Int()), strconv.FormatInt(v.Int(), 10)
	case v.Kind() == reflect.Float64:
		n, text = v.Float(), strconv.FormatFloat(v.Float(), 'g', -1, 64)
	default:
		return
	}
	if n == 0 && !given {
		return
	}
	switch {
	case f.enum != nil && !slices.Contains(f.enum, text):
		c.add(a, text, "unknown value", "it is one of "+strings.Join(f.enum, ", "))
	// Written so that NaN, which compares false with everything, is refused too.
	case f.min != nil && !(n >= *f.min):
		c.add(a, text, "must be at least "+f.minText, "")
	case f.max != nil && !(n <= *f.max):
		c.add(a, text, "must be at most "+f.maxText, "")
	}
}

// useless reports a field that means nothing where it stands.
func (c *checker) useless(a *at, why string) {
	c.add(a, "", why, "remove it")
}
