package docker

import (
	"net/netip"
	"strings"
	"testing"

	"edgerouter/discovery/docker/labels"
)

func on(networks ...string) map[string]addresses {
	out := map[string]addresses{}
	for i := 0; i < len(networks); i += 2 {
		a := addresses{}
		for text := range strings.SplitSeq(networks[i+1], " ") {
			if ip := parseAddr(text); ip.Is4() {
				a.v4 = ip
			} else if ip.IsValid() {
				a.v6 = ip
			}
		}
		out[networks[i]] = a
	}
	return out
}

func TestAddressOfContainer(t *testing.T) {
	others := map[string]*container{
		"net":   {id: "net", name: "pod", networks: on("front", "10.2.0.9")},
		"loop1": {id: "loop1", name: "loop1", mode: "container:loop2"},
		"loop2": {id: "loop2", name: "loop2", mode: "container:loop1"},
	}
	around := &neighbours{
		containers: func(id string) *container { return others[id] },
		gateway:    on("c", "172.19.0.4", "six", "fd00::4"),
	}
	for _, c := range []struct {
		name     string
		mode     string
		networks map[string]addresses
		asks     string
		labels   map[string]string
		id       string
		want     string // the address, or what the error says
		warns    bool
	}{
		{name: "bridge", networks: on("bridge", "172.17.0.2"), asks: "bridge", want: "172.17.0.2"},
		{name: "the asked one", networks: on("bridge", "172.17.0.2", "front", "10.2.0.2"), asks: "front", want: "10.2.0.2"},
		{name: "not on the asked one but on bridge", networks: on("bridge", "172.17.0.2", "back", "10.1.0.2"), asks: "front", want: "172.17.0.2", warns: true},
		{name: "on neither", networks: on("back", "10.1.0.2", "side", ""), asks: "front", want: "has no address on the network front, which --docker-network asks for, but is on back, side (without an address)"},
		{name: "on none", asks: "front", want: "but is on no network"},
		{name: "IPv6 when there is no IPv4", networks: on("front", "fd00::2"), asks: "front", want: "fd00::2"},
		{name: "both", networks: on("front", "fd00::2 10.2.0.2"), asks: "front", want: "10.2.0.2"},
		{name: "the only one", networks: on("front", "10.2.0.2", "none", ""), asks: AutoNetwork, want: "10.2.0.2"},
		{name: "only bridge", networks: on("bridge", "172.17.0.2"), asks: AutoNetwork, want: "172.17.0.2"},
		{name: "not the only one", networks: on("front", "10.2.0.2", "back", "10.1.0.2"), asks: AutoNetwork, want: "is on several networks, back, front"},
		{name: "the name in a Compose file", networks: on("shop_front", "10.2.0.2"), asks: "front", labels: map[string]string{composeProject: "shop"}, want: "10.2.0.2"},
		{name: "the host's", mode: "host", networks: on("host", ""), asks: "front", want: "127.0.0.1"},
		{name: "another container's", mode: "container:net", asks: "front", want: "10.2.0.9"},
		{name: "that of a container that is gone", mode: "container:gone", asks: "front", want: "shares the network of container gone, which does not run"},
		{name: "in a circle", mode: "container:loop1", asks: "front", want: "but is on no network"},
		{name: "docker_gwbridge", id: "c", networks: on("ov", "10.0.1.2"), asks: GatewayNetwork, want: "172.19.0.4"},
		{name: "docker_gwbridge with IPv6", id: "six", networks: on("ov", "10.0.1.2"), asks: GatewayNetwork, want: "fd00::4"},
		{name: "not on docker_gwbridge", id: "x", networks: on("ov", "10.0.1.2"), asks: GatewayNetwork, want: "has no address on the network docker_gwbridge"},
	} {
		k := &container{id: c.id, mode: c.mode, networks: c.networks, labels: c.labels}
		got, err := around.ofContainer(k, asked{c.asks, "--docker-network"})
		switch {
		case err != nil:
			if !strings.Contains(err.Error(), c.want) || got.addr.IsValid() {
				t.Errorf("%s: error %v, want %s", c.name, err, c.want)
			}
		case got.addr.String() != c.want || (got.warn != "") != c.warns || got.why == "":
			t.Errorf("%s: %+v, want %s", c.name, got, c.want)
		}
	}
}

