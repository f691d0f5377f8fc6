package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/bus"
	"edgerouter/certs/vault"
	"edgerouter/internal/acmetest"
	"edgerouter/internal/testkit"
	"edgerouter/metrics"
)

func portNumber(t *testing.T, addr string) int {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// shown is the certificate that a handshake for a name shows; nil: refused.
func shown(addr, name string) *x509.Certificate {
	d := &net.Dialer{Timeout: 10 * time.Second}
	conn, err := tls.DialWithDialer(d, "tcp", addr, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		return nil
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0]
}

// secureGet asks for a host over TLS, whoever signed the certificate.
func secureGet(addr, host string) string {
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		},
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	resp, err := client.Get("https://" + host + "/")
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return string(body)
}

// A node that is alone obtains certificates for the hosts of its applications and
// for no others, each way of validation by itself, and takes up a host that is
// configured while it runs.
func TestServeACME(t *testing.T) {
	testkit.Long(t)
	for _, kind := range []string{"http-01", "tls-alpn-01"} {
		t.Run(kind, func(t *testing.T) {
			plain, secure := freePort(t), freePort(t)
			toCA := acmetest.Options{HTTP: portNumber(t, plain), TLS: portNumber(t, secure), Reject: "refused.example"}
			if kind == "http-01" {
				toCA.TLS = portNumber(t, freePort(t)) // nobody is there
			} else {
				toCA.HTTP = portNumber(t, freePort(t))
			}
			ca := acmetest.Start(t, toCA)
			apps := filepath.Join(t.TempDir(), "apps.json")
			one, refused := peerSet("one", "one.example", origin(t, "one")), peerSet("refused", "refused.example", origin(t, "refused"))
			writeApps(t, apps, one, refused, peerSet("local", "local.localhost", origin(t, "local")))
			p := startServeOn(t, plain, apps, "--https", secure, "--acme-email", "a@example.com", "--acme-directory", ca.Directory, "--acme-ca-root", ca.RootFile)
			p.within(time.Minute, "one.example is served", func() bool { return shown(secure, "one.example") != nil })
			if got := secureGet(secure, "one.example"); got != "one" {
				t.Errorf("over TLS one.example answers %q", got)
			}
			writeApps(t, apps, one, refused, peerSet("two", "two.example", origin(t, "two")))
			p.within(time.Minute, "two.example is served", func() bool { return secureGet(secure, "two.example") == "two" })

			list := output(t, "cert", "ls", "--server", "http://"+p.admin)
			if !strings.Contains(list, "one.example") || !strings.Contains(list, "acme") || !strings.Contains(list, " 89 ") || strings.Contains(list, "localhost") {
				t.Errorf("cert ls: %s", list)
			}
			p.within(time.Minute, "the refusal is in cert ls and in the metrics", func() bool {
				cmd := edgerouter(t, "cert", "ls", "--server", "http://"+p.admin)
				out, err := cmd.CombinedOutput()
				return err == nil && strings.Contains(string(out), "no certificate for refused.example from "+ca.Directory+": the CA refuses") &&
					strings.Contains(p.adminGet("metrics"), `er_cert_problems{source="acme"} 1`)
			})
			for name, want := range map[string]string{"er_acme_obtained_total": "2", "er_acme_hosts": "3"} {
				if !strings.Contains(p.adminGet("metrics"), "\n"+name+" "+want+"\n") {
					t.Errorf("the metric %s is not %s", name, want)
				}
			}
			for _, host := range []string{"refused.example", "local.localhost", "never.example"} {
				if c := shown(secure, host); c != nil {
					t.Errorf("%s is served with the certificate of %v", host, c.DNSNames)
				}
			}
		})
	}
}

func (p *process) within(limit time.Duration, what string, ok func() bool) {
	p.t.Helper()
	eventually(p.t, what, limit, ok)
}

func (p *process) adminGet(path string) string {
	resp, err := http.Get("http://" + p.admin + "/" + path)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return string(body)
}

