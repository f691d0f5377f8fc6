package cli

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgerouter/bus/remote"
	"edgerouter/certs/certbus"
	"edgerouter/internal/dynamotest"
)

// writePair makes a certificate and its key as PEM files; issuer nil: self-signed.
func writePair(t *testing.T, dir, name string, serial int64, usage x509.ExtKeyUsage, hosts ...string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, DNSNames: hosts, ExtKeyUsage: []x509.ExtKeyUsage{usage},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(90 * 24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// serialOf is what a handshake for a name shows; 0: refused.
func serialOf(addr, name string) int64 {
	conn, err := tls.Dial("tcp", addr, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		return 0
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func output(t *testing.T, args ...string) string {
	t.Helper()
	cmd := edgerouter(t, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("edgerouter %s: %v: %s", strings.Join(args, " "), err, &stderr)
	}
	return strings.TrimSpace(string(out))
}

// The test data's stream and certificates of cert put, through the embedded bus
// of a node, to handshakes.
func TestServeCertBus(t *testing.T) {
	dir, secure := t.TempDir(), freePort(t)
	public := output(t, "cert", "keygen", "--out", filepath.Join(dir, "own.key"))
	if info, err := os.Stat(filepath.Join(dir, "own.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the private key: %v %v", info, err)
	}
	publicFile := filepath.Join(dir, "own.pub")
	if err := os.WriteFile(publicFile, []byte(public+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	apps := filepath.Join(dir, "apps.json")
	writeApps(t, apps, peerSet("a", "a.example.com", origin(t, "a")))
	const vectors = "../certs/certbus/testdata/"
	p := startServe(t, apps, "--https", secure, "--certbus-key", "file:"+filepath.Join(dir, "own.key")+",file:"+vectors+"client-privkey.pem")
	server := []string{"--server", "http://" + p.admin, "--data", p.data()}

	log, err := remote.New("http://"+p.admin, p.token())
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range dynamotest.Items(t, vectors+"items.json") {
		if i.S == "/t-1/certbus" && len(i.E) > 0 {
			if _, err := log.Append(t.Context(), i.S, i.E...); err != nil {
				t.Fatal(err)
			}
		}
	}
	p.showsVectors(secure)

	cert, key := writePair(t, dir, "one", 501, x509.ExtKeyUsageServerAuth, "a.example.com")
	id := output(t, append([]string{"cert", "put", "--cert", cert, "--key", key, "--for", publicFile}, server...)...)
	p.eventually("serial 501", func() bool { return serialOf(secure, "a.example.com") == 501 })
	cert, key = writePair(t, dir, "two", 502, x509.ExtKeyUsageServerAuth, "a.example.com")
	if again := output(t, append([]string{"cert", "put", "--cert", cert, "--key", key, "--for", publicFile}, server...)...); again != id {
		t.Errorf("the renewal has the Id %q, not %q", again, id)
	}
	p.eventually("serial 502", func() bool { return serialOf(secure, "a.example.com") == 502 })
	list := output(t, append([]string{"cert", "ls", "--stream"}, server...)...)
	if !strings.Contains(list, id) || !strings.Contains(list, "502") || !strings.Contains(list, "foreign.example.org") {
		t.Errorf("cert ls --stream: %s", list)
	}
	if list := output(t, append([]string{"cert", "ls"}, server...)...); !strings.Contains(list, "CertBus Id "+id) || !strings.Contains(list, " 89 ") {
		t.Errorf("cert ls: %s", list)
	}
	output(t, append([]string{"cert", "rm", id}, server...)...)
	p.eventually("a.example.com is refused", func() bool { return serialOf(secure, "a.example.com") == 0 })

	_, other := writePair(t, dir, "three", 503, x509.ExtKeyUsageServerAuth, "a.example.com")
	for _, x := range []struct {
		args []string
		want string
	}{
		{[]string{"--cert", cert, "--key", other, "--for", publicFile}, "does not fit"},
		{[]string{"--cert", publicFile, "--key", key, "--for", publicFile}, "own.pub"},
		{[]string{"--cert", cert, "--key", key, "--for", cert}, "--for"},
		{[]string{"--cert", cert, "--key", key}, "for whom"},
	} {
		cmd := edgerouter(t, append(append([]string{"cert", "put"}, x.args...), server...)...)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), x.want) || strings.Count(string(out), "\n") != 1 {
			t.Errorf("cert put %v: %v: %s", x.args, err, out)
		}
	}
}

// showsVectors waits for the certificates of the test data, and checks what
// handshakes for their names show: the serials of specs/certs.md, signed by its CA.
func (p *process) showsVectors(secure string) {
	p.t.Helper()
	ca, err := os.ReadFile("../certs/certbus/testdata/ca.pem")
	if err != nil {
		p.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	p.within(30*time.Second, "example.com shows serial 104", func() bool { return serialOf(secure, "example.com") == 104 })
	// The removal is one of the last entries of the stream, after the renewal.
	p.within(30*time.Second, "gone.example.com is refused and apps.example.net is not", func() bool {
		return shown(secure, "gone.example.com") == nil && shown(secure, "apps.example.net") != nil
	})
	for name, want := range map[string]int64{
		"example.com": 104, "www.example.com": 104, "apps.example.net": 102, "x.apps.example.net": 102, "X.APPS.example.net": 102,
		"y.x.apps.example.net": 0, "foreign.example.org": 0, "gone.example.com": 0,
	} {
		cert := shown(secure, name)
		if cert == nil {
			if want != 0 {
				p.t.Errorf("a handshake for %s is refused, want serial %d", name, want)
			}
			continue
		}
		_, err := cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: cert.NotBefore.Add(time.Hour)})
		if got := cert.SerialNumber.Int64(); got != want || err != nil {
			p.t.Errorf("a handshake for %s shows serial %d, want %d (%v)", name, got, want, err)
		}
	}
}

// The test data as it stands in a table of EventHorizon: a node that follows it
// through DynamoDB shows the same, and takes up what is appended there later.
func TestServeCertBusFromDynamoDB(t *testing.T) {
	endpoint := dynamotest.Start(t)
	dir, secure := t.TempDir(), freePort(t)
	items := dynamotest.Items(t, "../certs/certbus/testdata/items.json")
	dynamotest.Load(t, dynamotest.Client(endpoint), items)
	t.Setenv("AWS_ENDPOINT_URL_DYNAMODB", endpoint)
	t.Setenv("EVENTHORIZON", "dev:1:id:secret:eu-central-1")
	key, err := os.ReadFile("../certs/certbus/testdata/client-privkey.pem")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("CERTBUS_CLIENT_PRIVKEY", base64.StdEncoding.EncodeToString(key))
	apps := filepath.Join(dir, "apps.json")
	writeApps(t, apps)
	p := startServe(t, apps, "--https", secure, "--bus", "eventhorizon", "--bus-poll", "100ms")
	p.showsVectors(secure)

	// A renewal of 104's Id, and the removal of 102's, as another tool appends them.
	public := filepath.Join(dir, "client.pub")
	private, err := certbus.ParseClientKey(string(key))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(public, []byte(certbus.MarshalPublic(&private.PublicKey, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	cert, certKey := writePair(t, dir, "next", 105, x509.ExtKeyUsageServerAuth, "example.com", "www.example.com")
	output(t, "cert", "put", "--bus", "eventhorizon", "--cert", cert, "--key", certKey, "--for", public)
	p.within(30*time.Second, "example.com shows serial 105", func() bool { return serialOf(secure, "example.com") == 105 })
	for line := range strings.Lines(output(t, "cert", "ls", "--stream", "--bus", "eventhorizon")) {
		if strings.Contains(line, "apps.example.net") {
			output(t, "cert", "rm", strings.Fields(line)[0], "--bus", "eventhorizon")
		}
	}
	p.within(30*time.Second, "apps.example.net is refused", func() bool { return serialOf(secure, "apps.example.net") == 0 })
}

func (p *process) data() string {
	for i, arg := range p.cmd.Args {
		if arg == "--data" {
			return p.cmd.Args[i+1]
		}
	}
	return ""
}

func (p *process) token() string {
	token, err := os.ReadFile(filepath.Join(p.data(), "admin-token"))
	if err != nil {
		p.t.Fatal(err)
	}
	return strings.TrimSpace(string(token))
}

// Client certificates reach the application that wants them, and nothing that a
// client makes up does.
func TestServeClientCertificates(t *testing.T) {
	dir, secure := t.TempDir(), freePort(t)
	writePair(t, dir, "server", 600, x509.ExtKeyUsageServerAuth, "mtls.example.com", "open.example.com")
	clientDir := t.TempDir()
	cert, key := writePair(t, clientDir, "client", 601, x509.ExtKeyUsageClientAuth, "client.example.com")
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "subject=%s evil=%s", r.Header.Get("X-Client-Cert-Subject"), r.Header.Get("X-Client-Cert-Evil")+r.Header.Get("X_Client_Cert_Evil"))
	}))
	defer echo.Close()
	apps := filepath.Join(t.TempDir(), "apps.json")
	guarded := strings.Replace(peerSet("mtls", "mtls.example.com", echo.URL), `"backend"`,
		fmt.Sprintf(`"middlewares": [{"kind": "client_certificate", "client_certificate_opts": {"ca_file": %q}}], "backend"`, cert), 1)
	writeApps(t, apps, guarded, peerSet("open", "open.example.com", echo.URL))
	p := startServe(t, apps, "--https", secure, "--cert-dir", dir)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	get := func(host string, show bool) (int, string) {
		asked := false
		config := &tls.Config{ServerName: host, InsecureSkipVerify: true, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked = true
			if show {
				return &pair, nil
			}
			return &tls.Certificate{}, nil
		}}
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
		req, _ := http.NewRequest(http.MethodGet, "https://"+secure+"/", nil)
		req.Host = host
		req.Header.Set("X-Client-Cert-Evil", "1")
		req.Header["X_Client_Cert_Evil"] = []string{"1"}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		if asked != (host == "mtls.example.com") {
			t.Errorf("%s: the client was asked for a certificate: %v", host, asked)
		}
		return resp.StatusCode, string(body)
	}
	p.eventually("the certificate is served", func() bool { return serialOf(secure, "mtls.example.com") == 600 })
	if code, body := get("mtls.example.com", true); code != 200 || body != "subject=CN=client evil=" {
		t.Errorf("with a certificate: %d %s", code, body)
	}
	if code, body := get("mtls.example.com", false); code != 403 {
		t.Errorf("without one: %d %s", code, body)
	}
	if code, body := get("open.example.com", true); code != 200 || body != "subject= evil=" {
		t.Errorf("an application that does not ask: %d %s", code, body)
	}
}

func TestServeCertSettings(t *testing.T) {
	dir := t.TempDir()
	apps := filepath.Join(dir, "apps.json")
	writeApps(t, apps, peerSet("a", "a.example.com", "http://127.0.0.1:9"))
	for _, x := range []struct {
		args []string
		want string
	}{
		{[]string{"--certbus-key", "nonsense-secret"}, "neither PEM nor base64"},
		{[]string{"--certbus-key", "file:" + dir + "/nowhere"}, "nowhere"},
		{[]string{"--acme-ca-root", apps}, "no certificate in PEM form"},
		{[]string{"--tls-min", "1.1"}, "want 1.2 or 1.3"},
		{[]string{"--tls-curves", "P-256,brainpool"}, `"brainpool" is none of X25519MLKEM768`},
		{[]string{"--bus", "off", "--acme-email", "a@example.com"}, "need the event bus"},
		{[]string{"--acme-directory", "ftp://ca"}, "want an https URL"},
		{[]string{"--bus", "nats://127.0.0.1:1", "--acme-email", "a@example.com"}, "--bus-secret-file"},
	} {
		args := append([]string{"serve", "--http", freePort(t), "--https", freePort(t), "--admin", freePort(t), "--data", t.TempDir(), "--apps", apps}, x.args...)
		out, err := edgerouter(t, args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), x.want) || strings.Contains(string(out), "nonsense-secret") {
			t.Errorf("%v: %v: %s", x.args, err, out)
		}
	}
}
