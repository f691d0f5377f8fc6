package docker

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	containertypes "github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	swarmtypes "github.com/docker/docker/api/types/swarm"
	"github.com/rs/zerolog"

	"edgerouter/app"
	"edgerouter/internal/testkit"
)

// TestRecorded reads what an engine 20.10 with a Swarm said.
func TestRecorded(t *testing.T) {
	var containers []containertypes.Summary
	var services []swarmtypes.Service
	var tasks []swarmtypes.Task
	for name, to := range map[string]any{"containers.json": &containers, "services.json": &services, "tasks.json": &tasks} {
		if err := json.Unmarshal(recorded(t, name), to); err != nil {
			t.Fatal(name, err)
		}
	}
	c := readContainer(&containers[0])
	if c.name != "web.2.d4b8a9ou7yplsyq5gk5n4xudq" || !slices.Equal(c.exposed, []int{8080}) || c.networks["ov"].v4.String() != "10.0.1.4" || c.labels[swarmService] != "web" {
		t.Errorf("container: %+v", c)
	}
	s := readService(&services[0])
	if s.name != "web" || s.replicas != 2 || s.updating || s.labels["traefik.enable"] != "true" {
		t.Errorf("service: %+v", s)
	}
	k := readTask(&tasks[0])
	if k.container != c.id || k.state != taskRunning || k.service != s.id || len(k.networks) != 1 || k.networks[0].network != "ov" || k.networks[0].best().String() != "10.0.1.4" {
		t.Errorf("task: %+v", k)
	}

	// The events of a rolling update, the new task first.
	st := newState()
	kinds := map[string]int{}
	scan := bufio.NewScanner(bytes.NewReader(recorded(t, "events.jsonl")))
	for scan.Scan() {
		var m events.Message
		if err := json.Unmarshal(scan.Bytes(), &m); err != nil {
			t.Fatal(err)
		}
		e := readEvent(&m)
		if e.kind == "container" && e.action == "start" {
			st.put(&container{id: e.id, name: e.attributes["name"]})
		}
		f := st.apply(e, time.Now())
		switch {
		case e.kind == "service" && !f.swarm, e.kind == "container" && e.action == "start" && len(f.list) != 1:
			t.Errorf("%s %s asks for nothing", e.kind, e.action)
		}
		kinds[e.kind+" "+e.action]++
		if e.action == "kill" && e.attributes["signal"] == "15" && st.containers[e.id].draining.IsZero() {
			t.Error("SIGTERM does not make a container drain")
		}
	}
	if kinds["container kill"] != 3 || kinds["container die"] != 3 || kinds["service update"] < 3 {
		t.Errorf("events: %v", kinds)
	}
	if len(st.containers) != 2 {
		t.Errorf("%d containers are left", len(st.containers))
	}
}

