// Package e2e tests server and upstream together, over real sockets: what goes in
// at one end and comes out at the other. It has no code of its own.
package e2e
