package engine

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	containertypes "github.com/docker/docker/api/types/container"
)

// TestBridge: a container on the default network, served by an edgerouter in
// another container there.
func TestBridge(t *testing.T) {
	e := newEngine(t)
	edge := e.newEdge(edgeOptions{network: "bridge"})
	name, host := e.id+"-plain", e.id+".bridge.test"
	id := e.run(peer{name: name, network: "bridge", labels: served(host)})
	t.Logf("in service %s after it was started", edge.until(name, e.address(id, "bridge")))
	edge.only(host, id[:12])
	e.stop(id)
	edge.untilCount(name, 0)
	eventually(t, func() string { return "503 or 404 once it is gone" }, func() bool {
		status, _, err := ask(http.MethodGet, "http://"+edge.http.String()+"/", host)
		return err == nil && (status == http.StatusServiceUnavailable || status == http.StatusNotFound)
	})
}

// TestUserNetwork: two containers with Compose's labels on a network of their
// own are one application. One of them is stopped under load and started again,
// which gives it another address or the same one; no request is lost.
func TestUserNetwork(t *testing.T) {
	e := newEngine(t)
	network := e.network("bridge")
	edge := e.newEdge(edgeOptions{network: network})
	host := e.id + ".compose.test"
	labels := served(host)
	labels["com.docker.compose.project"], labels["com.docker.compose.service"] = e.id, "web"
	app := e.id + "_web"
	first := e.run(peer{name: e.id + "-web-1", network: network, labels: labels})
	second := e.run(peer{name: e.id + "-web-2", network: network, labels: labels})
	edge.until(app, e.address(first, network), e.address(second, network))
	want := []string{first[:12], second[:12]}
	slices.Sort(want)
	if got := edge.answered(host, 2); !slices.Equal(got, want) {
		t.Errorf("%s is answered by %v, want %v", host, got, want)
	}

	load := startLoad(t, edge.http, host)
	e.stop(first)
	edge.until(app, e.address(second, network))
	e.must(e.api.ContainerStart(context.Background(), first, containertypes.StartOptions{}))
	edge.until(app, e.address(first, network), e.address(second, network))
	load.lossless("one of two Compose replicas stopped and started")
}

// TestHostNetwork: containers on the host's network have its loopback address
// and the port that a label says; edgerouter is on it as well.
func TestHostNetwork(t *testing.T) {
	e := newEngine(t)
	edge := e.newEdge(edgeOptions{network: "host", asked: "bridge"})
	name, host, port := e.id+"-host", e.id+".host.test", freePort(t)
	labels := served(host)
	labels["traefik.http.services.web.loadbalancer.server.port"] = port
	e.run(peer{name: name, network: "host", labels: labels, env: []string{"LISTEN=127.0.0.1:" + port}})
	edge.until(name, "http://127.0.0.1:"+port)
	eventually(t, func() string { return "an answer" }, func() bool {
		status, _, err := ask(http.MethodGet, "http://"+edge.http.String()+"/", host)
		return err == nil && status == http.StatusOK
	})

	// From there edgerouter reaches containers on bridges as well.
	bridged, bridgedHost := e.id+"-bridged", e.id+".bridged.test"
	id := e.run(peer{name: bridged, network: "bridge", labels: served(bridgedHost)})
	edge.until(bridged, e.address(id, "bridge"))
	edge.only(bridgedHost, id[:12])
}

// TestHealth: a container that turns sick gets nothing until it is well again,
// and the load does not notice.
func TestHealth(t *testing.T) {
	e := newEngine(t)
	network := e.network("bridge")
	edge := e.newEdge(edgeOptions{network: network})
	host := e.id + ".health.test"
	labels := served(host)
	labels["com.docker.compose.project"], labels["com.docker.compose.service"] = e.id, "checked"
	app := e.id + "_checked"
	first := e.run(peer{name: e.id + "-checked-1", image: checkedImage, network: network, labels: labels})
	second := e.run(peer{name: e.id + "-checked-2", image: checkedImage, network: network, labels: labels})
	one, two := e.address(first, network), e.address(second, network)
	edge.until(app, one, two)

	load := startLoad(t, edge.http, host)
	turn := func() {
		t.Helper()
		if status, _, err := ask(http.MethodPost, one+"/sick", ""); err != nil || status != http.StatusOK {
			t.Fatal(status, err)
		}
	}
	turn()
	t.Logf("out of service %s after it turned sick", edge.until(app, two))
	edge.only(host, second[:12])
	turn()
	t.Logf("back %s after it got well", edge.until(app, one, two))
	load.lossless("one of two turned sick and well")
}

// TestStop: docker stop of one of three containers, and of another one a moment
// later, loses no request.
func TestStop(t *testing.T) {
	e := newEngine(t)
	network := e.network("bridge")
	edge := e.newEdge(edgeOptions{network: network})
	host := e.id + ".stop.test"
	three := e.three(network, host)
	edge.until(e.id+"_web", e.addresses(three, network)...)
	load := startLoad(t, edge.http, host)
	began := time.Now()
	e.stop(three[0])
	t.Logf("docker stop took %s", time.Since(began))
	edge.until(e.id+"_web", e.addresses(three[1:], network)...)
	e.stop(three[1])
	edge.until(e.id+"_web", e.addresses(three[2:], network)...)
	load.lossless("docker stop of one of three, and of another one")
}

// three starts three replicas of a Compose service.
func (e *engine) three(network, host string) []string {
	e.t.Helper()
	labels := served(host)
	labels["com.docker.compose.project"], labels["com.docker.compose.service"] = e.id, "web"
	var ids []string
	for _, n := range []string{"1", "2", "3"} {
		ids = append(ids, e.run(peer{name: e.id + "-web-" + n, network: network, labels: labels}))
	}
	return ids
}

func (e *engine) addresses(ids []string, network string) []string {
	e.t.Helper()
	var out []string
	for _, id := range ids {
		out = append(out, e.address(id, network))
	}
	return out
}
