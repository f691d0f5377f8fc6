package peer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"edgerouter/internal/testkit"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPlansAreTaken lets the installed programs check their configurations.
func TestPlansAreTaken(t *testing.T) {
	for _, c := range []struct {
		program string
		plan    func(path string) Proxy
		args    func(j Job) []string
		many    bool
		files   bool
	}{
		{"nginx", func(p string) Proxy { return Nginx{Binary: p} }, func(j Job) []string { return []string{"-t", "-p", j.Dir, "-c", j.path("nginx.conf")} }, true, true},
		{"haproxy", func(p string) Proxy { return HAProxy{Binary: p} }, func(j Job) []string { return []string{"-c", "-f", j.path("haproxy.cfg")} }, true, false},
		{"caddy", func(p string) Proxy { return Caddy{Binary: p} }, func(j Job) []string {
			return []string{"validate", "--adapter", "caddyfile", "--config", j.path("Caddyfile")}
		}, false, true},
	} {
		t.Run(c.program, func(t *testing.T) {
			path, err := lookup(c.program, "/usr/sbin/"+c.program)
			if err != nil {
				testkit.Missing(t, c.program, "install "+c.program+" to have its configuration checked")
			}
			plain := job()
			plain.Root = os.Geteuid() == 0
			jobs := []Job{plain}
			bare, many, site := plain, plain, plain
			site.Site = &Site{Root: t.TempDir()}
			bare.Bare, bare.Large = true, true
			many.Apps, many.Probe = 300, 0
			if jobs = append(jobs, bare); c.many {
				jobs = append(jobs, many)
			}
			if c.files {
				jobs = append(jobs, site)
			}
			for _, j := range jobs {
				j.Dir, j.CertDir = t.TempDir(), t.TempDir()
				certificate(t, &j)
				plan, err := c.plan(path).Plan(j)
				if err != nil {
					t.Fatal(err)
				}
				for name, b := range plan.Files {
					if err := os.WriteFile(j.path(name), b, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				cmd := exec.CommandContext(t.Context(), path, c.args(j)...)
				cmd.Env = append(os.Environ(), "HOME="+j.Dir)
				out, err := cmd.CombinedOutput()
				if err != nil || strings.Contains(string(out), "[warn]") || strings.Contains(string(out), "WARNING") {
					t.Errorf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
				}
			}
		})
	}
}

func certificate(t *testing.T, j *Job) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{Host}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	j.Cert, j.Key, j.Both = filepath.Join(j.CertDir, "cert.crt"), filepath.Join(j.CertDir, "cert.key"), filepath.Join(j.Dir, "both.pem")
	for file, b := range map[string][]byte{j.Cert: certPEM, j.Key: keyPEM, j.Both: append(append([]byte{}, certPEM...), keyPEM...)} {
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
