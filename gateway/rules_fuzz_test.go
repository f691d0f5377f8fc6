package gateway

import (
	"net/netip"
	"testing"

	"edgerouter/app"
	"edgerouter/router"
)

// sameAttributes are what rules see of a request.
type sameAttributes struct{}

func (sameAttributes) Method() []byte { return []byte("GET") }
func (sameAttributes) Header(_ string, from int) ([]byte, int) {
	if from > 0 {
		return nil, 0
	}
	return []byte("v"), 1
}
func (sameAttributes) Query() []byte        { return []byte("a=b&c") }
func (sameAttributes) ClientIP() netip.Addr { return netip.AddrFrom4([4]byte{10, 1, 2, 3}) }

// FuzzRule checks that each rule that can be read can be served: it compiles,
// and when it is no more than hosts and a prefix, its entries of exact hosts take
// what it takes.
func FuzzRule(f *testing.F) {
	for _, s := range []string{
		"Host(`a`)", "Host(`A.`) && PathPrefix(`/%61/`)", "(Host(`a`) || Host(`b`)) && PathPrefix(`/x`)", "PathPrefix(`/`) && Host(`[::1]`)",
		"ClientIP(`10.1.2.3/8`) || ClientIP(`fe80::1`)", "!(HeaderRegexp(`X`, `a{2}`) && QueryRegexp(`a`))", "HostRegexp(`(?i)A`) && Path(`/a%2Fb`)",
	} {
		f.Add(s, "a", "/a/b")
	}
	f.Fuzz(func(t *testing.T, text, host, path string) {
		if _, err := app.ParseRule(text); err != nil {
			return
		}
		fe, err := newFrontend(&app.Frontend{Kind: app.FrontendRule, Rule: text}, router.Entry{App: "a"})
		if err != nil {
			t.Fatalf("%q can be read and not be served: %v", text, err)
		}
		normal, err := router.NormalizePath(nil, []byte(path))
		if err != nil {
			return
		}
		asRule, conflicts := router.Build([]*router.Entry{fe.entry}, nil)
		if len(conflicts) > 0 {
			t.Fatalf("%q: %v", text, conflicts)
		}
		asRule.Match([]byte(host), normal, sameAttributes{})
		if fe.rule.plain == nil {
			return
		}
		asHosts, conflicts := router.Build(fe.rule.plain.entries, nil)
		if len(conflicts) > 0 {
			t.Fatalf("%q: %v", text, conflicts)
		}
		for _, h := range append(fe.rule.plain.hosts, host) {
			got := asRule.Match([]byte(h), normal, sameAttributes{})
			if plain := asHosts.Match([]byte(h), normal, sameAttributes{}); (plain == nil) != (got == nil) {
				t.Fatalf("%q takes %s%s: as a rule %v, as hosts %v", text, h, normal, got != nil, plain != nil)
			}
		}
	})
}
