package peer

import (
	"bytes"
	"fmt"
)

// HAProxy is HAProxy with one thread.
type HAProxy struct {
	Binary, Says string
}

func (h HAProxy) Name() string    { return "haproxy" }
func (h HAProxy) Version() string { return h.Says }

// Plan writes haproxy.cfg; many applications become a map of host and prefix,
// which is how HAProxy does that best.
func (h HAProxy) Plan(j Job) (Plan, error) {
	if j.Site != nil {
		return Plan{}, fmt.Errorf("haproxy: %w", ErrNotSimple)
	}
	var b bytes.Buffer
	out := map[string][]byte{}
	p := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	p("global")
	p("  nbthread 1")
	// Its estimate of descriptors is two for each client, which are never used here.
	p("  no strict-limits")
	p("  maxconn %d", j.Conns+256)
	p("  ssl-default-bind-options ssl-min-ver TLSv1.2")
	p("  tune.ssl.default-dh-param 2048")
	if j.Large {
		// A quarter less CPU time for 1 MB, but 5% more for small responses.
		p("  tune.bufsize 65536")
	}
	p("defaults")
	p("  mode http")
	p("  no log")
	p("  option http-keep-alive")
	p("  http-reuse always")
	p("  retries 2")
	p("  timeout connect 5s")
	p("  timeout client 3600s")
	p("  timeout server 3600s")
	p("  timeout http-keep-alive 3600s")
	p("frontend edge")
	p("  bind %s backlog 4096", j.HTTP)
	p("  bind %s backlog 4096 ssl crt %s", j.HTTPS, j.Both)
	if !j.Bare {
		p("  http-request set-header X-Forwarded-For %%[src]")
		p("  http-request set-header X-Forwarded-Proto https if { ssl_fc }")
		p("  http-request set-header X-Forwarded-Proto http unless { ssl_fc }")
		p("  http-request set-header X-Forwarded-Host %%[req.hdr(host)]")
		p("  http-request set-header X-Real-IP %%[src]")
		p("  http-request set-header X-Request-ID %%[uuid()]")
	}
	if j.Probe >= 0 {
		p("  use_backend probe if { req.hdr(host) %s }", ProbeHost)
	}
	if j.Apps > 0 {
		p("  use_backend %%[base,map_beg(%s)]", j.path("apps.map"))
		var m bytes.Buffer
		for i := range j.Apps {
			for _, prefix := range Prefixes {
				fmt.Fprintf(&m, "%s%s peers\n", AppHost(i), prefix)
			}
		}
		out["apps.map"] = m.Bytes()
	} else {
		p("  default_backend peers")
	}
	p("backend peers")
	p("  balance roundrobin")
	for i, o := range j.Origins {
		p("  server s%d %s pool-purge-delay 3600s", i+1, o)
	}
	if j.Probe >= 0 {
		p("backend probe")
		p("  server s1 %s pool-purge-delay 3600s", j.Origins[j.Probe])
	}
	out["haproxy.cfg"] = b.Bytes()
	return Plan{Argv: []string{h.Binary, "-db", "-f", j.path("haproxy.cfg")}, Files: out}, nil
}
