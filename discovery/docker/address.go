package docker

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"edgerouter/discovery/docker/labels"
)

// loopback is where a container on the host's network is reached.
var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// asked is the network whose address is wanted.
type asked struct {
	network string
	by      string // the label or flag that says so
}

// choice is an address and why it is that one.
type choice struct {
	addr netip.Addr
	why  string
	warn string // the address is not on the asked network
}

// neighbours are what an address may depend on besides the container.
type neighbours struct {
	containers func(id string) *container
	gateway    map[string]addresses // on docker_gwbridge, by container
	nodes      map[string]node
	here       string // this engine's node
}

// maxShared is how many containers may share one's network in a row.
const maxShared = 4

// ofContainer chooses the address of a container.
func (n *neighbours) ofContainer(c *container, want asked) (choice, error) {
	why := ""
	for range maxShared {
		id, shares := strings.CutPrefix(c.mode, "container:")
		if !shares {
			break
		}
		other := n.containers(id)
		if other == nil {
			return choice{}, fmt.Errorf("shares the network of container %s, which does not run", shortID(id))
		}
		why = fmt.Sprintf("shares the network of container %s: ", other.name)
		c = other
	}
	if _, on := c.networks["host"]; c.mode == "host" || on {
		return choice{addr: loopback, why: why + "is on the host's network"}, nil
	}
	ch, err := n.onNetworks(c.id, c.networks, want, c.labels[composeProject])
	ch.why = why + ch.why
	return ch, err
}

// ofTask chooses the address of a task of a service.
func (n *neighbours) ofTask(t *task, want asked) (choice, error) {
	networks := make(map[string]addresses, len(t.networks))
	for _, a := range t.networks {
		switch {
		case a.network == "host" && t.node == n.here:
			return choice{addr: loopback, why: "is on the network of this host"}, nil
		case a.network == "host":
			if addr := n.nodes[t.node].addr; addr.IsValid() {
				return choice{addr: addr, why: "is on the network of its node"}, nil
			}
			return choice{}, fmt.Errorf("is on the network of node %s, whose address is not known", shortID(t.node))
		case a.ingress && want.network != a.network:
		default:
			networks[a.network] = a.addresses
		}
	}
	return n.onNetworks(t.container, networks, want, "")
}

// onNetworks chooses among the networks that a container is on.
func (n *neighbours) onNetworks(id string, networks map[string]addresses, want asked, project string) (choice, error) {
	switch want.network {
	case GatewayNetwork:
		if addr := n.gateway[id].best(); addr.IsValid() {
			return choice{addr: addr, why: onNetwork(GatewayNetwork, want.by)}, nil
		}
	case AutoNetwork:
		var on []string
		for _, name := range slices.Sorted(maps.Keys(networks)) {
			if networks[name].best().IsValid() {
				on = append(on, name)
			}
		}
		if len(on) == 1 {
			return choice{addr: networks[on[0]].best(), why: fmt.Sprintf("is on %s, its only network (%s=%s)", on[0], want.by, AutoNetwork)}, nil
		}
		if len(on) > 1 {
			return choice{}, fmt.Errorf("is on several networks, %s, and %s=%s takes the only one: name it with the label traefik.docker.network",
				strings.Join(on, ", "), want.by, AutoNetwork)
		}
	default:
		// A Compose file calls its networks by names without the project.
		for _, name := range []string{want.network, project + "_" + want.network} {
			if addr := networks[name].best(); addr.IsValid() {
				return choice{addr: addr, why: onNetwork(name, want.by)}, nil
			}
		}
	}
	if addr := networks[DefaultNetwork].best(); addr.IsValid() {
		return choice{
			addr: addr, why: fmt.Sprintf("is not on %s, which %s asks for, but on %s", want.network, want.by, DefaultNetwork),
			warn: fmt.Sprintf("is not on the network %s; its address on %s is used", want.network, DefaultNetwork),
		}, nil
	}
	return choice{}, fmt.Errorf("has no address on the network %s, which %s asks for, but is on %s: name one with the label traefik.docker.network or with --docker-network", want.network, want.by, listNetworks(networks))
}

func onNetwork(name, by string) string {
	return fmt.Sprintf("is its address on %s, which %s asks for", name, by)
}

// listNetworks tells the networks that there are.
func listNetworks(networks map[string]addresses) string {
	var on []string
	for _, name := range slices.Sorted(maps.Keys(networks)) {
		text := name
		if !networks[name].best().IsValid() {
			text += " (without an address)"
		}
		on = append(on, text)
	}
	if len(on) == 0 {
		return "no network"
	}
	return strings.Join(on, ", ")
}

// choosePort is the port of a peer and why it is that one. more is what there
// is to say against it.
func choosePort(p labels.Peer, label string, exposed []int) (port int, why, more string) {
	if p.Port != 0 {
		return p.Port, "is said by " + label, ""
	}
	if len(exposed) == 1 {
		return exposed[0], "is the only one that is exposed", ""
	}
	port = 80
	if p.Scheme == "https" {
		port = 443
	}
	if len(exposed) == 0 {
		return port, "is that of " + p.Scheme + "; none is exposed and no label says one", ""
	}
	text := make([]string, 0, len(exposed))
	for _, n := range exposed[:min(len(exposed), 8)] {
		text = append(text, fmt.Sprint(n))
	}
	why = fmt.Sprintf("is that of %s; no label says one, and several are exposed: %s", p.Scheme, strings.Join(text, ", "))
	if slices.Contains(exposed, port) {
		return port, why, ""
	}
	return port, why, fmt.Sprintf("no label says the port and several are exposed, %s; %d is used", strings.Join(text, ", "), port)
}

// shortID is an id as the docker command shows it.
func shortID(id string) string { return id[:min(len(id), 12)] }
