package traefikdiff

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// newGenerator begins with the same seed each time, or with the one in
// EDGEROUTER_TEST_SEED.
func newGenerator(t *testing.T) generator {
	t.Helper()
	seed := uint64(1)
	if v := os.Getenv("EDGEROUTER_TEST_SEED"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seed = n
	}
	return generator{rand.New(rand.NewPCG(seed, 3))}
}

// tooMany ends a test that has told enough.
const tooMany = 20

// TestRules: 3,000 generated rules are taken or refused by both, and each takes
// the same of twelve generated requests.
func TestRules(t *testing.T) {
	g, us := newGenerator(t), newOurs(t)
	counts := map[string]int{}
	taken, asked := 0, 0
	for n := 0; n < 3000 && counts[""] < tooMany; n++ {
		routes := []route{{rule: g.rule(3)}}
		them, refused := newTheirs(t, routes), us.serve(routes)
		if theirs, ours := them.refused[0], refused[0]; (theirs == nil) != (ours == nil) {
			c := ruleClass(routes[0], theirs, ours)
			if counts[c]++; c == "" {
				t.Errorf("rule %q\n  Traefik: %v\n  here:    %v", routes[0].rule, theirs, ours)
			}
			continue
		} else if theirs != nil {
			continue
		}
		taken++
		for range 12 {
			request := g.request()
			want := them.ask(request)
			got, code := us.ask(request)
			if asked++; got == want {
				continue
			}
			c := requestClass(request)
			if counts[c]++; c == "" {
				t.Errorf("Traefik: %q, here: %q (%d) for %q of %q", want, got, code, request, routes[0].rule)
			}
		}
	}
	t.Logf("%d rules taken by both, %d requests; differences by class: %v", taken, asked, counts)
}