// Three nodes with the embedded bus, of which the one that obtains is killed while
// the CA validates: exactly one order more, and all that are left serve within
// five seconds of issue; the killed one does when it is back, without an order. A
// session of one node is resumed on another.
func TestServeACMECluster(t *testing.T) {
	testkit.Long(t)
	const host = "shared.example"
	plain, secure := freePort(t), freePort(t)
	ca := acmetest.Start(t, acmetest.Options{HTTP: portNumber(t, plain), TLS: portNumber(t, secure)})
	ca.DNS.Set("127.0.0.1", true)
	apps := filepath.Join(t.TempDir(), "apps.json")
	writeApps(t, apps, peerSet("shared", host, origin(t, "shared")))
	c := newCluster(t, "a", "b", "c")
	at := map[*member]string{} // https
	for i, m := range c.members {
		ip := fmt.Sprintf("127.0.0.%d", i+2)
		m.http, at[m] = fmt.Sprintf("%s:%d", ip, portNumber(t, plain)), fmt.Sprintf("%s:%d", ip, portNumber(t, secure))
		m.args = append(m.args, "--http", m.http, "--https", at[m], "--apps", apps,
			"--acme-email", "a@example.com", "--acme-directory", ca.Directory, "--acme-ca-root", ca.RootFile)
		m.start()
	}
	for _, m := range c.members {
		m.ready()
	}
	eventually(t, "a challenge is asked for", time.Minute, func() bool { return ca.DNS.Asked() > 0 })
	holder := c.holder("issue_cert_" + host)
	if ca.Orders() != 1 {
		t.Fatalf("%d orders while %s obtains", ca.Orders(), holder.name)
	}
	holder.kill(syscall.SIGKILL)
	var left []*member
	for _, m := range c.members {
		if m != holder {
			left = append(left, m)
		}
	}
	// The CA asks one node only; which of the two obtains is left to them.
	ip, _, _ := net.SplitHostPort(left[0].http)
	ca.DNS.Set(ip, false)
	eventually(t, "a certificate is issued", 2*time.Minute, func() bool { return ca.Logged("Issued certificate") })
	serial := ""
	took := eventually(t, "all nodes that are left serve it", 5*time.Second, func() bool {
		first, second := shown(at[left[0]], host), shown(at[left[1]], host)
		if first == nil || second == nil || first.SerialNumber.Cmp(second.SerialNumber) != 0 {
			return false
		}
		serial = first.SerialNumber.String()
		return true
	})
	t.Logf("served by all nodes %v after it was issued", took)
	holder.start()
	holder.ready()
	eventually(t, "the killed node serves it", time.Minute, func() bool {
		cert := shown(at[holder], host)
		return cert != nil && cert.SerialNumber.String() == serial
	})
	for _, m := range c.members {
		if got := secureGet(at[m], host); got != "shared" {
			t.Errorf("%s answers %q over TLS", m.name, got)
		}
	}
	if ca.Orders() != 2 {
		t.Errorf("%d orders, want the one that was cut off and one more", ca.Orders())
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		sessions := tls.NewLRUClientSessionCache(1)
		resumes := func(m *member) bool {
			conn, err := tls.Dial("tcp", at[m], &tls.Config{ServerName: host, InsecureSkipVerify: true, ClientSessionCache: sessions, MaxVersion: version})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			// With TLS 1.3 the ticket comes after the handshake, with the answer at the latest.
			fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host)
			if _, err := io.ReadAll(conn); err != nil {
				t.Fatal(err)
			}
			return conn.ConnectionState().DidResume
		}
		if resumes(c.members[0]) {
			t.Errorf("%s: the first session is a resumed one", tls.VersionName(version))
		}
		for _, m := range c.members[1:] {
			if !resumes(m) {
				t.Errorf("%s: a session of %s is not resumed on %s", tls.VersionName(version), c.members[0].name, m.name)
			}
		}
	}
}

// holder is the member that has a lock of the vault.
func (c *cluster) holder(lock string) *member {
	c.t.Helper()
	log := c.members[0].log()
	defer log.Close()
	watcher, err := vault.New(vault.Options{
		Log: log, Stream: bus.StreamPath("1", "vault"), Secret: []byte(clusterSecret), Owner: "watcher", Metrics: metrics.NewSet(), Logger: zerolog.Nop(),
	})
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(c.t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = watcher.Run(ctx)
	}()
	defer func() { cancel(); <-done }()
	var found *member
	eventually(c.t, "a node holds "+lock, time.Minute, func() bool {
		name, _, _ := strings.Cut(watcher.Holder(lock), "/")
		for _, m := range c.members {
			if m.name == name {
				found = m
			}
		}
		return found != nil
	})
	return found
}
