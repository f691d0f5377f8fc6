package cli

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// bundles writes certificates into a folder, one file each, which share a key.
type bundles struct {
	t      *testing.T
	dir    string
	key    *ecdsa.PrivateKey
	keyPEM []byte
	serial int64
}

func (b *bundles) host(i int) string { return fmt.Sprintf("host-%d.example.com", i) }

// write makes a new certificate for a host and returns its serial number.
func (b *bundles) write(i int) int64 { return b.writeTo(b.dir, i) }

// writeTo writes it into a folder of its own.
func (b *bundles) writeTo(dir string, i int) int64 {
	b.serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(b.serial), DNSNames: []string{b.host(i)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, b.key.Public(), b.key)
	if err != nil {
		b.t.Error(err)
		return 0
	}
	path := filepath.Join(dir, fmt.Sprintf("%06d.pem", i))
	content := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), b.keyPEM...)
	if err := os.WriteFile(path+"~", content, 0o600); err != nil {
		b.t.Error(err)
	}
	if err := os.Rename(path+"~", path); err != nil {
		b.t.Error(err)
	}
	return b.serial
}

// What swapping one certificate a second does to full handshakes at a constant
// rate, when there are 100,000 (EDGEROUTER_TEST_FIGURES=1, or another number). The
// node has the core 1 for itself, from its start, and this process the core 0. In
// the slices without a swap a certificate is made and written too, into a folder
// that nobody watches: the node's work is the only difference.
func TestFigureSwapOneCertificate(t *testing.T) {
	figures(t)
	count, _ := strconv.Atoi(os.Getenv("EDGEROUTER_TEST_FIGURES"))
	if count < 2 {
		count = 100_000
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	b := &bundles{t: t, dir: t.TempDir(), key: key, keyPEM: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})}
	for i := range count {
		b.write(i)
	}
	self, _ := os.Executable()
	m := &member{t: t, name: "node", data: t.TempDir(), http: freePort(t), admin: freePort(t), binary: filepath.Join(t.TempDir(), "edgerouter")}
	if err := os.Symlink(self, m.binary); err != nil {
		t.Fatal(err)
	}
	secure, apps := freePort(t), filepath.Join(m.data, "apps.json")
	writeApps(t, apps)
	m.args = []string{"serve", "--docker", "off", "--bus", "off", "--http", m.http, "--https", secure, "--admin", m.admin, "--data", m.data,
		"--apps", apps, "--cert-dir", b.dir, "--log-level", "warn"}
	m.args = append([]string{"-c", "1", m.binary}, m.args...)
	m.binary = "taskset"
	m.start()
	t.Cleanup(func() { m.kill(syscall.SIGKILL) })
	m.ready()
	if out, err := exec.Command("taskset", "-a", "-c", "-p", "0", strconv.Itoa(os.Getpid())).CombinedOutput(); err != nil {
		t.Logf("taskset: %v %s", err, out)
	}
	unwatched := t.TempDir()
	eventually(t, "all are served", 2*time.Minute, func() bool { return shown(secure, b.host(count-1)) != nil && shown(secure, b.host(0)) != nil })

	const rate, slice = 400, time.Second
	var failed, swaps atomic.Int64
	var mu sync.Mutex
	load := func(swap bool) (p50, p99 time.Duration) {
		var all []time.Duration
		var clients sync.WaitGroup
		began := time.Now()
		clients.Go(func() {
			time.Sleep(time.Until(began.Add(200 * time.Millisecond)))
			dir := unwatched
			if swap {
				dir = b.dir
			}
			b.writeTo(dir, int(swaps.Add(1))*7919%count)
		})
		for n := range int(slice.Seconds() * rate) {
			due := began.Add(time.Duration(n) * time.Second / rate)
			time.Sleep(time.Until(due))
			clients.Go(func() {
				conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", secure,
					&tls.Config{ServerName: b.host(n * 31 % count), InsecureSkipVerify: true, CurvePreferences: []tls.CurveID{tls.X25519}})
				if err != nil {
					failed.Add(1)
					return
				}
				took := time.Since(due)
				conn.Close()
				mu.Lock()
				defer mu.Unlock()
				all = append(all, took)
			})
		}
		clients.Wait()
		slices.Sort(all)
		return all[len(all)/2], all[len(all)*99/100]
	}
	load(false)
	var without, with []time.Duration
	var ratios []float64
	for range 12 {
		_, still := load(false)
		_, moved := load(true)
		without, with = append(without, still), append(with, moved)
		ratios = append(ratios, float64(moved)/float64(still))
	}
	slices.Sort(without)
	slices.Sort(with)
	slices.Sort(ratios)
	last := b.write(5)
	took := eventually(t, "the swap is served", time.Minute, func() bool { return shown(secure, b.host(5)).SerialNumber.Int64() == last })
	median := len(with) / 2
	t.Logf("p99 of slices of a second with one swap each among %d: %v; without: %v; medians %v and %v, %.2f; ratios of pairs %.2f, median %.2f", count, with, without,
		with[median], without[median], float64(with[median])/float64(without[median]), ratios, ratios[median])
	t.Logf("a swap is served after %v; %d handshakes failed", took, failed.Load())
	if failed.Load() > 0 {
		t.Errorf("%d handshakes failed", failed.Load())
	}
	if text := m.out.String(); strings.Contains(text, "panic") {
		t.Error(text)
	}
}
