package middleware

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/wire"
)

// NewHeaders returns the wrapper of kind headers: fields of the request are set
// or, with an empty value, removed before next sees it, and fields of its answer
// after it. Set means that the field has that value once and no other. Request
// fields in other spellings (wire.SameName) count as the same name, also as trailers. Host in the request
// is the one that the backend gets.
//
// The answer may be a stream, of which only the head is touched. That of an
// upgrade (101) has gone when the wrapper sees it: it stays as the backend wrote
// it, while the fields of its request are changed like those of any other.
//
// Values of fields whose names look like a secret's (app.SecretHeader) may be
// file: or env: references. It allocates nothing.
func NewHeaders(opts app.HeadersOpts, deps Deps) (Wrapper, error) {
	request, err := fieldChanges("headers_opts.request", opts.Request, deps)
	if err != nil {
		return nil, err
	}
	response, err := fieldChanges("headers_opts.response", opts.Response, deps)
	if err != nil {
		return nil, err
	}
	for _, f := range request {
		if strings.EqualFold(f.name, "Host") && (f.value == "" || strings.ContainsAny(f.value, " \t/?#")) {
			return nil, fmt.Errorf("headers_opts.request[%q]: %q is not a host", f.name, f.value)
		}
	}
	for _, f := range response {
		if wire.KindOf([]byte(f.name)) == wire.Date {
			return nil, fmt.Errorf("headers_opts.response[%q]: the server writes this field", f.name)
		}
	}
	var rules []wire.FieldRule
	for _, f := range response {
		rules = append(rules, wire.FieldRule{Name: f.name, Value: f.value})
	}
	return func(next fasthttp.RequestHandler) fasthttp.RequestHandler {
		return func(ctx *fasthttp.RequestCtx) {
			if x := wire.From(ctx); x != nil && len(rules) > 0 {
				x.ResponseRules = append(x.ResponseRules, rules)
			}
			for i := range request {
				wire.KeyField(ctx, request[i].name)
				if f := &request[i]; f.value == "" {
					wire.Own(ctx, f.name)
				} else {
					wire.SetOwned(ctx, f.name, f.value)
				}
			}
			next(ctx)
			if len(response) == 0 || answered(ctx) {
				return
			}
			for i := range response {
				f, h := &response[i], &ctx.Response.Header
				switch {
				case f.value != "":
					setField(h, f.name, f.value)
				case f.contentType:
					h.SetNoDefaultContentType(true)
					h.SetContentType("")
				default:
					dropField(h, f.name)
				}
			}
		}
	}, nil
}

// fieldChange is a field that is set, or removed when value is empty.
type fieldChange struct {
	name, value string
	contentType bool
}

func fieldChanges(field string, set map[string]string, deps Deps) ([]fieldChange, error) {
	var list []fieldChange
	seen := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		at := fmt.Sprintf("%s[%q]", field, name)
		if err := checkFieldName(name); err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		lower := strings.ToLower(name)
		if other, twice := seen[lower]; twice {
			return nil, fmt.Errorf("%s: the same field as %q", at, other)
		}
		seen[lower] = name
		value := set[name]
		if value != "" && app.SecretHeader(name) {
			var err error
			if value, err = deps.resolve(app.Secret(value)); err != nil {
				return nil, fmt.Errorf("%s: %w", at, err)
			}
		}
		if err := checkFieldValue(value); err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		list = append(list, fieldChange{name, strings.TrimSpace(value), lower == "content-type"})
	}
	return list, nil
}
