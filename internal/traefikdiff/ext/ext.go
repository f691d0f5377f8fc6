// Package ext stands in for a module that Traefik's own go.mod replaces by a
// folder of its repository, which its published module does not contain.
package ext

// HTTP is embedded in the HTTP configuration.
type HTTP struct{}

// Router is embedded in a router.
type Router struct{}
