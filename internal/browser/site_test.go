package browser

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"edgerouter/internal/testkit"
)

// siteFile is the only asset of the deploys below: large enough for a dictionary,
// and nothing that compresses well without one.
func siteFile(version int) []byte {
	var b bytes.Buffer
	random := rand.New(rand.NewPCG(1, 2))
	fmt.Fprintf(&b, "document.title = \"version %d\"\n", version)
	for range 400 {
		fmt.Fprintf(&b, "// %x %x\n", random.Uint64(), random.Uint64())
	}
	return b.Bytes()
}

// assetName has a hash in it: only what stays fresh is a dictionary to browsers
// (RFC 9842 section 2.1.4).
func assetName(version int) string { return fmt.Sprintf("/app.3f2a9c%02d.js", version) }

// deploySite puts a version into the node's store and changes the definition of
// the quick start's site to it.
func deploySite(t *testing.T, e *edge, version int) {
	t.Helper()
	var site bytes.Buffer
	w := tar.NewWriter(&site)
	for name, body := range map[string][]byte{
		"index.html":           []byte("<!DOCTYPE html>\n<title>loading</title>\n<p id=\"there\">a deploy</p>\n<script src=\"" + assetName(version) + "\"></script>\n"),
		assetName(version)[1:]: siteFile(version),
	} {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(body)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	data := filepath.Dir(e.token)
	cmd := exec.Command(e.binary, "turbocharger", "tar-deploy-to-store", "site", "--data", data)
	cmd.Stdin, cmd.Stderr = &site, os.Stderr
	id, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(data, "quickstart.json")
	definitions, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := regexp.MustCompile(`"manifest": "[^"]*"`).ReplaceAll(definitions, []byte(`"manifest": "`+strings.TrimSpace(string(id))+`"`))
	if bytes.Equal(changed, definitions) {
		t.Fatalf("no manifest in %s", definitions)
	}
	if err := os.WriteFile(path, changed, 0o600); err != nil {
		t.Fatal(err)
	}
}

// trustingTab is a tab of a browser of its own, which takes the certificate of a
// name for a good one.
func trustingTab(t *testing.T, addr, name string) *tab {
	t.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	key := sha256.Sum256(c.ConnectionState().PeerCertificates[0].RawSubjectPublicKeyInfo)
	ctx, end := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(need(t, "chromium")), chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("ignore-certificate-errors-spki-list", base64.StdEncoding.EncodeToString(key[:])),
		chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(time.Minute))
	t.Cleanup(end)
	ctx, end = chromedp.NewContext(ctx)
	t.Cleanup(func() { _ = chromedp.Cancel(ctx); end() })
	return &tab{t: t, ctx: ctx}
}

// TestQuickStartSite loads the quick start's site over TLS. A deploy is picked up
// by a browser that has the one before, and the asset comes as a difference to it
// (RFC 9842), as the browser offers what it has.
func TestQuickStartSite(t *testing.T) {
	testkit.Long(t)
	e := startEdge(t, `{"apps": []}`, "--apps", "")
	_, port, _ := strings.Cut(e.https, ":")
	page := "https://site.localhost:" + port + "/"

	b := trustingTab(t, e.https, "site.localhost")
	b.do(chromedp.Navigate(page))
	b.until("the site is there", `location.protocol === "https:" && window.isSecureContext && document.body.innerText.includes("A static site at the edge")`)
	b.until("its style is there", `document.styleSheets.length > 0 && document.styleSheets[0].cssRules.length > 0`)
	var protocol string
	b.eval(`performance.getEntriesByType("navigation")[0].nextHopProtocol`, &protocol)
	t.Logf("the site came over %s", protocol)

	// What came as a difference says how much came and what that became.
	type asset struct {
		Title            string
		Encoded, Decoded int
	}
	load := func(version int) (a asset) {
		t.Helper()
		title := fmt.Sprintf("version %d", version)
		e.eventually(title+" is in the browser", func() bool {
			b.do(chromedp.Navigate(page))
			b.eval(`(() => {
				const timing = performance.getEntriesByName(new URL("`+assetName(version)+`", location).href).at(-1)
				return {Title: document.title, Encoded: timing ? timing.encodedBodySize : -1, Decoded: timing ? timing.decodedBodySize : -1}
			})()`, &a)
			return a.Title == title
		})
		return a
	}
	deploySite(t, e, 1)
	if first := load(1); first.Encoded < len(siteFile(1))/2 {
		t.Fatalf("without a dictionary: %+v", first)
	}
	// A browser takes a version for its dictionary as soon as it has it, in the place of
	// the one before: the difference must be there when it asks for the first time. Until
	// it has written the first one down it offers nothing; then it is the next one's turn.
	const tries = 6
	for version := 2; ; version++ {
		deploySite(t, e, version)
		e.eventually(fmt.Sprintf("the difference between versions %d and %d is there", version-1, version), func() bool {
			return e.difference(version)
		})
		before := e.metric("er_site_deltas_total")
		a := load(version)
		b.quiet()
		if a.Decoded != len(siteFile(version)) {
			t.Fatalf("version %d has %d bytes: %+v", version, len(siteFile(version)), a)
		}
		sent := e.metric("er_site_deltas_total") != before
		t.Logf("version %d: %d bytes came for %d, as a difference: %v", version, a.Encoded, a.Decoded, sent)
		if sent && a.Encoded < 1000 {
			return
		}
		if version == tries {
			t.Fatalf("Chromium did not offer its dictionary in %d versions", tries)
		}
	}
}

// difference asks for the asset of a version like a browser that has the one before,
// and says whether it comes as the difference: those are made in the background.
func (e *edge) difference(version int) bool {
	e.t.Helper()
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{ServerName: "site.localhost", InsecureSkipVerify: true}, DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, e.https)
		},
	}}
	_, port, _ := strings.Cut(e.https, ":")
	req, err := http.NewRequestWithContext(e.t.Context(), "GET", "https://site.localhost:"+port+assetName(version), nil)
	if err != nil {
		e.t.Fatal(err)
	}
	had := sha256.Sum256(siteFile(version - 1))
	both := true
	for _, encoding := range []string{"dcb", "dcz"} {
		req.Header.Set("Accept-Encoding", "gzip, br, zstd, "+encoding)
		req.Header.Set("Available-Dictionary", ":"+base64.StdEncoding.EncodeToString(had[:])+":")
		resp, err := client.Do(req)
		if err != nil {
			e.t.Fatal(err)
		}
		resp.Body.Close()
		both = both && resp.StatusCode == 200 && resp.Header.Get("Content-Encoding") == encoding
	}
	return both
}

// metric is the value of one of the node's metrics.
func (e *edge) metric(name string) string {
	e.t.Helper()
	for line := range strings.Lines(e.get("metrics")) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(rest)
		}
	}
	e.t.Fatalf("there is no metric %s", name)
	return ""
}
