package peer

import (
	"bytes"
	"fmt"
)

// Caddy is Caddy without its admin interface and logs.
type Caddy struct {
	Binary, Says string
}

func (c Caddy) Name() string    { return "caddy" }
func (c Caddy) Version() string { return c.Says }

// Plan writes a Caddyfile.
func (c Caddy) Plan(j Job) (Plan, error) {
	if j.Site != nil {
		return c.sitePlan(j)
	}
	var b bytes.Buffer
	p := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	p("{")
	p("\tadmin off")
	p("\tauto_https off")
	p("\tpersist_config off")
	p("\tstorage file_system %s", j.path("storage"))
	p("\tservers {")
	p("\t\tprotocols h1 h2")
	p("\t}")
	p("\tlog {")
	p("\t\tlevel ERROR")
	p("\t}")
	p("}")
	p("(peers) {")
	p("\tbind %s", j.HTTP.Addr())
	p("\treverse_proxy {")
	for _, o := range j.Origins {
		p("\t\tto %s", o)
	}
	p("\t\tlb_policy round_robin")
	if !j.Bare {
		p("\t\theader_up X-Real-IP {http.request.remote.host}")
		p("\t\theader_up X-Request-ID {http.request.uuid}")
	}
	p("\t\ttransport http {")
	p("\t\t\tkeepalive_idle_conns_per_host 256")
	p("\t\t\tcompression off")
	p("\t\t}")
	p("\t}")
	p("}")
	p("http://:%d {", j.HTTP.Port())
	p("\timport peers")
	p("}")
	p("https://:%d {", j.HTTPS.Port())
	p("\ttls %s %s", j.Cert, j.Key)
	p("\timport peers")
	p("}")
	if j.Apps > 0 || j.Probe >= 0 {
		return Plan{}, fmt.Errorf("caddy: %w", ErrNotSimple)
	}
	return Plan{
		Argv:  []string{c.Binary, "run", "--adapter", "caddyfile", "--config", j.path("Caddyfile")},
		Files: map[string][]byte{"Caddyfile": b.Bytes()},
	}, nil
}
