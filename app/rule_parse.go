package app

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxRuleDepth bounds parentheses and negations inside each other.
const maxRuleDepth = 32

// ParseRule reads a Traefik v3 rule expression: matchers with values in
// backticks or double quotes, joined by && (which binds tighter) and ||, negated
// by !, grouped by parentheses. An expression has at most 4096 bytes and 32
// levels. Errors are of type *RuleError.
func ParseRule(s string) (Rule, error) {
	if len(s) > maxPattern {
		return nil, &RuleError{Column: 1, Message: fmt.Sprintf("longer than %d characters", maxPattern)}
	}
	if !utf8.ValidString(s) {
		return nil, &RuleError{Column: 1, Message: "not UTF-8"}
	}
	p := ruleParser{text: s}
	r := p.or()
	if p.err == nil {
		p.space()
		if p.pos < len(s) {
			p.leftover()
		}
	}
	if p.err != nil {
		return nil, p.err
	}
	return r, nil
}

// ruleParser reads by recursive descent. The first error ends the reading: every
// method then returns at once.
type ruleParser struct {
	text  string
	pos   int
	depth int
	err   *RuleError
}

func (p *ruleParser) column(pos int) int { return utf8.RuneCountInString(p.text[:pos]) + 1 }

func (p *ruleParser) fail(pos int, message, suggestion string) {
	if p.err == nil {
		p.err = &RuleError{Column: p.column(pos), Message: message, Suggestion: suggestion}
	}
}

func (p *ruleParser) space() {
	for p.pos < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.pos]) >= 0 {
		p.pos++
	}
}

// take skips white space and takes token if it stands next.
func (p *ruleParser) take(token string) bool {
	p.space()
	if !strings.HasPrefix(p.text[p.pos:], token) {
		return false
	}
	p.pos += len(token)
	return true
}

func (p *ruleParser) or() Rule {
	rules := []Rule{p.and()}
	for p.err == nil && p.take("||") {
		rules = append(rules, p.and())
	}
	if len(rules) == 1 {
		return rules[0]
	}
	var flat []Rule
	for _, r := range rules {
		if inner, ok := r.(RuleOr); ok {
			flat = append(flat, inner.Rules...)
			continue
		}
		flat = append(flat, r)
	}
	return RuleOr{flat}
}

func (p *ruleParser) and() Rule {
	rules := []Rule{p.unary()}
	for p.err == nil && p.take("&&") {
		rules = append(rules, p.unary())
	}
	if len(rules) == 1 {
		return rules[0]
	}
	var flat []Rule
	for _, r := range rules {
		if inner, ok := r.(RuleAnd); ok {
			flat = append(flat, inner.Rules...)
			continue
		}
		flat = append(flat, r)
	}
	return RuleAnd{flat}
}

func (p *ruleParser) unary() Rule {
	p.space()
	start := p.pos
	if p.depth++; p.depth > maxRuleDepth {
		p.fail(start, fmt.Sprintf("nested deeper than %d levels", maxRuleDepth), "")
		return nil
	}
	defer func() { p.depth-- }()
	switch {
	case p.take("!"):
		return RuleNot{p.unary()}
	case p.take("("):
		r := p.or()
		if p.err == nil && !p.take(")") {
			if p.pos < len(p.text) {
				p.leftover()
			} else {
				p.fail(start, "this parenthesis is not closed", "")
			}
		}
		return r
	}
	return p.matcher()
}

