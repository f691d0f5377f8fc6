package peer

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func job() Job {
	at := func(port uint16) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
	}
	return Job{
		Dir: "/tmp/d", HTTP: at(8080), HTTPS: at(8443), Admin: at(9090), Origins: []netip.AddrPort{at(8001), at(8002)},
		Cert: "/tmp/c/cert.crt", Key: "/tmp/c/cert.key", Both: "/tmp/both.pem", CertDir: "/tmp/c",
		Conns: 64, Probe: -1, Root: true,
	}
}

// TestPlansGolden shows each configuration in full, so that a change of one is
// seen for what it is.
func TestPlansGolden(t *testing.T) {
	many := job()
	many.Apps, many.Probe, many.SplitApps, many.Large = 2, 1, true, true
	bare := job()
	bare.Bare, bare.Root = true, false
	site := job()
	site.Site = &Site{Root: "/tmp/site", Store: "file:///tmp/store", Manifest: "EaTUYaox0knEQXt5pYiUvKLdcCi1gCXpt51L5aSXCz8"}
	for _, c := range []struct {
		name string
		p    Proxy
		j    Job
	}{
		{"nginx", Nginx{Binary: "nginx"}, job()},
		{"nginx-bare", Nginx{Binary: "nginx"}, bare},
		{"nginx-many", Nginx{Binary: "nginx"}, many},
		{"haproxy", HAProxy{Binary: "haproxy"}, job()},
		{"haproxy-bare", HAProxy{Binary: "haproxy"}, bare},
		{"haproxy-many", HAProxy{Binary: "haproxy"}, many},
		{"caddy", Caddy{Binary: "caddy"}, job()},
		{"caddy-bare", Caddy{Binary: "caddy"}, bare},
		{"edgerouter", Edgerouter{Binary: "edgerouter"}, job()},
		{"edgerouter-many", Edgerouter{Binary: "edgerouter", Args: []string{"--log-level", "warn"}}, many},
		{"nginx-site", Nginx{Binary: "nginx", Label: "nginx-304"}, site},
		{"caddy-site", Caddy{Binary: "caddy"}, site},
		{"edgerouter-site", Edgerouter{Binary: "edgerouter"}, site},
		{"built", Built{Self: []string{"edgerouter", "bench"}, Sub: "proxy-httputil"}, bare},
	} {
		t.Run(c.name, func(t *testing.T) {
			plan, err := c.p.Plan(c.j)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			fmt.Fprintf(&b, "$ %s\n", strings.Join(plan.Argv, " "))
			var names []string
			for name := range plan.Files {
				names = append(names, name)
			}
			slices.Sort(names)
			for _, name := range names {
				fmt.Fprintf(&b, "\n== %s\n%s", name, plan.Files[name])
			}
			file := filepath.Join("testdata", c.name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Errorf("%s (go test ./bench/peer -update rewrites it):\n%s", file, diff)
			}
		})
	}
}

func TestJobsWithoutAnEquivalent(t *testing.T) {
	many := job()
	many.Apps = 3
	probe := job()
	probe.Probe = 0
	site := job()
	site.Site = &Site{}
	for _, p := range []Proxy{HAProxy{}, Built{Label: "httputil"}} {
		if _, err := p.Plan(site); !errors.Is(err, ErrNotSimple) {
			t.Errorf("%s, a static site: %v", p.Name(), err)
		}
	}
	for _, p := range []Proxy{Caddy{}, Built{Label: "httputil"}} {
		for _, j := range []Job{many, probe} {
			if _, err := p.Plan(j); !errors.Is(err, ErrNotSimple) {
				t.Errorf("%s: %v", p.Name(), err)
			}
		}
	}
}

func TestProbeFileIsTheOnlyOneThatChanges(t *testing.T) {
	for _, split := range []bool{false, true} {
		j := job()
		j.Apps, j.Probe, j.SplitApps = 3, 0, split
		before, err := Applications(j)
		if err != nil {
			t.Fatal(err)
		}
		j.Probe = 1
		after, err := Applications(j)
		if err != nil {
			t.Fatal(err)
		}
		var changed []string
		for name := range before {
			if string(before[name]) != string(after[name]) {
				changed = append(changed, name)
			}
		}
		if !slices.Equal(changed, []string{ProbeFile(j)}) {
			t.Errorf("split %v: %v changed, want %s", split, changed, ProbeFile(j))
		}
	}
}

func TestExtra(t *testing.T) {
	e, err := ParseExtra(`proto=/tmp/my proxy -l {http},{https} -t "{origin1} {origin2}" --dir={dir} "" {cert} {key} {both} {certdir} {apps} {admin}`)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := e.Plan(job())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"/tmp/my", "proxy", "-l", "127.0.0.1:8080,127.0.0.1:8443", "-t", "127.0.0.1:8001 127.0.0.1:8002", "--dir=/tmp/d", "",
		"/tmp/c/cert.crt", "/tmp/c/cert.key", "/tmp/both.pem", "/tmp/c", "/tmp/d/apps.json", "127.0.0.1:9090"}
	if diff := cmp.Diff(want, plan.Argv); diff != "" || e.Name() != "proto" {
		t.Errorf("%s: %s", e.Name(), diff)
	}
	if plan.Files["apps.json"] == nil {
		t.Error("no applications file")
	}
	for _, wrong := range []string{"", "name", "name=", "=cmd", `name=""`[:5] + " "} {
		if _, err := ParseExtra(wrong); err == nil || !strings.Contains(err.Error(), "--extra") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

func TestFindSaysWhatIsMissing(t *testing.T) {
	if _, err := Find(t.Context(), "apache", "", nil); err == nil || !strings.Contains(err.Error(), "nginx") {
		t.Errorf("an unknown name: %v", err)
	}
	if _, err := Find(t.Context(), "edgerouter", "/bin/false", nil); err == nil || !strings.Contains(err.Error(), "--edgerouter") {
		t.Errorf("a program without serve: %v", err)
	}
	p, err := Find(t.Context(), "httputil", "", []string{"self", "bench"})
	if err != nil || p.Name() != "httputil" || p.Version() == "" {
		t.Errorf("%v, %v", p, err)
	}
}