// TestThousandContainers: listed over a socket, compiled and emitted.
func TestThousandContainers(t *testing.T) {
	f := newFake(t)
	for n := range 1000 {
		name := fmt.Sprintf("app%d", n)
		f.running = append(f.running, web(n, name, "traefik.frontend.rule", "", "com.example.unrelated", strings.Repeat("x", 500),
			"traefik.enable", "true", "traefik.http.routers."+name+".rule", "Host(`"+name+".test`) && PathPrefix(`/x`)",
			"traefik.http.routers."+name+".middlewares", "strip,zip", "traefik.http.middlewares.strip.stripprefix.prefixes", "/x",
			"traefik.http.middlewares.zip.compress", "true", "traefik.http.services."+name+".loadbalancer.server.port", "8080"))
	}
	s, err := New(Options{Host: f.onSocket(), Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	w := &watcher{t: t, change: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	began := time.Now()
	done := make(chan struct{})
	go func() { s.Run(ctx, w.emit); close(done) }()
	took := w.until("the first set", func() bool { return w.emitted() > 0 })
	w.mu.Lock()
	if n := len(w.last.Apps); n != 1000 || len(w.last.Problems) > 0 {
		t.Errorf("%d applications, problems %v", n, w.last.Problems)
	}
	first := w.last.Apps
	w.mu.Unlock()
	t.Logf("1,000 containers in service after %s", took)
	if limit := time.Second; testkit.IsLong() && time.Since(began) > limit && !raceEnabled {
		t.Errorf("1,000 containers took %s, want less than %s", took, limit)
	}
	// One more, and the others are the same values still.
	f.start(web(2000, "one-more"))
	t.Logf("one more after %s", w.untilPeers("one-more", 1))
	w.mu.Lock()
	for _, a := range w.last.Apps {
		if i := slices.IndexFunc(first, func(b app.Application) bool { return b.ID == a.ID }); i >= 0 && first[i].Backend != a.Backend {
			t.Errorf("application %s was made anew", a.ID)
		}
	}
	w.mu.Unlock()
	cancel()
	<-done
}

// TestEventLatency: a hundred events among a thousand containers.
func TestEventLatency(t *testing.T) {
	testkit.Long(t)
	f := newFake(t)
	for n := range 1000 {
		f.running = append(f.running, web(n, fmt.Sprintf("app%d", n)))
	}
	s, err := New(Options{Host: f.onSocket(), Log: zerolog.Nop(), Linger: -1})
	if err != nil {
		t.Fatal(err)
	}
	w := watchSource(t, s)
	w.until("the first set", func() bool { return w.emitted() > 0 })
	var took []time.Duration
	for n := range 50 {
		c := web(2000+n, fmt.Sprintf("new%d", n))
		f.start(c)
		took = append(took, w.untilPeers(c.name, 1))
		f.die(c.id)
		took = append(took, w.until("it is gone", func() bool { return w.addrs(c.name) == nil }))
	}
	slices.Sort(took)
	t.Logf("of 100 events: median %s, p99 %s, longest %s", took[50], took[98], took[99])
	if took[98] > 500*time.Millisecond {
		t.Errorf("p99 is %s, want at most 500 ms", took[98])
	}
}

func TestVersions(t *testing.T) {
	for _, c := range []struct {
		api, least string
		refused    int
		want, says string
	}{
		{api: "1.41", least: "1.12", want: "1.41"},
		{api: "1.51", least: "1.24", want: "1.51"},
		{api: "1.54", least: "1.44", want: newestAPI},
		{api: "1.99", least: "1.60", says: "wants at least version 1.60"},
		{api: "1.41", refused: 403, want: assumedAPI},
		{api: "1.41", refused: 500, says: "GET /version: 500"},
	} {
		f := newFake(t)
		f.version = map[string]string{"Version": "x", "ApiVersion": c.api, "MinAPIVersion": c.least}
		if c.refused > 0 {
			f.refuse["/version"] = c.refused
		}
		at, err := parseHost(f.onSocket(), TLS{})
		if err != nil {
			t.Fatal(err)
		}
		e, err := connect(context.Background(), at)
		switch {
		case c.says != "":
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%+v: error %v", c, err)
			}
			continue
		case err != nil:
			t.Errorf("%+v: %v", c, err)
			continue
		}
		if e.info.api != c.want {
			t.Errorf("%+v: version %s", c, e.info.api)
		}
		if _, err := e.containers(context.Background(), nil); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
		e.close()
	}
	for _, c := range []struct {
		a, b string
		want bool
	}{{"1.9", "1.41", true}, {"1.41", "1.9", false}, {"1.41", "1.41", false}, {"2.0", "1.99", false}} {
		if older(c.a, c.b) != c.want {
			t.Errorf("older(%s, %s)", c.a, c.b)
		}
	}
}

func TestHosts(t *testing.T) {
	for _, c := range []struct{ host, want, says string }{
		{host: "unix:///var/run/docker.sock", want: "unix /var/run/docker.sock"},
		{host: "/var/run/docker.sock", want: "unix /var/run/docker.sock"},
		{host: "tcp://engine:2375", want: "tcp engine:2375"},
		{host: "tcp://engine", want: "tcp engine:2375"},
		{host: "https://engine", want: "tcp engine:2376"},
		{host: "http://[::1]:80/docker/", want: "tcp [::1]:80/docker"},
		{host: "ssh://engine", says: "ssh is not done"},
		{host: "docker.sock", says: "want an address"},
		{host: "tcp://", says: "want an address"},
		{host: "tcp://u:p@engine", says: "want an address"},
		{host: "tcp://engine:99999", says: "the port"},
		{host: "npipe:////./pipe/docker_engine", says: "unknown scheme"},
	} {
		e, err := parseHost(c.host, TLS{})
		switch {
		case c.says != "":
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: error %v, want one that says %q", c.host, err, c.says)
			}
		case err != nil || e.network+" "+e.addr+e.base != c.want:
			t.Errorf("%s: %s %s%s, %v", c.host, e.network, e.addr, e.base, err)
		}
	}
}

func TestAdvice(t *testing.T) {
	denied := &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EACCES)}
	if got := advice(fmt.Errorf("x: %w", denied)); !strings.Contains(got, "--group-add") {
		t.Errorf("advice for a socket that may not be opened: %s", got)
	}
	if got := advice(io.EOF); got != " (see --docker)" {
		t.Errorf("advice for anything else: %s", got)
	}
}

