package acme

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"
)

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
	if c := n.cert(host); c != nil {
		return c.SerialNumber.String()
	}
	return ""
}

// cert is what a handshake shows; nil: refused.
func (n *node) cert(host string) *x509.Certificate {
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 10 * time.Second}, Config: &tls.Config{ServerName: host, InsecureSkipVerify: true}}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := d.DialContext(ctx, "tcp", n.HTTPS)
	if err != nil {
		return nil
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
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
