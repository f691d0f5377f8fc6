package metrics

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Name returns the name of a series: Name("er_peer_up", "app", id, "peer", addr)
// is er_peer_up{app="...",peer="..."}. Values may be any text: they are escaped,
// and bytes that are not UTF-8 replaced. A last label without value gets "".
func Name(family string, labels ...string) string {
	if len(labels) == 0 {
		return family
	}
	b := append([]byte(family), '{')
	for i := 0; i < len(labels); i += 2 {
		if i > 0 {
			b = append(b, ',')
		}
		value := ""
		if i+1 < len(labels) {
			value = labels[i+1]
		}
		b = append(b, labels[i]...)
		b = append(b, '=', '"')
		b = append(b, escapeLabel(value)...)
		b = append(b, '"')
	}
	return string(append(b, '}'))
}

// escapeLabel returns a label value as it stands between the quotes.
func escapeLabel(value string) string {
	if !utf8.ValidString(value) {
		value = strings.ToValidUTF8(value, "\uFFFD")
	}
	if !strings.ContainsAny(value, "\\\"\n") {
		return value
	}
	b := make([]byte, 0, len(value)+8)
	for i := 0; i < len(value); i++ {
		switch c := value[i]; c {
		case '\n':
			b = append(b, '\\', 'n')
		case '\\', '"':
			b = append(b, '\\', c)
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

// escapeHelp returns a help text as it stands on its line.
func escapeHelp(text string) string {
	return strings.NewReplacer("\\", "\\\\", "\n", "\\n").Replace(strings.ToValidUTF8(text, "\uFFFD"))
}

// splitName takes a series' name apart: its family, and its labels as they stand
// between the braces, without spaces.
func splitName(name string) (family, labels string, err error) {
	family, rest, has := strings.Cut(name, "{")
	if !validName(family, true) {
		return "", "", fmt.Errorf("%q is not a metric name", family)
	}
	if !has {
		return family, "", nil
	}
	var seen, pairs []string
	for {
		rest = strings.TrimLeft(rest, " ")
		if rest == "}" {
			return family, strings.Join(pairs, ","), nil
		}
		label, after, ok := strings.Cut(rest, `="`)
		if !ok || !validName(label, false) {
			return "", "", fmt.Errorf("%q does not begin with a label and its value", rest)
		}
		if slices.Contains(seen, label) {
			return "", "", fmt.Errorf("the label %s comes twice", label)
		}
		n, err := valueLen(after)
		if err != nil {
			return "", "", fmt.Errorf("label %s: %w", label, err)
		}
		seen = append(seen, label)
		pairs = append(pairs, label+`="`+after[:n]+`"`)
		rest = strings.TrimLeft(after[n+1:], " ")
		if !strings.HasPrefix(rest, ",") && rest != "}" {
			return "", "", fmt.Errorf("%q follows the label %s", rest, label)
		}
		rest = strings.TrimPrefix(rest, ",")
	}
}

// valueLen is where the quote is that ends an escaped label value.
func valueLen(s string) (int, error) {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			if !utf8.ValidString(s[:i]) {
				return 0, errors.New("the value is not UTF-8")
			}
			return i, nil
		case '\n':
			return 0, errors.New("the value has a line break in it")
		case '\\':
			if i++; i == len(s) || !strings.ContainsRune(`\"n`, rune(s[i])) {
				return 0, errors.New("the value has an unknown escape")
			}
		}
	}
	return 0, errors.New("the value does not end")
}

func validName(s string, colon bool) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c|0x20-'a' >= 26 && c != '_' && !(colon && c == ':') && (i == 0 || c-'0' > 9) {
			return false
		}
	}
	return s != ""
}
