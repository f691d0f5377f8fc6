package acme

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// pebble is a CA for tests that validates for real.
type pebble struct {
	t         *testing.T
	directory string
	caFile    string // of its HTTPS server
	dns       *dnsServer

	mu     sync.Mutex
	orders int
	lines  []string
}

type pebbleOptions struct {
	http, tls int // the ports on which it validates
	validity  time.Duration
	reject    string
}

// requirePebble skips the test where there is no pebble, or fails it where there
// has to be one.
func requirePebble(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("pebble")
	if err != nil {
		if slices.Contains(strings.Split(os.Getenv("EDGEROUTER_TEST_REQUIRE"), ","), "pebble") {
			t.Fatal("pebble is not installed: go install github.com/letsencrypt/pebble/v2/cmd/pebble@latest")
		}
		t.Skip("no pebble: go install github.com/letsencrypt/pebble/v2/cmd/pebble@latest")
	}
	return path
}

func startPebble(t *testing.T, o pebbleOptions) *pebble {
	t.Helper()
	path := requirePebble(t)
	dir := t.TempDir()
	p := &pebble{t: t, caFile: filepath.Join(dir, "ca.pem"), dns: startDNS(t)}
	serverCert(t, p.caFile, filepath.Join(dir, "key.pem"))
	listen, management := freePort(t), freePort(t)
	if o.validity == 0 {
		o.validity = 90 * 24 * time.Hour
	}
	config, _ := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": listen, "managementListenAddress": management,
		"certificate": p.caFile, "privateKey": filepath.Join(dir, "key.pem"),
		"httpPort": o.http, "tlsPort": o.tls, "domainBlocklist": []string{cmp.Or(o.reject, "blocked.example")}, "keyAlgorithm": "ecdsa",
		"retryAfter": map[string]int{"authz": 1, "order": 1},
		"profiles":   map[string]any{"default": map[string]any{"description": "test", "validityPeriod": int(o.validity / time.Second)}},
	}})
	configFile := filepath.Join(dir, "pebble.json")
	if err := os.WriteFile(configFile, config, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-config", configFile, "-dnsserver", p.dns.addr)
	cmd.Env = append(os.Environ(), "PEBBLE_VA_ALWAYS_VALID=0", "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=5", "PEBBLE_AUTHZREUSE=0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.read(out)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
		_ = cmd.Wait()
		if t.Failed() {
			p.mu.Lock()
			defer p.mu.Unlock()
			t.Logf("pebble:\n%s", strings.Join(p.lines[max(0, len(p.lines)-60):], "\n"))
		}
	})
	p.directory = "https://" + listen + "/dir"
	waitUntil(t, "pebble listens", 10*time.Second, func() bool {
		conn, err := net.Dial("tcp", listen)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return p
}

func (p *pebble) read(r io.Reader) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		p.mu.Lock()
		p.lines = append(p.lines, lines.Text())
		if strings.Contains(lines.Text(), "Added order ") {
			p.orders++
		}
		p.mu.Unlock()
	}
}

func (p *pebble) orderCount() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.orders
}

// logged says whether a line of pebble's log has a text.
func (p *pebble) logged(text string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.lines, func(l string) bool { return strings.Contains(l, text) })
}

func serverCert(t *testing.T, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pebble"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:  x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func waitUntil(t *testing.T, what string, patience time.Duration, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// dnsServer answers every question for an address with the same one. It speaks
// TCP only, as pebble does.
type dnsServer struct {
	addr string

	mu     sync.Mutex
	ip     [4]byte
	frozen bool // questions for addresses stay unanswered
	asked  int
}

func startDNS(t *testing.T) *dnsServer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &dnsServer{addr: ln.Addr().String(), ip: [4]byte{127, 0, 0, 1}}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			running.Go(func() { d.serve(conn) })
		}
	})
	t.Cleanup(func() { ln.Close(); running.Wait() })
	return d
}

// serve answers one connection; each message follows its length (RFC 1035
// section 4.2.2).
func (d *dnsServer) serve(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	for {
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(length[:]))
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		if answer := d.answer(query); answer != nil {
			_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
		}
	}
}

func (d *dnsServer) answer(query []byte) []byte {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) == 0 {
		return nil
	}
	m.Response, m.Authoritative, m.Additionals = true, true, nil
	if q := m.Questions[0]; q.Type == dnsmessage.TypeA {
		d.mu.Lock()
		d.asked++
		ip, frozen := d.ip, d.frozen
		d.mu.Unlock()
		if frozen {
			return nil
		}
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1},
			Body:   &dnsmessage.AResource{A: ip},
		}}
	}
	out, err := m.Pack()
	if err != nil {
		return nil
	}
	return out
}

func (d *dnsServer) set(ip string, frozen bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ip, d.frozen = [4]byte(net.ParseIP(ip).To4()), frozen
}

// nodeConfig is what a node process is told, in an environment variable.
type nodeConfig struct {
	Name, BusURL, Directory, CAFile string
	HTTP, HTTPS                     string // addresses; an empty one is off
	Hosts                           []string
	RenewCheck                      time.Duration
}

const nodeVariable = "EDGEROUTER_ACME_TEST_NODE"

// node is a process that runs a vault and a Manager and serves.
type node struct {
	nodeConfig
	cmd  *exec.Cmd
	out  *bytes.Buffer
	mu   *sync.Mutex
	done chan struct{}
}

func startNode(t *testing.T, c nodeConfig) *node {
	t.Helper()
	text, _ := json.Marshal(c)
	n := &node{nodeConfig: c, cmd: exec.Command(os.Args[0]), out: &bytes.Buffer{}, mu: &sync.Mutex{}, done: make(chan struct{})}
	n.cmd.Env = append(os.Environ(), nodeVariable+"="+string(text))
	out, err := n.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(n.done)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			n.mu.Lock()
			fmt.Fprintln(n.out, lines.Text())
			n.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		n.kill()
		if t.Failed() {
			t.Logf("node %s:\n%s", c.Name, n.log())
		}
	})
	return n
}

func (n *node) kill() {
	_ = n.cmd.Process.Kill()
	<-n.done
	_ = n.cmd.Wait()
}

func (n *node) log() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.out.String()
}

// serial is the serial number that a handshake shows; "": refused.
func (n *node) serial(host string) string {
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 2 * time.Second}, Config: &tls.Config{ServerName: host, InsecureSkipVerify: true}}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	conn, err := d.DialContext(ctx, "tcp", n.HTTPS)
	if err != nil {
		return ""
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// challengeHandler is the plain side of a node.
func challengeHandler(m *Manager) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer := m.HTTPChallenge(r.Host, r.URL.Path); answer != "" {
			fmt.Fprint(w, answer)
			return
		}
		http.NotFound(w, r)
	})
}
