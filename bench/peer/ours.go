package peer

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrNotSimple says that a proxy has no simple equivalent of a job: it does not
// take part in that scenario.
var ErrNotSimple = errors.New("this job has no simple equivalent in its configuration")

// Edgerouter is the binary under test.
type Edgerouter struct {
	Binary, Says string
	// Label is shown instead of "edgerouter", for a second one with other settings.
	Label string
	// Args are further flags of serve.
	Args []string
}

func (e Edgerouter) Name() string {
	if e.Label != "" {
		return e.Label
	}
	return "edgerouter"
}
func (e Edgerouter) Version() string { return e.Says }

type object = map[string]any

func application(id, host string, prefixes []string, peers []string) object {
	var frontends []object
	for _, p := range prefixes {
		frontends = append(frontends, object{"kind": "hostname", "hostname": host, "path_prefix": p, "allow_insecure_http": true})
	}
	return object{
		"id":        id,
		"frontends": frontends,
		"backend":   object{"kind": "peer_set", "peer_set_opts": object{"addrs": peers, "pass_host_header": true}},
	}
}

func appsFile(apps ...object) ([]byte, error) {
	b, err := json.MarshalIndent(object{"apps": apps}, "", " ")
	return append(b, '\n'), err
}

// AppsPath is what --apps is set to: a file, or a folder with SplitApps.
func AppsPath(j Job) string {
	if j.SplitApps {
		return j.path("apps")
	}
	return j.path("apps.json")
}

