package jetstream

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/metrics"
)

// Options say which bus it is.
type Options struct {
	// URLs are servers of an existing NATS cluster, such as nats://10.0.0.1:4222.
	// When there are any, the fields of Embedded are of no account.
	URLs []string
	// Credentials is a NATS credentials file for URLs; empty: none.
	Credentials string
	// TLS is for connections to URLs that want it; nil: what the system trusts.
	TLS *tls.Config

	Embedded
	// Node is the name of this node; nodes of a cluster have different names.
	Node    string
	Metrics *metrics.Set
	Logger  zerolog.Logger
}

// Embedded are the options of a server in the process.
type Embedded struct {
	// Folder holds the store. One process uses it at a time.
	Folder string
	// Client is an address for tools such as the nats command; empty: no port is
	// open. It needs Secret.
	Client string
	// Listen is the address for the other nodes and Peers are theirs; a cluster
	// has both, three or five nodes, and a Secret that is the same on all of them.
	Listen  string
	Peers   []string
	Cluster string // name of the cluster; empty means "edgerouter"
	Secret  string
	// RouteTLS is for the connections between nodes; nil: they are not encrypted.
	RouteTLS *tls.Config
}

// minSecret is how long a secret has to be. Who knows it may change every node's
// configuration.
const minSecret = 16

const defaultCluster = "edgerouter"

func (o *Options) external() bool { return len(o.URLs) > 0 }

func (o *Options) clustered() bool { return len(o.Peers) > 0 }

// nodes is how many nodes the configuration names; 0 when it does not say.
func (o *Options) nodes() int {
	if o.external() {
		return 0
	}
	return len(o.Peers) + 1
}

// check says what is wrong, naming the flags of serve.
func (o *Options) check() error {
	if err := checkName(o.Node); err != nil {
		return err
	}
	if o.external() {
		for _, u := range o.URLs {
			if _, err := parseURL(u); err != nil {
				return err
			}
		}
		return nil
	}
	if o.Cluster == "" {
		o.Cluster = defaultCluster
	}
	if strings.ContainsAny(o.Cluster, " \t\r\n") {
		return fmt.Errorf("--bus-cluster %q: the name of a cluster has no spaces", o.Cluster)
	}
	if o.Secret != "" && len(o.Secret) < minSecret {
		return fmt.Errorf("--bus-secret-file: the secret has %d characters and needs at least %d; openssl rand -hex 32 makes one", len(o.Secret), minSecret)
	}
	if o.Client != "" {
		if _, _, err := splitAddr(o.Client); err != nil {
			return fmt.Errorf("--bus-client %q: %w", o.Client, err)
		}
		if o.Secret == "" {
			return fmt.Errorf("--bus-client %s: a port of the bus needs a secret: give --bus-secret-file", o.Client)
		}
	}
	return o.checkCluster()
}

func checkName(node string) error {
	if node == "" || len(node) > 128 || strings.ContainsAny(node, " \t\r\n.*>/\\") {
		return fmt.Errorf("--node %q: a node's name has 1 to 128 characters, no spaces and none of . * > / \\", node)
	}
	return nil
}

func (o *Options) checkCluster() error {
	if !o.clustered() {
		if o.Listen != "" {
			return fmt.Errorf("--bus-listen %s: a cluster needs the other nodes: name them with --bus-peers", o.Listen)
		}
		return nil
	}
	switch {
	case o.Listen == "":
		return fmt.Errorf("--bus-peers: the other nodes need an address of this one: give --bus-listen HOST:PORT")
	case o.Secret == "":
		return fmt.Errorf("--bus-peers: a cluster needs a secret that all of its nodes share: give --bus-secret-file")
	case o.nodes() != 3 && o.nodes() != 5:
		return fmt.Errorf("--bus-peers names %d other nodes: a cluster has three or five nodes, so name two or four", len(o.Peers))
	}
	if _, _, err := splitAddr(o.Listen); err != nil {
		return fmt.Errorf("--bus-listen %q: %w", o.Listen, err)
	}
	seen := map[string]bool{}
	for _, p := range o.Peers {
		if host, _, err := splitAddr(p); err != nil || host == "" {
			return fmt.Errorf("--bus-peers %q: want HOST:PORT, the --bus-listen of another node", p)
		}
		if seen[p] {
			return fmt.Errorf("--bus-peers names %s twice", p)
		}
		seen[p] = true
	}
	return nil
}

func splitAddr(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf("want HOST:PORT or :PORT")
	}
	if port, err = net.LookupPort("tcp", text); err != nil || port == 0 {
		return "", 0, fmt.Errorf("%q is not a port", text)
	}
	return host, port, nil
}

func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "nats" && u.Scheme != "tls" && u.Scheme != "ws" && u.Scheme != "wss" {
		// A URL may have a password in it, so it is not repeated.
		return nil, fmt.Errorf("--bus: want URLs such as nats://10.0.0.1:4222, separated by commas")
	}
	return u, nil
}

// How the bus waits.
const (
	// pollEmbedded and pollExternal are how often a follower looks for itself,
	// beside being told. What a node missed while it was cut off shows then.
	pollEmbedded = time.Second
	pollExternal = 5 * time.Second
	// askTimeout bounds one question to the server, and attemptTimeout one attempt
	// to append; it is tried again until the caller's context ends.
	askTimeout     = 2 * time.Second
	attemptTimeout = 3 * time.Second
	// sessionPatience is how long a question waits for a bus that is starting.
	sessionPatience = 2 * time.Second
	// duplicates is how long the server remembers message ids, and so how long an
	// append may be sent again.
	duplicates = 2 * time.Minute
)
