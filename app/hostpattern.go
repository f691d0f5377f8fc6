package app

import "strings"

// checkHostPattern says what is wrong with a pattern in Traefik v1 notation:
// literal text with {regexp} or {name:regexp} parts. Braces inside a part nest
// ({[0-9]{2}}) and do not count when escaped or in a character class. Each part
// must be a regexp by itself.
func checkHostPattern(s string) *fault {
	if len(s) > maxPattern {
		return faultf("longer than %d characters", maxPattern)
	}
	parts, size := 0, 0
	for rest := s; ; {
		literal, after, ok := strings.Cut(rest, "{")
		if f := checkPatternText(literal); f != nil {
			return f
		}
		if !ok {
			break
		}
		end := PartEnd(after)
		if end < 0 {
			return faultf("the brace at %q is not closed", shorten("{"+after))
		}
		part := withoutName(after[:end])
		if part == "" {
			return faultf("the part {%s} is empty", after[:end]).suggest("write {[^.]+} for any one label")
		}
		parsed, f := parseRegexp(part)
		if f != nil {
			return f
		}
		if size += programSize(parsed); size > maxProgram {
			return faultf("the regular expressions are too large together")
		}
		parts++
		rest = after[end+1:]
	}
	if parts == 0 {
		return checkHostname(s, false)
	}
	return nil
}

// checkPatternText looks at the literal text of a pattern, which is matched as
// it stands: a part of a hostname and nothing else.
func checkPatternText(s string) *fault {
	for _, r := range s {
		switch {
		case r < 0x80 && (isAlphanumeric(byte(r)) || r == '-' || r == '_' || r == '.'):
		case r == '}':
			return faultf("a closing brace has no opening one")
		case r >= 0x80:
			return faultf("international names are written in their xn-- form")
		case r == ':' || r == '/':
			return faultf("a hostname has no port and no path")
		default:
			return faultf("%q stands outside of braces, where text is matched as it is", r).
				suggest("put regular expressions in braces: {[^.]+}.example.com")
		}
	}
	return nil
}

// PartEnd is the index in s of the brace that closes a part {regexp} of a host or
// path in Traefik v1 notation, or -1; s begins after the opening one. Braces of the
// regexp itself nest, and do not count behind a backslash or in a class.
func PartEnd(s string) int {
	depth, classStart := 0, -1
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case classStart >= 0:
			// "]" first in a class, also after "^", stands for itself.
			first := i == classStart+1 || i == classStart+2 && s[i-1] == '^'
			if c == ']' && !first {
				classStart = -1
			}
		case c == '[':
			classStart = i
		case c == '{':
			depth++
		case c == '}' && depth == 0:
			return i
		case c == '}':
			depth--
		}
	}
	return -1
}

// withoutName drops "name:" from a part. What stands before the colon is a name
// only when it is a word, which {(?:a|b)} and {[[:alpha:]]} do not begin with.
func withoutName(part string) string {
	name, expr, ok := strings.Cut(part, ":")
	if !ok || name == "" || name[0] >= '0' && name[0] <= '9' || name[0] == '-' {
		return part
	}
	for i := 0; i < len(name); i++ {
		if c := name[i]; !isAlphanumeric(c) && c != '_' && c != '-' {
			return part
		}
	}
	return expr
}
