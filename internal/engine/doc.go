// Package engine holds the tests that need a real Docker engine: the image, as
// the Dockerfile makes it, in front of containers and services that come and go
// under load. They look for the engine that EDGEROUTER_TEST_DOCKER names, else
// for the one of this machine, and skip without one unless
// EDGEROUTER_TEST_REQUIRE names docker. No image is pulled: everything is built
// FROM scratch around binaries compiled here. Traffic stays on loopback and is
// bounded in rate and time.
package engine