// matcher reads Name(`value`, ...).
func (p *ruleParser) matcher() Rule {
	start := p.pos
	for p.pos < len(p.text) && isAlphanumeric(p.text[p.pos]) {
		p.pos++
	}
	name := p.text[start:p.pos]
	if name == "" {
		p.noMatcher()
		return nil
	}
	def := findMatcher(name)
	if p.take(":") {
		p.fail(start, "this is the notation of Traefik v1", fmt.Sprintf("write %s(`...`), and && for the semicolon", canonicalMatcher(name)))
		return nil
	}
	if def == nil {
		p.fail(start, fmt.Sprintf("unknown matcher %q", shorten(name)), matcherSuggestion(name))
		return nil
	}
	if !p.take("(") {
		p.fail(p.pos, fmt.Sprintf("%s needs its values in parentheses", def.name), fmt.Sprintf("write %s(%s)", def.name, def.usage()))
		return nil
	}
	m := RuleMatcher{Name: def.name, Column: p.column(start)}
	var places []int
	for p.err == nil && !p.take(")") {
		if len(m.Values) > 0 && !p.take(",") {
			p.noValue("a comma or a closing parenthesis")
			return nil
		}
		p.space()
		places = append(places, p.pos)
		m.Values = append(m.Values, p.value())
	}
	if p.err != nil {
		return nil
	}
	if n := len(m.Values); n < def.least || n > len(def.values) {
		suggestion := fmt.Sprintf("write %s(%s)", def.name, def.usage())
		if n > 1 && len(def.values) == 1 {
			suggestion = fmt.Sprintf("write %s(`%s`) || %s(`%s`)", def.name, shorten(m.Values[0]), def.name, shorten(m.Values[1]))
		}
		p.fail(start, fmt.Sprintf("%s takes %s, this has %d", def.name, def.arity(), n), suggestion)
		return nil
	}
	for i, v := range m.Values {
		if f := def.check(i, v); f != nil {
			p.fail(places[i], fmt.Sprintf("%s: %q: %s", def.name, shorten(v), f.message), f.suggestion)
			return nil
		}
	}
	return m
}

// value reads a text in backticks or, with Go's escapes, in double quotes.
func (p *ruleParser) value() string {
	rest := p.text[p.pos:]
	switch {
	case strings.HasPrefix(rest, "`"):
		text, _, ok := strings.Cut(rest[1:], "`")
		if !ok {
			p.fail(p.pos, "this backtick is not closed", "")
			return ""
		}
		p.pos += len(text) + 2
		return text
	case strings.HasPrefix(rest, `"`):
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			p.fail(p.pos, "this quote is not closed, or an escape in it is not known", "put the value in backticks, which have no escapes")
			return ""
		}
		text, _ := strconv.Unquote(quoted)
		p.pos += len(quoted)
		return text
	}
	p.noValue("a value in backticks")
	return ""
}

func (p *ruleParser) noValue(want string) {
	suggestion := ""
	if p.space(); p.pos >= len(p.text) {
		p.fail(p.pos, "the rule ends where "+want+" should be", "")
		return
	}
	r, _ := utf8.DecodeRuneInString(p.text[p.pos:])
	if r == '\'' || r >= 0x80 || isAlphanumeric(byte(r)) {
		suggestion = "put values in backticks or double quotes"
	}
	p.fail(p.pos, fmt.Sprintf("%q stands where %s should be", r, want), suggestion)
}

func (p *ruleParser) noMatcher() {
	if p.pos >= len(p.text) {
		message, suggestion := "the rule ends where a matcher should be", "remove the operator before it, or write a matcher"
		if strings.TrimSpace(p.text) == "" {
			message, suggestion = "the rule is empty", "write one such as Host(`example.com`)"
		}
		p.fail(p.pos, message, suggestion)
		return
	}
	r, _ := utf8.DecodeRuneInString(p.text[p.pos:])
	p.fail(p.pos, fmt.Sprintf("%q stands where a matcher should be", r), "matchers look like Host(`example.com`)")
}

// leftover reports what stands where an operator or the end should be.
func (p *ruleParser) leftover() {
	rest := p.text[p.pos:]
	r, _ := utf8.DecodeRuneInString(rest)
	message, suggestion := fmt.Sprintf("%q stands where && or || should be", r), ""
	switch lower := strings.ToLower(rest); {
	case r == '&' || strings.HasPrefix(lower, "and"):
		suggestion = "write &&"
	case r == '|' || strings.HasPrefix(lower, "or"):
		suggestion = "write ||"
	case r == ';':
		suggestion = "write && for the semicolon of Traefik v1"
	case r == ',':
		suggestion = "write || for the comma"
	case r == ')':
		message, suggestion = "this parenthesis closes nothing", "remove it"
	}
	p.fail(p.pos, message, suggestion)
}
