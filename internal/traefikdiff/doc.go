// Package traefikdiff compares edgerouter with Traefik itself. It is a module of
// its own, since Traefik brings some hundred modules that edgerouter does not
// need: `go test ./...` of the module above does not run it, .ci/run does.
//
// Two things are compared. Rules: containers' labels with generated rules and
// priorities are served by both, and whoever answers a generated request has to
// be the same; the differences that are wanted are classes in a table, each with
// its reason. Labels: each label that Traefik's own configuration types have is
// known to edgerouter, as done, as an error or as a warning.
package traefikdiff
