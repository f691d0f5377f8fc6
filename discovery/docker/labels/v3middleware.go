package labels

import (
	"fmt"
	"slices"
	"strings"

	"edgerouter/app"
)

// Middleware is what labels declare under traefik.http.middlewares.NAME.
type Middleware struct {
	name   string // as written
	label  string // traefik.http.middlewares.NAME, as written
	fields []label
	asked  bool // a router names it
}

// Equal says whether two declare the same.
func (m Middleware) Equal(o Middleware) bool {
	return slices.EqualFunc(m.fields, o.fields, func(a, b label) bool { return a.key == b.key && a.value == b.value })
}

// Declared are the middlewares that labels declare, by name in lower case. In
// Traefik any container's router may name them.
func Declared(labels map[string]string) map[string]Middleware {
	const prefix = "traefik.http.middlewares."
	some := false
	for name := range labels {
		some = some || len(name) > len(prefix) && strings.EqualFold(name[:len(prefix)], prefix)
	}
	if !some {
		return nil
	}
	t := &tree{middlewares: map[string]*Middleware{}}
	for _, l := range scan(labels) {
		if on, err := parseBool(l.value); l.key == "traefik.enable" && err == nil && !on {
			return nil
		}
		if strings.HasPrefix(l.key, prefix) && len(l.value) <= maxValue {
			t.read(l)
		}
	}
	out := make(map[string]Middleware, len(t.middlewares))
	for name, m := range t.middlewares {
		out[name] = *m
	}
	return out
}

// kind is the word behind the name, which says what the middleware does.
func (m *Middleware) kind() (key string, err error) {
	for i := range m.fields {
		rest := m.fields[i].key[len(m.label)+1:]
		word, _, _ := strings.Cut(rest, ".")
		if key != "" && word != key {
			return "", fmt.Errorf("is %s and %s at once: a middleware does one thing", key, short(word))
		}
		key = word
	}
	return key, nil
}

// build makes the middleware; none for one without effect. The links of a chain
// are left to mixer.
func (m *Middleware) build() (list []app.Middleware, n notes) {
	kind, err := m.kind()
	if err != nil {
		n.fail(m.label, "", err.Error(), "")
		return nil, n
	}
	def, ok := middlewareKinds[kind]
	if !ok {
		n.fail(m.label+"."+kind, "", "unknown kind of middleware", nearest(kind, sortedNames(middlewareKinds)))
		return nil, n
	}
	list = def(m, &n)
	return list, n
}

// each lets a function see what follows the kind in each label, and its value.
func (m *Middleware) each(see func(l *label, key string)) {
	for i := range m.fields {
		l := m.fields[i]
		rest := l.name[len(m.label)+1:]
		_, key, _ := strings.Cut(rest, ".")
		see(&l, key)
	}
}

// wrapped is a middleware of a router.
type wrapped struct {
	key         string // tells it from others
	label       string
	middlewares []app.Middleware
}

func (w *wrapped) redirectsToHTTPS() bool {
	return len(w.middlewares) == 1 && w.middlewares[0].RedirectScheme != nil && w.middlewares[0].RedirectScheme.Scheme == "https"
}

// maxChain bounds chains within chains, and the middlewares of a router.
const (
	maxChain       = 8
	maxMiddlewares = 64
)

// mixer finds the middlewares that a router names.
type mixer struct {
	c     *compiler
	tree  *tree
	notes *notes
	count int
}

// all are the named middlewares, chains resolved. One that cannot be had is an
// error: it may be the one that keeps people out.
func (m *mixer) all(names []string, label string, depth int) []wrapped {
	if depth > maxChain {
		m.notes.fail(label, "", fmt.Sprintf("chains are nested deeper than %d levels", maxChain), "")
		return nil
	}
	var out []wrapped
	for _, name := range names {
		if m.count++; m.count > maxMiddlewares {
			m.notes.fail(label, "", fmt.Sprintf("a router has at most %d middlewares", maxMiddlewares), "")
			return out
		}
		mw := m.find(name, label)
		if mw == nil {
			continue
		}
		list, n := mw.build()
		m.notes.add(n)
		if links, ok := mw.chain(); ok {
			out = append(out, m.all(links, mw.label+".chain.middlewares", depth+1)...)
			continue
		}
		if len(list) > 0 {
			kind, _ := mw.kind()
			out = append(out, wrapped{key: mw.label, label: mw.label + "." + kind, middlewares: list})
		}
	}
	return out
}

func (m *mixer) find(name, label string) *Middleware {
	key, ok := local(name)
	if !ok {
		m.notes.fail(label, name, "is not declared by labels, and may be what keeps people out", "declare it with labels traefik.http.middlewares.NAME")
		return nil
	}
	if mw := m.tree.middlewares[key]; mw != nil {
		mw.asked = true
		return mw
	}
	if !slices.Contains(m.c.result.Borrowed, key) {
		m.c.result.Borrowed = append(m.c.result.Borrowed, key)
	}
	shared, ok := m.c.opts.Shared[key]
	switch {
	case !ok:
		m.notes.fail(label, name, "no label declares this middleware, here or on another container", nearest(key, sortedNames(m.tree.middlewares)))
		return nil
	case shared.Ambiguous:
		m.notes.fail(label, name, "several containers declare this middleware, and not the same", "give one of them another name")
		return nil
	}
	mw := shared.Middleware
	return &mw
}

// chain are the links of a chain.
func (m *Middleware) chain() (links []string, ok bool) {
	if kind, err := m.kind(); err != nil || kind != "chain" {
		return nil, false
	}
	m.each(func(l *label, key string) {
		if lower(key) == "middlewares" {
			links, _ = list(l.value)
		}
	})
	return links, true
}
