package labels

import (
	"fmt"
	"slices"
	"strings"
)

// option is a label that is known: how its value is read, or why it is not done.
type option[T any] struct {
	// set takes the value. nil: the label is known and not done.
	set func(*T, string) error
	// with takes what follows the name as well; for names that end with a dot.
	with func(t *T, rest, value string) error
	// why it is not done.
	why string
	// shut: passing the label over would let in what it keeps out.
	shut bool
	// secret: the value is not to be shown.
	secret bool
	// soft: a value that cannot be done is a warning.
	soft bool
}

// options are the labels of one thing, by what follows its name, in lower case.
// A name that ends with a dot stands for all that begin with it.
type options[T any] map[string]option[T]

// find is the option for a key.
func (o options[T]) find(key string) (found option[T], prefix string, ok bool) {
	if strings.HasPrefix(key, "tls.domains[") { // the one label with numbers in it
		key = "tls.domains."
	}
	if found, ok = o[key]; ok {
		return found, key, true
	}
	for end := len(key); ; {
		if end = strings.LastIndexByte(key[:end], '.'); end < 0 {
			return found, "", false
		}
		if found, ok = o[key[:end+1]]; ok {
			return found, key[:end+1], true
		}
	}
}

// read lets a label have its effect on x, or notes why it has none. key is what
// follows the thing's name in the label's.
func (o options[T]) read(x *T, n *notes, l *label, key string) {
	l.used = true
	found, prefix, ok := o.find(lower(key))
	shown := l.value
	if found.secret {
		shown = ""
	}
	var err error
	switch {
	case !ok:
		n.warn(l.name, "", "is not known", o.suggest(l.name, key))
		return
	case found.set != nil:
		err = found.set(x, l.value)
	case found.with != nil:
		err = found.with(x, key[len(prefix):], l.value)
	case found.shut:
		n.fail(l.name, "", "is not done, and without it the application would let in what this keeps out: "+found.why, "remove the label, or the way in")
		return
	default:
		n.warn(l.name, "", "has no effect: "+found.why, "")
		return
	}
	switch {
	case err != nil && found.soft:
		n.warn(l.name, shown, "has no effect: "+err.Error(), "")
	case err != nil:
		n.fail(l.name, shown, err.Error(), "")
	}
}

// suggest is the whole label that was probably meant.
func (o options[T]) suggest(name, key string) string {
	known := o.names("")
	best := closest(lower(key), known)
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", name[:len(name)-len(key)]+best)
}

// names are the keys of some options behind a prefix.
func (o options[T]) names(prefix string) []string {
	var names []string
	for k := range o {
		names = append(names, prefix+strings.TrimSuffix(k, "."))
	}
	slices.Sort(names)
	return names
}
