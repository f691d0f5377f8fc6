package admin

import (
	"encoding/json"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
)

// anyObject is an answer whose form is told elsewhere.
type anyObject map[string]any

type object = map[string]any

// describeAPI is the API as an OpenAPI 3.1 document. Schemas are made from the
// types that are encoded, so that they cannot be of something else.
func describeAPI(version string, routes []route) []byte {
	d := &describer{schemas: object{}, names: map[reflect.Type]string{}}
	paths := object{}
	for _, r := range routes {
		path := catchAll.ReplaceAllString(r.path, "{$1}")
		methods, _ := paths[path].(object)
		if methods == nil {
			methods = object{}
			paths[path] = methods
		}
		methods[strings.ToLower(r.method)] = d.operation(r, path)
	}
	for _, event := range []any{LiveHello{}, LiveRows{}, LiveBeat{}, LiveChange{}} {
		d.schema(reflect.TypeOf(event))
	}
	out, err := json.MarshalIndent(object{
		"openapi": "3.1.0",
		"info": object{
			"title": "edgerouter admin API", "version": version,
			"description": "Paths are relative to the admin listener, or to where the backend edgerouter_admin is. " +
				"On a loopback listener reading needs no token; anywhere else every call does, /healthz and /readyz aside. " +
				"Every GET that is no stream can be asked with HEAD. See docs/admin.md.",
			"license": object{"name": "see LICENSE"},
		},
		"paths": paths,
		"components": object{
			"schemas": d.schemas,
			"securitySchemes": object{
				"bearer": object{"type": "http", "scheme": "bearer", "description": "the admin token"},
				"page":   object{"type": "apiKey", "in": "header", "name": tokenField, "description": "the admin token, when Authorization belongs to what stands in front"},
			},
		},
	}, "", " ")
	if err != nil {
		return []byte("{}") // not of these values
	}
	return append(out, '\n')
}

// catchAll is how the router writes a parameter that may have slashes.
var catchAll = regexp.MustCompile(`\{(\w+):\*\}`)

type describer struct {
	schemas object
	names   map[reflect.Type]string
}

// name is that of the type, with its package before it when another has it already.
func (d *describer) name(t reflect.Type) (name string, known bool) {
	if name, known = d.names[t]; known {
		return name, true
	}
	name = strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
	if _, taken := d.schemas[name]; taken {
		full := t.String() // such as certs.Status
		name = strings.ToUpper(full[:1]) + strings.ReplaceAll(full[1:], ".", "")
	}
	d.names[t] = name
	return name, false
}

func (d *describer) operation(r route, path string) object {
	good := object{"description": "done"}
	switch {
	case r.text != "":
		good["content"] = object{r.text: object{"schema": object{"type": "string"}}}
	case r.answer != nil:
		good["content"] = jsonOf(d.schema(reflect.TypeOf(r.answer)))
	}
	answers := object{"200": good}
	for _, code := range append(r.codes, 401, 403, 429) {
		answers[strconv.Itoa(code)] = object{
			"description": fasthttp.StatusMessage(code),
			"content":     jsonOf(d.schema(reflect.TypeOf(errorBody{}))),
		}
	}
	if path == "/readyz" {
		answers["503"] = good
	}
	for _, code := range []string{"401", "429"} {
		answers[code] = object{"description": "the token is missing, wrong, or was wrong too often", "content": object{"text/plain": object{"schema": object{"type": "string"}}}}
	}
	o := object{"summary": r.summary, "operationId": operationID(r.method, path), "responses": answers}
	var params []object
	if strings.Contains(path, "{id}") {
		params = append(params, object{"name": "id", "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	for _, p := range r.params {
		schema := object{"type": p.kind}
		if p.many {
			schema = object{"type": "array", "items": schema}
		}
		params = append(params, object{"name": p.name, "in": "query", "required": p.required, "description": p.about, "schema": schema})
	}
	if params != nil {
		o["parameters"] = params
	}
	if r.body != nil {
		o["requestBody"] = object{"required": true, "content": jsonOf(d.schema(reflect.TypeOf(r.body)))}
	}
	if r.token {
		o["security"] = []object{{"bearer": []string{}}, {"page": []string{}}}
	} else {
		o["security"] = []object{{}, {"bearer": []string{}}}
	}
	return o
}

// operationID is such as getApiV1Apps.
func operationID(method, path string) string {
	var b strings.Builder
	b.WriteString(strings.ToLower(method))
	for _, word := range strings.FieldsFunc(path, func(r rune) bool { return strings.ContainsRune("/{}._", r) }) {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

func jsonOf(schema object) object { return object{"application/json": object{"schema": schema}} }

// schema is that of a type as encoding/json writes it. Named structs are put
// under components.
func (d *describer) schema(t reflect.Type) object {
	switch t {
	case reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case reflect.TypeFor[app.Application]():
		return object{"type": "object", "description": "a definition, see docs/application.schema.json; secrets are redacted"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return d.schema(t.Elem())
	case reflect.Slice:
		return object{"type": "array", "items": d.schema(t.Elem())}
	case reflect.Map:
		return object{"type": "object"}
	case reflect.Struct:
		if t.Name() == "" {
			return d.fields(t)
		}
		name, known := d.name(t)
		if !known {
			d.schemas[name] = object{}
			d.schemas[name] = d.fields(t)
		}
		return object{"$ref": "#/components/schemas/" + name}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	}
	return object{"type": "integer"}
}

func (d *describer) fields(t reflect.Type) object {
	properties, required := object{}, []string{}
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if !f.IsExported() || f.Anonymous || name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		properties[name] = d.schema(f.Type)
		if !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") {
			required = append(required, name)
		}
	}
	return object{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}

func (a *Admin) serveOpenAPI(ctx *fasthttp.RequestCtx) {
	ctx.SetContentType("application/json; charset=utf-8")
	ctx.SetBody(a.openAPI)
}
