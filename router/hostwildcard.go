package router

import "bytes"

// HostWildcard matches hosts as Host(`*.example.com`) and Host(`*`) of a rule do,
// which is Traefik's meaning: "*.example.com" takes any host with exactly one
// label before .example.com, and "*" takes every host.
func HostWildcard(pattern string) Matcher {
	if pattern == "*" {
		return everyHost{}
	}
	return hostWildcard(canonicalHost(pattern)[len("*"):])
}

// hostWildcard is what follows the star: ".example.com".
type hostWildcard string

func (m hostWildcard) Match(host, path []byte, a Attributes) bool {
	i := bytes.IndexByte(host, '.')
	return i >= 0 && string(host[i:]) == string(m)
}

func (m hostWildcard) String() string { return call("Host", "*"+string(m)) }

type everyHost struct{}

func (everyHost) Match(host, path []byte, a Attributes) bool { return true }
func (everyHost) String() string                             { return call("Host", "*") }
