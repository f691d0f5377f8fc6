package file

import (
	"crypto/ecdsa"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/certs"
	"edgerouter/discovery/watch"
	"edgerouter/internal/testkit"
)

// issuance is what a CA hands out: the four files of a renewal.
type issuance struct {
	serial string
	files  map[string]string
}

// authorities are a root and two intermediates of it.
type authorities struct {
	t      *testing.T
	inter  [2]*x509.Certificate
	keys   [2]*ecdsa.PrivateKey
	issued int
}

func newAuthorities(t *testing.T) *authorities {
	a := &authorities{t: t}
	rootKey := newKey(t)
	root := issueAs(t, rootKey, nil, nil, "root")
	for i := range a.inter {
		a.keys[i] = newKey(t)
		a.inter[i] = issueAs(t, a.keys[i], root, rootKey, fmt.Sprintf("intermediate %d", i))
	}
	return a
}

func (a *authorities) issue(by int, valid time.Duration) issuance {
	a.t.Helper()
	key := newKey(a.t)
	a.issued++
	leaf := issue(a.t, key, a.inter[by], a.keys[by], valid, "shop.example.com")
	return issuance{leaf.SerialNumber.String(), map[string]string{
		"cert.pem": certPEM(leaf), "chain.pem": certPEM(a.inter[by]),
		"fullchain.pem": certPEM(leaf, a.inter[by]), "privkey.pem": keyPEM(a.t, key),
	}}
}

// orders are all the orders of a list.
func orders(list []string) (all [][]string) {
	if len(list) == 0 {
		return [][]string{nil}
	}
	for i, first := range list {
		rest := append(append([]string{}, list[:i]...), list[i+1:]...)
		for _, o := range orders(rest) {
			all = append(all, append([]string{first}, o...))
		}
	}
	return all
}

// ways are how a file comes to have other content.
var ways = map[string]func(t *testing.T, dir, name, content string, round int){
	"in place": func(t *testing.T, dir, name, content string, _ int) { put(t, filepath.Join(dir, name), content) },
	"renamed": func(t *testing.T, dir, name, content string, _ int) {
		put(t, filepath.Join(dir, name+"~"), content)
		must(t, os.Rename(filepath.Join(dir, name+"~"), filepath.Join(dir, name)))
	},
	"symbolic links": func(t *testing.T, dir, name, content string, round int) {
		target := filepath.Join(filepath.Dir(dir), "archive", fmt.Sprintf("%d", round), name)
		put(t, target, content)
		must(t, os.Symlink(target, filepath.Join(dir, name+"~")))
		must(t, os.Rename(filepath.Join(dir, name+"~"), filepath.Join(dir, name)))
	},
}

// Whatever the order in which the files of two renewals come, however they are
// replaced, and however long it takes between any two: a whole chain is served at
// every moment, and at the end that of the last renewal alone.
func TestRenewalFileByFile(t *testing.T) {
	a := newAuthorities(t)
	names := []string{"cert.pem", "chain.pem", "fullchain.pem", "privkey.pem"}
	for _, next := range []int{0, 1} { // the intermediate of the renewals: the same, another
		rounds := []issuance{a.issue(0, 100*time.Hour), a.issue(next, 200*time.Hour), a.issue(1-next, 300*time.Hour)}
		for _, set := range [][]string{names, {"cert.pem", "chain.pem", "privkey.pem"}, {"fullchain.pem", "privkey.pem"}} {
			for way, write := range ways {
				for _, order := range orders(set) {
					for _, gap := range []time.Duration{time.Millisecond, time.Hour} {
						if !testkit.IsLong() && next == 0 && way != "in place" {
							continue
						}
						t.Run(fmt.Sprintf("intermediate %d, %s, %v, %v", next, way, order, gap), func(t *testing.T) {
							dir := filepath.Join(t.TempDir(), "live")
							must(t, os.MkdirAll(dir, 0o755))
							s := New(dir, zerolog.Nop())
							now := time.Now()
							var list []*certs.Certificate
							var problems []certs.Problem
							look := func() {
								s.look(watch.Look{All: true, Asked: true}, now, func(l []*certs.Certificate, p []certs.Problem) { list, problems = l, p })
							}
							for round, r := range rounds {
								for i, name := range order {
									write(t, dir, name, r.files[name], round)
									if round == 0 && i < len(order)-1 {
										continue // the first set is put there as a whole
									}
									look()
									now = now.Add(gap)
									look()
									if len(list) == 0 {
										t.Fatalf("renewal %d, after %s: nothing is served", round, name)
									}
									for _, c := range list {
										if len(c.TLS.Certificate) < 2 {
											t.Fatalf("renewal %d, after %s: the leaf %s is served without its intermediate", round, name, c.TLS.Leaf.SerialNumber)
										}
									}
								}
								now = now.Add(2 * settle)
								look()
								if len(list) != 1 || list[0].TLS.Leaf.SerialNumber.String() != r.serial || len(problems) > 0 {
									t.Fatalf("renewal %d: %d certificates, the first is %s, want %s alone; problems %v",
										round, len(list), list[0].TLS.Leaf.SerialNumber, r.serial, problems)
								}
							}
						})
					}
				}
			}
		}
	}
}

// A leaf whose intermediate is nowhere is served where there is nothing better, and
// that is told; it is whole as soon as the intermediate is there.
func TestMissingIntermediateIsTold(t *testing.T) {
	a := newAuthorities(t)
	for name, files := range map[string]map[string]string{
		"a pair":   {"site.crt": "cert.pem", "site.key": "privkey.pem"},
		"certbot":  {"cert.pem": "cert.pem", "privkey.pem": "privkey.pem"},
		"one file": {"site.pem": ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			r := a.issue(0, 100*time.Hour)
			for to, from := range files {
				content := r.files[from]
				if from == "" {
					content = r.files["cert.pem"] + r.files["privkey.pem"]
				}
				put(t, filepath.Join(dir, to), content)
			}
			b := start(t, dir)
			b.wantProblem("the chain of shop.example.com is not whole")
			b.wantProblem("intermediate 0")
			if got := b.told(); !strings.HasPrefix(got, "shop.example.com/"+r.serial) {
				t.Errorf("got %s", got)
			}
			put(t, filepath.Join(dir, "intermediate.pem"), r.files["chain.pem"])
			b.want("shop.example.com/%s", r.serial)
			if n := len(b.list[0].TLS.Certificate); n != 2 {
				t.Errorf("a chain of %d", n)
			}
		})
	}
}
