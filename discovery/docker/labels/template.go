package labels

import (
	"edgerouter/app"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// templateKind says what the text of a template is.
type templateKind struct {
	fold bool   // case does not matter
	name string // what a part {name} without a regexp stands for; "": it is a regexp itself
}

var (
	hostTemplate = templateKind{fold: true}
	pathTemplate = templateKind{name: "[^/]+"}
)

// template is text with parts in braces, as a regexp.
type template struct {
	expr  string // not anchored
	plain bool   // without any part
}

// parseTemplate reads the notation of Traefik v1: literal text with {regexp} or
// {name:regexp}; in paths also {name} for one segment.
func parseTemplate(s string, kind templateKind) (template, error) {
	t := template{plain: true}
	var b strings.Builder
	for rest := s; ; {
		literal, after, ok := strings.Cut(rest, "{")
		if strings.Contains(literal, "}") {
			return t, fmt.Errorf("%q: a closing brace has no opening one", short(s))
		}
		if kind.fold {
			literal = strings.ToLower(literal)
		}
		b.WriteString(regexp.QuoteMeta(literal))
		if !ok {
			break
		}
		end := app.PartEnd(after)
		if end < 0 {
			return t, fmt.Errorf("%q: a brace is not closed", short(s))
		}
		expr, err := part(after[:end], kind)
		if err != nil {
			return t, fmt.Errorf("%q: {%s}: %w", short(s), short(after[:end]), err)
		}
		b.WriteString("(?:" + expr + ")")
		t.plain = false
		rest = after[end+1:]
	}
	t.expr = b.String()
	return t, nil
}

// part is the regexp of what stands in braces.
func part(s string, kind templateKind) (string, error) {
	expr := s
	if name, after, ok := strings.Cut(s, ":"); ok && isWord(name) {
		expr = after
	} else if kind.name != "" && isWord(s) {
		expr = kind.name
	}
	if expr == "" {
		return "", errors.New("is empty")
	}
	if len(expr) > maxRule {
		return "", fmt.Errorf("longer than %d characters", maxRule)
	}
	if _, err := regexp.Compile(expr); err != nil {
		return "", errors.New("not a regular expression: " + strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return expr, nil
}

func isWord(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || i > 0 && (c >= '0' && c <= '9' || c == '-')) {
			return false
		}
	}
	return s != ""
}
