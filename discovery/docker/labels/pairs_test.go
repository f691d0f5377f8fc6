package labels

import (
	"strings"
	"testing"

	"edgerouter/app"
)

const hash = "u:$apr1$x$y0Qd1ZzPBNSnBFcVYbCOz0"

// Routers of one container that take the same requests: nothing is served without
// the guards that any of them has.
func TestRoutersOfOneRule(t *testing.T) {
	guard := map[string]string{"traefik.http.middlewares.pw.basicauth.users": hash, "traefik.http.middlewares.ip.ipallowlist.sourcerange": "10.0.0.0/8",
		"traefik.http.middlewares.tls.redirectscheme.scheme": "https", "traefik.http.middlewares.gz.compress": "true"}
	for _, tt := range []struct {
		name   string
		labels string
		want   string // "broken", or applications with their guards
	}{
		{"Coolify: a redirect and a password, services of their own", "http.rule=Host(`a.x`);http.entrypoints=http;http.middlewares=tls;http.service=s0;https.rule=Host(`a.x`);https.entrypoints=https;https.tls=true;https.middlewares=gz,pw;https.service=s1", "shop: compress basic_auth"},
		{"rules that differ in white space", "http.rule=Host(`a.x`)&&PathPrefix(`/`);http.entrypoints=web;http.service=s0;https.rule=Host(`a.x`) && PathPrefix(`/`);https.entrypoints=websecure;https.middlewares=pw;https.service=s1", "shop: basic_auth (plain)"},
		{"guards on both, not the same", "http.rule=Host(`a.x`);http.entrypoints=web;http.service=s0;http.middlewares=ip;https.rule=Host(`a.x`);https.entrypoints=websecure;https.middlewares=pw;https.service=s1", "broken"},
		{"a guard on plain HTTP alone", "http.rule=Host(`a.x`);http.entrypoints=web;http.service=s0;http.middlewares=pw;https.rule=Host(`a.x`);https.entrypoints=websecure;https.service=s1", "broken"},
		{"both everywhere, one with a password", "a.rule=Host(`a.x`);a.service=s0;b.rule=Host(`a.x`);b.service=s1;b.middlewares=pw", "broken"},
		{"the same in one service", "a.rule=Host(`a.x`);a.service=s0;b.rule=Host(`a.x`);b.service=s0;b.middlewares=pw", "broken"},
		{"one is behind the other by its priority", "a.rule=Host(`a.x`);a.service=s0;a.priority=1;b.rule=Host(`a.x`);b.service=s1;b.middlewares=pw", "shop-s0: ; shop-s1: basic_auth"},
		{"the same guards", "a.rule=Host(`a.x`);a.service=s0;a.middlewares=pw;b.rule=Host(`a.x`);b.service=s1;b.middlewares=pw,gz", "shop-s0: basic_auth; shop-s1: basic_auth compress"},
		{"a redirect for everything stays on plain HTTP", "r.rule=HostRegexp(`.+`);r.priority=1;r.entrypoints=web;r.middlewares=tls", "shop: redirect_scheme (only plain)"},
		{"an entry point that is not known", "r.rule=Host(`a.x`);r.entrypoints=websecure,vpn", "broken"},
		{"an entry point that is mapped", "r.rule=Host(`a.x`);r.entrypoints=LAN", "shop:  (only plain)"},
		{"an entry point that is off beside one that is not", "r.rule=Host(`a.x`);r.entrypoints=internal,websecure", "shop: "},
		{"a router that is off", "r.rule=Host(`a.x`);r.entrypoints=websecure;i.rule=Host(`b.x`);i.entrypoints=internal", "shop: "},
		{"nothing but what is off", "i.rule=Host(`b.x`);i.entrypoints=internal", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			given := map[string]string{"edgerouter.auth": "public"}
			for k, v := range guard {
				given[k] = v
			}
			for pair := range strings.SplitSeq(tt.labels, ";") {
				k, v, _ := strings.Cut(pair, "=")
				given["traefik.http.routers."+k] = v
				if strings.HasSuffix(k, ".service") {
					given["traefik.http.services."+v+".loadbalancer.server.port"] = "80"
				}
			}
			points, err := ParseEntryPoints("internal=off, lan=http")
			if err != nil {
				t.Fatal(err)
			}
			r := Compile("shop", given, Options{EntryPoints: points})
			var got []string
			for _, a := range r.Apps {
				if a.Broken {
					got = append(got, "broken")
					continue
				}
				var kinds []string
				for _, m := range a.Definition.Middlewares {
					kinds = append(kinds, string(m.Kind))
				}
				text := a.Definition.ID + ": " + strings.Join(kinds, " ")
				switch f := a.Definition.Frontends[0]; {
				case f.OnlyInsecureHTTP:
					text += " (only plain)"
				case f.AllowInsecureHTTP:
					text += " (plain)"
				}
				got = append(got, text)
			}
			all := strings.Join(got, "; ")
			if tt.want == "broken" {
				for _, a := range r.Apps {
					if !a.Broken {
						t.Errorf("%s is served: %s", a.Definition.ID, all)
					}
				}
				return
			}
			if all != tt.want || r.In != (tt.want != "") {
				t.Errorf("became %q (in: %v, %s), want %q", all, r.In, r.Why, tt.want)
			}
		})
	}
}

