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
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
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
		// Without a public CA Chromium offers no dictionary, unless told so.
		chromedp.Flag("enable-features", "CompressionDictionaryTransport,CompressionDictionaryTransportBackend,CompressionDictionaryTransportOverHttp1"),
		chromedp.Flag("disable-features", "CompressionDictionaryTransportRequireKnownRootCert"),
		chromedp.Flag("ignore-certificate-errors-spki-list", base64.StdEncoding.EncodeToString(key[:])),
		chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(time.Minute))
	t.Cleanup(end)
	ctx, end = chromedp.NewContext(ctx)
	t.Cleanup(func() { _ = chromedp.Cancel(ctx); end() })
	return &tab{t: t, ctx: ctx}
}

// TestQuickStartSite loads the quick start's site over TLS. A deploy is picked up
// by a browser that has the one before, and the asset comes as a difference to it
// (RFC 9842) if the browser offers what it has.
func TestQuickStartSite(t *testing.T) {
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

	load := func(version int) {
		t.Helper()
		deploySite(t, e, version)
		e.eventually(fmt.Sprintf("version %d is served", version), func() bool {
			b.do(chromedp.Navigate(page))
			var title string
			b.eval(`document.title`, &title)
			return title == fmt.Sprintf("version %d", version)
		})
	}
	load(1)
	load(2)
	b.quiet()

	// Deltas are made in the background, at the first request that could use one.
	type answer struct {
		Encoding string
		Size     int
		Whole    bool
	}
	const whole = `document.title = \"version 2\"`
	offered := false
	for end := 40; end > 0 && !offered; end-- {
		var asked bool
		b.eval(`(() => { window.got = null; fetch("`+assetName(2)+`", {cache: "reload"}).then(async r => {
			const text = await r.text()
			const timing = performance.getEntriesByName(r.url).at(-1)
			window.got = {Encoding: r.headers.get("content-encoding") || "", Size: timing ? timing.encodedBodySize : -1, Whole: text.startsWith("`+whole+`")}
		}); return true })()`, &asked)
		b.until("an answer", `window.got !== null`)
		var a answer
		b.eval(`window.got`, &a)
		if !a.Whole {
			t.Fatalf("the asset as %q is not that of version 2", a.Encoding)
		}
		if offered = a.Encoding == "dcb" || a.Encoding == "dcz"; offered {
			t.Logf("%d bytes came as %s in the place of %d", a.Size, a.Encoding, len(siteFile(2)))
		}
	}
	if !offered {
		t.Log("this Chromium offers no dictionary")
	}
}