// Applications is the application files of a job, by path relative to its
// folder. ProbeFile names the one that holds the probe.
func Applications(j Job) (map[string][]byte, error) {
	var peers []string
	for _, o := range j.Origins {
		peers = append(peers, "http://"+o.String())
	}
	apps := []object{}
	switch {
	case j.Site != nil:
		apps = append(apps, siteApplication(j.Site))
	case j.LambdaRegion != "":
		apps = append(apps, lambdaApplication(j.LambdaRegion))
	case j.Apps == 0:
		a := application("bench", Host, []string{"/"}, peers)
		if j.Guarded {
			a["backend"] = object{"kind": "auth_v0", "auth_v0_opts": object{"bearer_token": BearerToken, "authorized_backend": a["backend"]}}
		}
		apps = append(apps, a)
	}
	for i := range j.Apps {
		apps = append(apps, application(fmt.Sprintf("app-%05d", i), AppHost(i), Prefixes[:], peers))
	}
	var probe []object
	if j.Probe >= 0 {
		probe = append(probe, application("probe", ProbeHost, []string{"/"}, peers[j.Probe:j.Probe+1]))
	}
	out := map[string][]byte{}
	if !j.SplitApps {
		b, err := appsFile(append(apps, probe...)...)
		out["apps.json"] = b
		return out, err
	}
	b, err := appsFile(apps...)
	if err != nil {
		return nil, err
	}
	out["apps/apps.json"] = b
	if j.Probe >= 0 {
		if out["apps/probe.json"], err = appsFile(probe...); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// ProbeFile is the file that a change of the probe's peer rewrites.
func ProbeFile(j Job) string {
	if j.SplitApps {
		return "apps/probe.json"
	}
	return "apps.json"
}

// Plan writes the application files.
func (e Edgerouter) Plan(j Job) (Plan, error) {
	out, err := Applications(j)
	if err != nil {
		return Plan{}, fmt.Errorf("edgerouter: write the applications: %w", err)
	}
	// All load is of one client, which limits for the internet would slow down. A
	// binary that does not know the variables passes them over.
	argv := []string{"env", "EDGEROUTER_MAX_CONNECTIONS_PER_IP=0", "EDGEROUTER_MAX_HANDSHAKES=0", "EDGEROUTER_MAX_BODY=0", e.Binary, "serve",
		"--http", j.HTTP.String(), "--https", j.HTTPS.String(), "--admin", j.Admin.String(),
		"--data", j.path("data"), "--apps", AppsPath(j), "--bus", "off", "--docker", "off",
		"--cert-dir", j.CertDir, "--access-log", "off"}
	if j.Site != nil {
		argv = append(argv, "--turbocharger-store", j.Site.Store)
	}
	if j.Guarded {
		out["ip.hcl"] = ipRules()
		argv = append(argv, "--ip-rules", j.path("ip.hcl"))
	}
	return Plan{Argv: j.within(append(argv, e.Args...)), Files: out}, nil
}

// ipRules are 10,000 rules of lengths that differ, and the one for loopback.
func ipRules() []byte {
	rules := []byte("allow_all { prefix = \"127.0.0.0/8\" }\n")
	for i := range 10_000 {
		rules = fmt.Appendf(rules, "allow_all { prefix = \"10.%d.%d.0/%d\" }\n", i/256, i%256, 24+i%9)
	}
	return rules
}

// Built is a proxy that is built into this program: a subcommand of bench.
type Built struct {
	Label string
	Self  []string // how this program's bench command is called
	Sub   string   // the subcommand
	Says  string
}

func (b Built) Name() string    { return b.Label }
func (b Built) Version() string { return b.Says }

// Plan needs no files.
func (b Built) Plan(j Job) (Plan, error) {
	if j.Apps > 0 || j.Probe >= 0 || j.Site != nil {
		return Plan{}, fmt.Errorf("%s: %w", b.Label, ErrNotSimple)
	}
	var origins []string
	for _, o := range j.Origins {
		origins = append(origins, o.String())
	}
	argv := append(slices.Clone(b.Self), b.Sub, "--http", j.HTTP.String(), "--https", j.HTTPS.String(),
		"--cert", j.Cert, "--key", j.Key, "--origin", strings.Join(origins, ","))
	if j.Bare {
		argv = append(argv, "--bare")
	}
	return Plan{Argv: j.within(argv)}, nil
}

// Extra is any command that is a proxy, given with placeholders: {http}, {https},
// {admin}, {origin1}, {origin2}, {dir}, {cert}, {key}, {both}, {certdir}, {apps},
// and {store}, the Turbocharger store of a static site.
type Extra struct {
	Label   string
	Command []string
}

func (e Extra) Name() string    { return e.Label }
func (e Extra) Version() string { return strings.Join(e.Command, " ") }

// ParseExtra reads NAME=COMMAND. Words of the command are separated by spaces;
// double quotes keep a word together.
func ParseExtra(s string) (Extra, error) {
	name, command, ok := strings.Cut(s, "=")
	words := split(command)
	if !ok || name == "" || len(words) == 0 {
		return Extra{}, fmt.Errorf("--extra %q: want NAME=COMMAND, for example proto=\"/tmp/proxy -listen {http} -to {origin1},{origin2}\"", s)
	}
	return Extra{Label: name, Command: words}, nil
}

func split(s string) []string {
	var words []string
	var word strings.Builder
	quoted, some := false, false
	for _, c := range s {
		switch {
		case c == '"':
			quoted, some = !quoted, true
		case c == ' ' && !quoted:
			if some {
				words = append(words, word.String())
			}
			word.Reset()
			some = false
		default:
			word.WriteRune(c)
			some = true
		}
	}
	if some {
		words = append(words, word.String())
	}
	return words
}

// Plan fills in the placeholders. The application files are written too, for
// commands that read them.
func (e Extra) Plan(j Job) (Plan, error) {
	out, err := Applications(j)
	if err != nil {
		return Plan{}, err
	}
	pairs := []string{"{http}", j.HTTP.String(), "{https}", j.HTTPS.String(), "{admin}", j.Admin.String(),
		"{dir}", j.Dir, "{cert}", j.Cert, "{key}", j.Key, "{both}", j.Both, "{certdir}", j.CertDir, "{apps}", AppsPath(j)}
	if j.Site != nil {
		pairs = append(pairs, "{store}", j.Site.Store)
	}
	for i, o := range j.Origins {
		pairs = append(pairs, fmt.Sprintf("{origin%d}", i+1), o.String())
	}
	fill := strings.NewReplacer(pairs...)
	var argv []string
	for _, w := range e.Command {
		argv = append(argv, fill.Replace(w))
	}
	return Plan{Argv: argv, Files: out}, nil
}
