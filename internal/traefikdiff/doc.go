// Package traefikdiff compares edgerouter with Traefik itself. It is a module of
// its own, since Traefik brings some hundred modules that edgerouter does not
// need: `go test ./...` of the module above does not run it, .ci/run does.
//
// Generated rules are served by Traefik's muxer and by edgerouter, and whether a
// generated request is taken has to be the same; the differences that are wanted
// are classes in a table, each with its reason.
package traefikdiff
