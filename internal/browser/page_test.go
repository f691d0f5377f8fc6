package browser

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// shop is what the tests serve: one that works, one whose peers are partly and
// one whose are wholly gone, a conflict, one that this version cannot do.
func shop(peer string) string {
	return fmt.Sprintf(`{"apps": [
  {"id": "shop", "frontends": [{"kind": "hostname", "hostname": "shop.example.com", "allow_insecure_http": true}],
    "backend": {"kind": "peer_set", "peer_set_opts": {"addrs": [%[1]q, "http://127.0.0.1:1"], "health_check": {"path": "/", "interval": "1s", "timeout": "1s"}}}},
  {"id": "blog", "frontends": [{"kind": "hostname", "hostname": "blog.example.com", "allow_insecure_http": true}, {"kind": "hostname", "hostname": "www.blog.example.com"}],
    "backend": {"kind": "peer_set", "peer_set_opts": {"addrs": [%[1]q]}}},
  {"id": "reports", "frontends": [{"kind": "hostname", "hostname": "reports.example.com", "allow_insecure_http": true}],
    "backend": {"kind": "auth_v0", "auth_v0_opts": {"bearer_token": "never-shown-0123456789", "authorized_backend":
      {"kind": "peer_set", "peer_set_opts": {"addrs": ["http://127.0.0.1:1"], "health_check": {"path": "/", "interval": "1s", "timeout": "1s"}}}}}},
  {"id": "resize", "frontends": [{"kind": "hostname", "hostname": "img.example.com", "path_prefix": "/resize/", "strip_path_prefix": "/resize/"}],
    "backend": {"kind": "aws_lambda", "aws_lambda_opts": {"function_name": "resize", "region_id": "eu-central-1"}}},
  {"id": "shop-old", "frontends": [{"kind": "hostname", "hostname": "shop.example.com"}], "backend": {"kind": "redirect", "redirect_opts": {"to": "https://shop.example.com/"}}},
  {"id": "docs", "frontends": [{"kind": "hostname", "hostname": "docs.example.com", "allow_insecure_http": true}], "backend": {"kind": "redirect", "redirect_opts": {"to": "https://example.com/docs{path}"}}}
]}`, peer)
}

func wiki(peer, policy string) string {
	return fmt.Sprintf(`{"id": "wiki", "frontends": [{"kind": "hostname", "hostname": "wiki.example.com", "allow_insecure_http": true}],
  "backend": {"kind": "peer_set", "peer_set_opts": {"addrs": [%q], "policy": %q}}}`, peer, policy)
}

// certificates is a folder with a good one that ends soon and a broken one.
func certificates(t *testing.T) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	dir, now := t.TempDir(), time.Now()
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"pictures.example.com", "*.pictures.example.com"}, NotBefore: now.Add(-80 * 24 * time.Hour), NotAfter: now.Add(10*24*time.Hour + time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...)
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "pictures.pem"), text, 0o600), os.WriteFile(filepath.Join(dir, "broken.pem"), text[:len(text)/2], 0o600)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// traffic sends a little until the test ends.
func (e *edge) traffic() {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			host := []string{"shop", "blog", "shop", "docs", "blog", "wiki"}[i%6] + ".example.com"
			path := "/"
			if i%17 == 0 {
				path = "/missing"
			}
			e.request(host, path)
			if i%23 == 0 {
				e.request("reports.example.com", "/")
			}
		}
	}()
	e.t.Cleanup(func() { stop(); <-done })
}

