package labels

import (
	"net"
	"strconv"

	"edgerouter/app"
)

// Address is one container as a peer.
type Address struct {
	Host string // an IP address
	Port int
	Peer Peer // what the labels of this container say
}

// URL is the address as it stands in addrs.
func (a Address) URL() string {
	return a.Peer.Scheme + "://" + net.JoinHostPort(a.Host, strconv.Itoa(a.Port))
}

// With is the definition with these peers. Of two with the same address the
// first one stays. It shares nothing with a that anybody changes.
func (a App) With(addresses []Address) app.Application {
	d := a.Definition
	peers := *d.Backend.PeerSet
	peers.Addrs = make([]string, 0, len(addresses))
	peers.Weights = nil
	seen := make(map[string]bool, len(addresses))
	for _, address := range addresses {
		url := address.URL()
		if seen[url] {
			continue
		}
		seen[url] = true
		peers.Addrs = append(peers.Addrs, url)
		if weight := address.Peer.Weight; weight != 1 {
			if peers.Weights == nil {
				peers.Weights = map[string]int{}
			}
			peers.Weights[url] = weight
		}
	}
	d.Backend.PeerSet = &peers
	return d
}

// Drained is the application d, which With made, when none of its peers is left:
// it answers 503 and speaks to nobody, since the addresses may be another's by
// now, and goes on with what it knew when peers come back.
func Drained(d app.Application) app.Application {
	if d.Backend.PeerSet == nil {
		return d
	}
	peers := *d.Backend.PeerSet
	peers.Addrs, peers.Weights = []string{}, nil
	d.Backend.PeerSet = &peers
	return d
}

// Move is the application d, which With made, with the peers that by has.
func Move(d app.Application, by app.Application) app.Application {
	if d.Backend.PeerSet == nil || by.Backend.PeerSet == nil {
		return d
	}
	peers := *d.Backend.PeerSet
	peers.Addrs, peers.Weights = by.Backend.PeerSet.Addrs, by.Backend.PeerSet.Weights
	d.Backend.PeerSet = &peers
	return d
}
