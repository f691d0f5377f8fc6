package engine

import (
	"debug/elf"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	containertypes "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	swarmtypes "github.com/docker/docker/api/types/swarm"
	"github.com/docker/go-connections/nat"
)

const caddyImage = "edgerouter-test-caddy"

// The two ways in which Caddy is set up: as its documentation begins, and with
// what it has against peers that go away.
const (
	caddyPlain = "reverse_proxy PEERS"
	caddyTuned = "reverse_proxy PEERS {\n\tlb_policy round_robin\n\tlb_try_duration 5s\n\tlb_try_interval 100ms\n\tfail_duration 10s\n}"
)

// caddy starts Caddy with a fixed list of peers on a network, in a container
// whose port is published as edgerouter's is.
func (e *engine) caddy(network, config string, peers ...string) netip.AddrPort {
	e.t.Helper()
	file := filepath.Join(e.t.TempDir(), "Caddyfile")
	text := "{\n\tadmin off\n\tauto_https off\n\tpersist_config off\n}\nhttp:// {\n" + strings.ReplaceAll(config, "PEERS", strings.Join(peers, " ")) + "\n}\n"
	e.must(os.WriteFile(file, []byte(text), 0o644))
	id := e.start(e.id+"-caddy", &containertypes.Config{
		Image: caddyImage, Cmd: []string{"run", "--adapter", "caddyfile", "--config", "/Caddyfile"}, ExposedPorts: nat.PortSet{"80/tcp": {}},
	}, &containertypes.HostConfig{
		NetworkMode:  containertypes.NetworkMode(network),
		PortBindings: nat.PortMap{"80/tcp": {{HostIP: "127.0.0.1"}}},
		Mounts:       []mount.Mount{{Type: mount.TypeBind, Source: file, Target: "/Caddyfile", ReadOnly: true}},
	})
	port := (&edge{t: e.t, e: e, id: id}).published("80/tcp")
	eventually(e.t, func() string { return "Caddy to answer" }, func() bool {
		status, _, err := ask(http.MethodGet, "http://127.0.0.1:"+port+"/", "")
		return err == nil && status == http.StatusOK
	})
	return netip.MustParseAddrPort("127.0.0.1:" + port)
}

// TestBesideCaddy shows what the same stops and updates cost when a proxy has a
// fixed list of peers: the addresses of three containers or tasks, or the name by
// which Swarm tells those of a service's tasks. It wants nothing of the
// figures; it runs when EDGEROUTER_TEST_CADDY names a static binary of Caddy.
func TestBesideCaddy(t *testing.T) {
	path := os.Getenv("EDGEROUTER_TEST_CADDY")
	if path == "" {
		t.Skip("a comparison: name a static binary of Caddy in EDGEROUTER_TEST_CADDY (CGO_ENABLED=0 go install github.com/caddyserver/caddy/v2/cmd/caddy@latest)")
	}
	if f, err := elf.Open(path); err != nil {
		t.Fatal(err)
	} else if libs, _ := f.ImportedLibraries(); len(libs) > 0 {
		t.Fatalf("%s needs %v: build it with CGO_ENABLED=0", path, libs)
	}
	e := newEngine(t)
	binary, err := os.ReadFile(path)
	e.must(err)
	e.must(buildImage(e.api, caddyImage, "", files{
		"Dockerfile": []byte("FROM scratch\nCOPY caddy /caddy\nENV XDG_DATA_HOME=/data XDG_CONFIG_HOME=/config\nENTRYPOINT [\"/caddy\"]\n"), "caddy": binary,
	}))
	e.swarm()
	base := e
	for _, setup := range []struct{ name, config string }{{"defaults", caddyPlain}, {"with retries", caddyTuned}} {
		t.Run(setup.name, func(t *testing.T) {
			t.Run("stop", func(t *testing.T) { base.in(t).caddyStop(setup.config) })
			for _, order := range []string{swarmtypes.UpdateOrderStartFirst, swarmtypes.UpdateOrderStopFirst} {
				t.Run(order+" addresses", func(t *testing.T) {
					base.in(t).caddyUpdate(setup.config, order, func(s *service) []string { return hostPorts(s.running()) })
				})
				t.Run(order+" name", func(t *testing.T) {
					base.in(t).caddyUpdate(setup.config, order, func(s *service) []string { return []string{"tasks." + s.spec.Name + ":8080"} })
				})
			}
		})
	}
}

// caddyStop stops one of three containers whose addresses Caddy has.
func (e *engine) caddyStop(config string) {
	network := e.network("bridge")
	three := e.three(network, "unused.test")
	at := e.caddy(network, config, hostPorts(e.addresses(three, network))...)
	load := startLoad(e.t, at, "caddy.test")
	e.stop(three[0])
	time.Sleep(time.Second)
	e.t.Logf("docker stop of one of three: %s", figures(load.end()))
}

// caddyUpdate updates a service that Caddy knows by the addresses that its tasks
// had, or by name.
func (e *engine) caddyUpdate(config, order string, peers func(*service) []string) {
	network := e.network("overlay")
	s := e.service(checkedImage, network, "unused.test")
	eventually(e.t, func() string { return "three tasks" }, func() bool { return len(s.running()) == 3 })
	at := e.caddy(network, config, peers(s)...)
	load := startLoad(e.t, at, "caddy.test")
	s.update(order)
	eventually(e.t, func() string { return "the update to be completed" }, s.updated)
	e.t.Logf("rolling update, %s: %s", order, figures(load.end()))
}

// in is the same engine for a test within a test.
func (e *engine) in(t *testing.T) *engine {
	c := *e
	c.t, c.id = t, e.id+"-"+strings.NewReplacer("/", "-", "_", "", "-", "").Replace(strings.ToLower(t.Name()[strings.IndexByte(t.Name(), '/')+1:]))
	return &c
}

func hostPorts(urls []string) (out []string) {
	for _, u := range urls {
		out = append(out, strings.TrimPrefix(u, "http://"))
	}
	return out
}