// TestPage is the tour: live update after a put, explain, history, rollback,
// drain, events, certificates, dark mode and a telephone.
func TestPage(t *testing.T) {
	need(t, "chromium")
	peer := origin(t)
	e := startEdge(t, shop(peer), "--cert-dir", certificates(t))
	e.put(wiki(peer, "p2c"))
	b := openTab(t, 1280, 900)
	b.open(e.url(""))
	e.traffic()
	b.until("the overview tells what is wrong", `document.body.innerText.includes("0 of 1 peers up")`)
	b.until("the worst comes first", `document.querySelector(".troubles li p").textContent.includes("reports")`)
	b.until("figures arrive", `parseFloat(document.querySelector(".chart .value").textContent) > 5`)
	b.checkAccess("overview")

	// A change reaches the list without a reload.
	b.open(e.url("#/apps"))
	b.until("the list has everything", `document.body.innerText.includes("7 of 7 applications")`)
	e.put(strings.Replace(strings.Replace(wiki(peer, "p2c"), "wiki", "notes", 1), "wiki.example", "notes.example", 1))
	b.until("the put is shown", `document.body.innerText.includes("8 of 8 applications") && document.body.innerText.includes("notes.example.com/")`)
	b.enter("#find", "wiki")
	b.until("finding works", `document.body.innerText.includes("1 of 8 applications")`)
	b.checkAccess("applications")

	// History, diff and rollback.
	e.put(wiki(peer, "round_robin"))
	b.click(".row")
	b.until("history has the change", `location.hash === "#/apps/wiki" && /policy: .*round_robin/.test(document.querySelector(".timeline")?.textContent)`)
	b.checkAccess("application")
	b.picture("admin-application.png")
	b.click(`[aria-label^="Roll back to version"]`)
	b.until("it asks", `document.getElementById("ask").open && document.activeElement.id === "token"`)
	b.until("and says what would change", `document.querySelector("#ask .diff").textContent.includes('"round_robin" -> "p2c"')`)
	b.checkAccess("question")
	b.enter("#token", "wrong\r")
	b.until("a wrong token is refused", `document.getElementById("ask-error").textContent.includes("authentication required")`)
	token, err := os.ReadFile(e.token)
	if err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.SetValue(chromedp.CSS("#token"), strings.TrimSpace(string(token))))
	b.click("#ask-yes")
	b.until("it is rolled back", `!document.getElementById("ask").open && document.querySelectorAll(".timeline > li").length === 3 && document.querySelector("pre").textContent.includes('"policy": "p2c"')`)

	// Drain a peer: the token is known now.
	b.click(`[aria-label^="Drain "]`)
	b.until("the token is not asked for twice", `document.getElementById("ask").open && document.getElementById("ask-token").hidden`)
	b.click("#ask-yes")
	b.until("the peer is drained", `document.body.innerText.includes("an operator drains it")`)
	b.click(`[aria-label^="Put back "]`)
	b.until("it asks again", `document.getElementById("ask").open`)
	b.click("#ask-yes")
	b.until("and put back", `document.querySelector('[aria-label^="Drain "]')`)

	// Explain and conflicts.
	b.open(e.url("#/routes"))
	b.enter("#url", "http://shop.example.com/cart?x=1\r")
	b.until("explain answers", `document.body.innerText.includes("Taken by shop")`)
	b.until("the conflict is shown", `document.body.innerText.includes("shop-old")`)
	b.checkAccess("routes")
	b.picture("admin-routes.png")

	b.open(e.url("#/events"))
	b.until("events have the rollback", `/by stream/.test(document.body.innerText) && document.querySelectorAll(".timeline > li").length >= 3`)
	b.checkAccess("events")
	b.picture("admin-events.png")
	b.open(e.url("#/nodes"))
	b.until("what the node has applied", `document.querySelector("tbody tr")?.innerText.includes("/t-1/loadbalancer") && document.querySelector("tbody tr").innerText.includes("following") && document.body.innerText.includes("everybody may enter")`)
	b.checkAccess("nodes")
	b.do(chromedp.EmulateViewport(1280, 700))
	b.picture("admin-nodes.png")
	b.open(e.url("#/certs"))
	b.until("certificates", `document.querySelector("tbody tr")?.innerText.includes("*.pictures.example.com") && document.querySelector("main").innerText.includes("broken.pem")`)
	b.checkAccess("certificates")
	b.do(chromedp.EmulateViewport(1280, 500))
	b.picture("admin-certificates.png")
	b.do(chromedp.EmulateViewport(1280, 900))

	b.open(e.url(""))
	b.until("the charts have a line", `document.querySelector(".chart path.s1").getAttribute("d").length > 40`)
	if *screenshots != "" {
		for _, n := range []int{8, 16, 24} { // two seconds each
			b.until("and enough of it for a picture", fmt.Sprintf(`document.querySelector(".chart path.s1").getAttribute("d").split("L").length > %d`, n))
		}
	}
	b.picture("admin-overview.png")
	b.scheme("dark")
	var background string
	b.eval(`getComputedStyle(document.body).backgroundColor`, &background)
	if background != "rgb(15, 19, 23)" {
		t.Errorf("dark mode is %s", background)
	}
	b.checkAccess("overview in the dark")
	b.picture("admin-dark.png")
	b.open(e.url("#/apps"))
	b.until("the list", `document.querySelectorAll(".row").length === 8`)
	b.checkAccess("applications in the dark")
	b.open(e.url("#/apps/shop"))
	b.until("the application", `document.querySelector("tbody tr")`)
	b.checkAccess("application in the dark")
	b.quiet()

	phone := openTab(t, 360, 740)
	for _, part := range []string{"", "#/apps", "#/apps/wiki", "#/routes", "#/nodes", "#/certs", "#/events"} {
		phone.open(e.url(part))
		phone.until("there is something", `document.querySelector("main").innerText.length > 40`)
		var wide []string
		phone.eval(`[...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > 361 && !e.closest("nav") && getComputedStyle(e).position !== "absolute").map((e) => e.outerHTML.slice(0, 120))`, &wide)
		var width int
		phone.eval(`document.documentElement.scrollWidth`, &width)
		if width > 360 || len(wide) > 0 {
			t.Errorf("%q at 360 pixels is %d wide: %q", part, width, wide)
		}
		phone.checkAccess("telephone " + part)
		if part == "#/apps" {
			phone.until("rows", `document.querySelectorAll(".row").length === 8`)
			phone.picture("admin-phone.png")
		}
	}
	phone.quiet()
}
