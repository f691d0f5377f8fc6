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
	"edgerouter/bus"
	"edgerouter/discovery"
	"edgerouter/gateway"
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
		schema := object{"type": "string"}
		if r.events != nil {
			data := object{}
			for name, v := range r.events {
				data[name] = d.schema(reflect.TypeOf(v))
			}
			// OpenAPI has no words for the events of a stream.
			schema["x-events"] = data
		}
		good["content"] = object{r.text: object{"schema": schema}}
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
	if values := valuesOf(t); values != nil {
		return object{"type": "string", "enum": values}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return d.schema(t.Elem())
	case reflect.Slice:
		return object{"type": "array", "items": d.schema(t.Elem())}
	case reflect.Map:
		if t.Elem().Kind() == reflect.Interface {
			return object{"type": "object"}
		}
		return object{"type": "object", "additionalProperties": d.schema(t.Elem())}
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

// valuesOf are the values of a type of text that has no others; nil: it may be
// any. Texts of no type of their own have theirs in the tag enum of their field.
func valuesOf(t reflect.Type) []string {
	switch t {
	case reflect.TypeFor[gateway.State]():
		return texts(gateway.StateRunning, gateway.StateKept, gateway.StateUnavailable, gateway.StateBroken)
	case reflect.TypeFor[discovery.State]():
		return texts(discovery.StateStarting, discovery.StateOK, discovery.StateFailing)
	case reflect.TypeFor[app.ChangeKind]():
		return texts(app.Added, app.Removed, app.Changed)
	case reflect.TypeFor[bus.FollowerState]():
		return texts(bus.Starting, bus.FromSnapshot, bus.Following, bus.Unreachable, bus.Damaged, bus.Stopped)
	case reflect.TypeFor[NodeState]():
		return texts(NodeOK, NodeBehind, NodeSilent)
	}
	return nil
}

func texts[T ~string](values ...T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
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
		schema := d.schema(f.Type)
		if values := f.Tag.Get("enum"); values != "" {
			schema["enum"] = strings.Split(values, ",")
		}
		if !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") {
			required = append(required, name)
			if f.Type.Kind() == reflect.Pointer {
				schema = object{"anyOf": []object{schema, {"type": "null"}}}
			}
		}
		properties[name] = schema
	}
	return object{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}

func (a *Admin) serveOpenAPI(ctx *fasthttp.RequestCtx) {
	ctx.SetContentType("application/json; charset=utf-8")
	ctx.SetBody(a.openAPI)
}