func TestEntryPointsThatCannotBeRead(t *testing.T) {
	for _, s := range []string{"web", "=http", "web=tcp", "a=http,b"} {
		if _, err := ParseEntryPoints(s); err == nil {
			t.Errorf("%q is read", s)
		}
	}
}

// Labels are written by whoever may start a container.
func TestLabelsAreNotTrusted(t *testing.T) {
	for _, tt := range []struct{ label, value string }{
		{"traefik.http.middlewares.m.basicauth.usersfile", "/etc/passwd"},
		{"traefik.http.middlewares.m.basicauth.users", "file:/etc/passwd"},
		{"traefik.http.middlewares.m.forwardauth.tls.ca", "/etc/ca.pem"},
		{"edgerouter.auth_bearer_token", "env:HOME"},
		{"edgerouter.auth_bearer_token", "file:/run/secrets/x"},
		{"traefik.http.middlewares.m.forwardauth.address", "http://127.0.0.1:9090/"},
		{"traefik.http.middlewares.m.forwardauth.address", "http://[::1]/"},
		{"traefik.http.middlewares.m.forwardauth.address", "http://[::ffff:127.0.0.1]/"},
		{"traefik.http.middlewares.m.forwardauth.address", "http://169.254.169.254/latest"},
		{"traefik.http.middlewares.m.forwardauth.address", "http://0.0.0.0/"},
		{"traefik.http.middlewares.m.forwardauth.address", "http://LocalHost:80/"},
	} {
		given := map[string]string{"edgerouter.auth": "public", "traefik.http.routers.r.rule": "Host(`a.x`)", tt.label: tt.value}
		if strings.Contains(tt.label, ".m.") {
			given["traefik.http.routers.r.middlewares"] = "m"
			if strings.Contains(tt.label, ".tls.") {
				given["traefik.http.middlewares.m.forwardauth.address"] = "https://auth.x/"
			}
		} else {
			given["edgerouter.auth"] = "bearer_token"
		}
		if r := Compile("shop", given, Options{}); !r.Apps[0].Broken || !strings.HasPrefix(tt.label, r.Apps[0].Problems[0].Field) {
			t.Errorf("%s=%s: %+v", tt.label, tt.value, r.Apps[0].Problems)
		}
		if r := Compile("shop", given, Options{Trust: true}); r.Apps[0].Broken && tt.value != "file:/etc/passwd" {
			t.Errorf("%s=%s with trust: %+v", tt.label, tt.value, r.Apps[0].Problems)
		}
	}
	given := map[string]string{"edgerouter.auth": "public", "traefik.http.routers.r.rule": "Host(`a.x`)", "traefik.http.routers.r.middlewares": "m", "traefik.http.middlewares.m.forwardauth.address": "http://auth.x/"}
	d := Compile("shop", given, Options{}).Apps[0].Definition
	if !d.Middlewares[0].ForwardAuth.RefuseLocal || d.Backend.PeerSet.Turbocharger != "off" {
		t.Errorf("became %+v", d)
	}
	if fields := app.Outside(d); len(fields) > 0 {
		t.Errorf("reads %v", fields)
	}
}
