package app

import (
	"regexp/syntax"
	"strings"
)

// maxPattern bounds the text of regexps and rules, and maxProgram what a regexp
// is compiled to: a few characters such as (\pL{1000}){2} stand for programs that
// take seconds and hundreds of megabytes to make.
const (
	maxPattern = 4096
	maxProgram = 20_000
)

// checkRegexp says what is wrong with a regular expression in Go's syntax (RE2).
func checkRegexp(s string) *fault {
	_, f := parseRegexp(s)
	return f
}

// parseRegexp parses a regexp that regexp.Compile then takes, at a bounded cost.
func parseRegexp(s string) (*syntax.Regexp, *fault) {
	if len(s) > maxPattern {
		return nil, faultf("longer than %d characters", maxPattern)
	}
	parsed, err := syntax.Parse(s, syntax.Perl)
	if err != nil {
		return nil, regexpFault(err)
	}
	if programSize(parsed) > maxProgram {
		return nil, faultf("the regular expression is too large once its repetitions are written out")
	}
	return parsed, nil
}

func regexpFault(err error) *fault {
	f := faultf("not a regular expression: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	if e, ok := err.(*syntax.Error); ok && e.Code == syntax.ErrInvalidPerlOp {
		f.suggest("look-around and back references are not there (RE2 syntax)")
	}
	return f
}

// programSize estimates how many instructions a regexp becomes. It stops
// counting beyond maxProgram. The parser bounds the depth.
func programSize(re *syntax.Regexp) int {
	size := 1
	switch re.Op {
	case syntax.OpLiteral:
		size = len(re.Rune)
	case syntax.OpCharClass:
		size += len(re.Rune) / 8
	}
	for _, sub := range re.Sub {
		size = min(size+1+programSize(sub), maxProgram+1)
	}
	if re.Op == syntax.OpRepeat {
		size *= max(re.Min, re.Max, 1)
	}
	return min(size, maxProgram+1)
}