// authority makes certificates for a test.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	a.key, a.cert, a.pem = a.issue(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

func (a *authority) issue(t *testing.T, c *x509.Certificate) (*ecdsa.PrivateKey, *x509.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, by := c, key
	if a.cert != nil {
		parent, by = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func (a *authority) pair(t *testing.T, use x509.ExtKeyUsage) (cert, key []byte) {
	t.Helper()
	k, _, cert := a.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "x"}, DNSNames: []string{"localhost"}, ExtKeyUsage: []x509.ExtKeyUsage{use}})
	der, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return cert, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}

func TestClientCertificate(t *testing.T) {
	ca := newAuthority(t)
	serverCert, serverKey := ca.pair(t, x509.ExtKeyUsageServerAuth)
	clientCert, clientKey := ca.pair(t, x509.ExtKeyUsageClientAuth)
	pair, err := tls.X509KeyPair(serverCert, serverKey)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	f := newFake(t)
	f.running = []*fakeContainer{web(1, "a")}
	server := httptest.NewUnstartedServer(f)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	server.StartTLS()
	defer server.Close()
	host := strings.Replace(server.URL, "https://127.0.0.1", "tcp://localhost", 1)
	for name, c := range map[string]struct {
		tls  TLS
		says string
	}{
		"authority given":        {tls: TLS{Cert: clientCert, Key: clientKey, CA: ca.pem}},
		"authority in the chain": {tls: TLS{Cert: append(slices.Clone(clientCert), ca.pem...), Key: clientKey}},
		"no authority":           {tls: TLS{Cert: clientCert, Key: clientKey}, says: "unknown authority"},
		"no certificate":         {tls: TLS{CA: ca.pem}, says: "certificate required"},
		"no TLS":                 {says: "HTTPS server"},
	} {
		details, err := Explain(context.Background(), Options{Host: host, TLS: c.tls, Log: zerolog.Nop()}, "")
		switch {
		case c.says == "" && (err != nil || len(details) != 1):
			t.Errorf("%s: %v, %v", name, details, err)
		case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: error %v, want one that says %q", name, err, c.says)
		}
	}
	for _, bad := range []TLS{{Cert: clientCert}, {Key: clientKey}, {Cert: []byte("x"), Key: []byte("y")}, {CA: []byte("x")}} {
		if _, err := New(Options{Host: host, TLS: bad}); err == nil {
			t.Error("a broken certificate is taken")
		}
	}
}