func TestAddressOfTask(t *testing.T) {
	around := &neighbours{
		here: "n1", nodes: map[string]node{"n2": {addr: netip.MustParseAddr("192.168.0.2")}}, gateway: on("c1", "172.19.0.4"),
	}
	net := func(name, addr string, ingress bool) attachment {
		return attachment{network: name, ingress: ingress, addresses: on("x", addr)["x"]}
	}
	for _, c := range []struct {
		name     string
		node     string
		networks []attachment
		asks     string
		want     string
	}{
		{"overlay", "n2", []attachment{net("ingress", "10.0.0.5", true), net("ov", "10.0.1.5", false)}, "ov", "10.0.1.5"},
		{"the only one, without ingress", "n2", []attachment{net("ingress", "10.0.0.5", true), net("ov", "10.0.1.5", false)}, AutoNetwork, "10.0.1.5"},
		{"ingress when it is asked for", "n2", []attachment{net("ingress", "10.0.0.5", true)}, "ingress", "10.0.0.5"},
		{"not on it", "n2", []attachment{net("ov", "10.0.1.5", false)}, "bridge", "has no address on the network bridge, which --docker-network asks for, but is on ov"},
		{"this host's", "n1", []attachment{net("host", "", false)}, "ov", "127.0.0.1"},
		{"another host's", "n2", []attachment{net("host", "", false)}, "ov", "192.168.0.2"},
		{"an unknown host's", "n3", []attachment{net("host", "", false)}, "ov", "whose address is not known"},
		{"docker_gwbridge", "n1", []attachment{net("ov", "10.0.1.5", false)}, GatewayNetwork, "172.19.0.4"},
	} {
		got, err := around.ofTask(&task{node: c.node, container: "c1", networks: c.networks}, asked{c.asks, "--docker-network"})
		switch {
		case err != nil:
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: error %v, want %s", c.name, err, c.want)
			}
		case got.addr.String() != c.want:
			t.Errorf("%s: %+v, want %s", c.name, got, c.want)
		}
	}
}

func TestPort(t *testing.T) {
	for _, c := range []struct {
		label   int
		scheme  string
		exposed []int
		want    int
		warns   bool
	}{
		{8080, "http", []int{1, 2}, 8080, false},
		{0, "http", []int{3000}, 3000, false},
		{0, "https", []int{3000}, 3000, false},
		{0, "http", nil, 80, false},
		{0, "h2c", nil, 80, false},
		{0, "https", nil, 443, false},
		{0, "http", []int{80, 443}, 80, false},
		{0, "http", []int{3000, 9000}, 80, true},
		{0, "https", []int{80, 443}, 443, false},
	} {
		port, why, more := choosePort(labels.Peer{Scheme: c.scheme, Port: c.label}, "traefik.port", c.exposed)
		if port != c.want || (more != "") != c.warns || why == "" {
			t.Errorf("%+v: port %d because it %s; %s", c, port, why, more)
		}
	}
}

func TestSignals(t *testing.T) {
	for text, want := range map[string]int{
		"15": 15, "SIGTERM": 15, "term": 15, "TERM": 15, "SIGRTMIN+3": 37, "RTMAX-2": 62, "SIGWINCH": 28, "": 0, "SIGFOO": 0, "-1": 0, "SIGRTMIN+x": 0,
	} {
		if got := parseSignal(text); got != want {
			t.Errorf("%q is %d, want %d", text, got, want)
		}
	}
}
