// Package peer knows how each proxy is told to do the same job: take HTTP/1.1 in
// plain and over TLS on loopback and hand it to two peers.
//
// In goes a Job (addresses, certificate, number of applications), out comes a
// Plan: files to write and a command line. Nothing here starts anything or
// touches the disk except Find, which looks for installed programs. The
// configurations are as well tuned as we know how, for every proxy: one worker,
// kept connections to the peers, no logs. The job is the one of an edge proxy, so
// all of them keep the Host and set the same forwarding fields, unless Job.Bare
// says that the others may leave that out.
package peer

import (
	"fmt"
	"net/netip"
	"path/filepath"
)

// Job is what a proxy is configured for.
type Job struct {
	Dir                string // a folder of its own; files of a Plan are relative to it
	HTTP, HTTPS, Admin netip.AddrPort
	Origins            []netip.AddrPort
	// Cert and Key are PEM files named cert.crt and cert.key in CertDir; Both
	// is one file with certificate and key.
	Cert, Key, Both, CertDir string
	// Apps is the number of hosts, each with three path prefixes. 0 is one host
	// with one.
	Apps int
	// Bare leaves the forwarding fields out of the proxies that let us.
	Bare bool
	// Root says that the proxy is started by root, which nginx wants to know.
	Root bool
	// Large says that bodies are large, for proxies whose buffers depend on it.
	Large bool
	// Conns is how many client connections there will be at most.
	Conns int
	// Probe adds the host ProbeHost, served by the origin of this number alone.
	// -1: no such host.
	Probe int
	// SplitApps writes edgerouter's applications as a folder, with the probe's in a
	// file of its own.
	SplitApps bool
	// LambdaRegion makes the only application a Lambda function in that region;
	// Env are words that go before the command, see LambdaEnv.
	LambdaRegion string
	Env          []string
	// Site makes the only application a static site.
	Site *Site
	// Guarded has edgerouter ask for BearerToken and look each client up among
	// 10,000 IP rules.
	Guarded bool
}

// BearerToken is what a guarded job asks for.
const BearerToken = "the token of the benchmark"

// Host is the only host of a Job without Apps.
const Host = "bench.test"

// ProbeHost is the host whose peer changes in the scenario of reloads.
const ProbeHost = "probe.bench.test"

// Prefixes are the path prefixes of each of a Job's Apps.
var Prefixes = [3]string{"/", "/api/", "/static/"}

// AppHost is the host of application i.
func AppHost(i int) string { return fmt.Sprintf("app-%05d.bench.test", i) }

// Plan is how a proxy is started.
type Plan struct {
	Argv  []string
	Files map[string][]byte // by path relative to Job.Dir
}

// Proxy is a program that can do a Job.
type Proxy interface {
	Name() string
	// Version is what the program says about itself, in one line.
	Version() string
	Plan(Job) (Plan, error)
}

func (j Job) path(name string) string { return filepath.Join(j.Dir, name) }
