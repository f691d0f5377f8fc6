package labels

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"edgerouter/app"
)

func (r *ruleV1) host(values []string) error {
	var hosts []app.Rule
	for _, v := range values {
		hosts = append(hosts, matcher(app.MatcherHost, v))
	}
	r.need(anyOf(hosts))
	return nil
}

func (r *ruleV1) hostRegexp(values []string) error {
	if len(r.patterns) > 0 {
		r.only = false
	}
	var hosts []app.Rule
	for _, v := range values {
		t, err := parseTemplate(v, hostTemplate)
		if err != nil {
			return err
		}
		hosts = append(hosts, matcher(app.MatcherHostRegexp, "^"+t.expr+"$"))
	}
	r.patterns = values
	r.all = append(r.all, anyOf(hosts))
	return nil
}

// paths are Path and PathPrefix. A prefix is one of text, as in Traefik:
// /products takes /products-for-sale as well.
func (r *ruleV1) paths(values []string, prefix bool) error {
	var paths []app.Rule
	for _, v := range values {
		rule, _, err := pathRule(v, prefix)
		if err != nil {
			return err
		}
		paths = append(paths, rule)
	}
	r.need(anyOf(paths))
	return nil
}

// pathRule is the condition for one path, and its regexp when it has parts in
// braces.
func pathRule(v string, prefix bool) (rule app.Rule, expr string, err error) {
	t, err := parseTemplate(v, pathTemplate)
	if err != nil {
		return nil, "", err
	}
	if !strings.HasPrefix(v, "/") {
		return nil, "", fmt.Errorf("the path %q does not begin with a slash", short(v))
	}
	switch {
	case t.plain && prefix:
		return matcher(app.MatcherPathPrefix, v), "", nil
	case t.plain:
		return matcher(app.MatcherPath, v), "", nil
	case prefix:
		return matcher(app.MatcherPathRegexp, "^"+t.expr), "^" + t.expr, nil
	}
	return matcher(app.MatcherPathRegexp, "^"+t.expr+"$"), "^" + t.expr + "$", nil
}

// stripped are PathStrip and PathPrefixStrip. What is removed is whole segments,
// so the prefix is matched by whole segments as well: /api takes /api and /api/x
// and not /apis, of which "s" would be left.
func (r *ruleV1) stripped(values []string, prefix bool) error {
	for _, v := range values {
		rule, expr, err := pathRule(v, prefix)
		switch {
		case err != nil:
			return err
		case expr != "":
			return fmt.Errorf("%q has a part in braces: use PathPrefixStripRegex", short(v))
		case v == "/":
			r.need(rule)
			continue
		case prefix && !strings.HasSuffix(v, "/"):
			rule = app.RuleOr{Rules: []app.Rule{matcher(app.MatcherPath, v), matcher(app.MatcherPathPrefix, v+"/")}}
		}
		if len(r.strips) == maxStrips {
			return fmt.Errorf("more than %d prefixes to strip", maxStrips)
		}
		r.strips = append(r.strips, strip{rule, v})
	}
	r.only = false
	return nil
}

// removed are PathStripRegex and PathPrefixStripRegex.
func (r *ruleV1) removed(values []string, prefix bool) error {
	var paths []app.Rule
	for _, v := range values {
		rule, expr, err := pathRule(v, prefix)
		if err != nil {
			return err
		}
		if expr == "" {
			expr = "^" + regexp.QuoteMeta(v)
		}
		paths = append(paths, rule)
		r.removes = append(r.removes, strings.TrimSuffix(expr, "$"))
	}
	r.need(anyOf(paths))
	return nil
}

func (r *ruleV1) methods(values []string) error {
	var methods []app.Rule
	for _, v := range values {
		methods = append(methods, matcher(app.MatcherMethod, strings.ToUpper(v)))
	}
	r.need(anyOf(methods))
	return nil
}

// headers takes pairs of name and value, all of which have to be there.
func (r *ruleV1) headers(values []string) error {
	return r.pairs("Headers", app.MatcherHeader, values)
}

func (r *ruleV1) headersRegexp(values []string) error {
	return r.pairs("HeadersRegexp", app.MatcherHeaderRegexp, values)
}

func (r *ruleV1) pairs(name, as string, values []string) error {
	if len(values)%2 != 0 {
		return fmt.Errorf("%s takes pairs of a name and a value with commas between them, this has %d values", name, len(values))
	}
	for i := 0; i < len(values); i += 2 {
		r.need(matcher(as, values[i], values[i+1]))
	}
	return nil
}

// queries takes name=value, all of which have to be there.
func (r *ruleV1) queries(values []string) error {
	for _, v := range values {
		name, value, _ := strings.Cut(v, "=")
		t, err := parseTemplate(value, pathTemplate)
		switch {
		case err != nil:
			return err
		case value == "":
			r.need(matcher(app.MatcherQuery, name))
		case t.plain:
			r.need(matcher(app.MatcherQuery, name, value))
		default:
			r.need(matcher(app.MatcherQueryRegexp, name, "^"+t.expr+"$"))
		}
	}
	return nil
}

// replacePath takes a regexp and its replacement with a space between them.
func (r *ruleV1) replacePath(values []string) error {
	expr, with, ok := strings.Cut(values[0], " ")
	if !ok {
		return errors.New("ReplacePathRegex takes a regexp and its replacement with a space between them")
	}
	r.rewrites = append(r.rewrites, app.Middleware{Kind: app.MiddlewareReplacePath, ReplacePath: &app.ReplacePathOpts{
		Regexp: expr, Replacement: strings.TrimSpace(with),
	}})
	return nil
}
