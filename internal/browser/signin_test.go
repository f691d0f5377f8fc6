package browser

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"edgerouter/internal/testkit"
)

// admins are ways to the page that are no admin listener: below a prefix with the
// admin token, and behind an OpenID provider and an id server.
func admins(p *identity) string {
	return fmt.Sprintf(`{"apps": [
  {"id": "ops", "frontends": [{"kind": "hostname", "hostname": "ops.localhost", "path_prefix": "/edge", "strip_path_prefix": "/edge", "allow_insecure_http": true}],
    "backend": {"kind": "edgerouter_admin"}},
  {"id": "oidc", "frontends": [{"kind": "hostname", "hostname": "oidc.localhost"}],
    "backend": {"kind": "auth_oidc", "auth_oidc_opts": {"issuer": "%[1]s/oidc", "client_id": "edge", "client_secret": "%[2]s",
      "allowed": {"emails": ["ann@corp.example"]}, "authorized_backend": {"kind": "edgerouter_admin"}}}},
  {"id": "others", "frontends": [{"kind": "hostname", "hostname": "others.localhost"}],
    "backend": {"kind": "auth_oidc", "auth_oidc_opts": {"issuer": "%[1]s/oidc", "client_id": "edge", "client_secret": "%[2]s",
      "allowed": {"emails": ["eve@corp.example"]}, "authorized_backend": {"kind": "edgerouter_admin"}}}},
  {"id": "sso", "frontends": [{"kind": "hostname", "hostname": "sso.localhost"}],
    "backend": {"kind": "auth_sso", "auth_sso_opts": {"id_server_url": "%[1]s/id", "audience": "edge", "allowed_user_ids": ["2"], "authorized_backend": {"kind": "edgerouter_admin"}}}},
  {"id": "shop", "frontends": [{"kind": "hostname", "hostname": "shop.example.com"}], "backend": {"kind": "peer_set", "peer_set_opts": {"addrs": ["http://127.0.0.1:1"]}}}
]}`, p.URL, clientSecret)
}

// TestBehindPrefix: the page works below a prefix that is stripped, with the token
// that the browser asked for, even when it stands in the address.
func TestBehindPrefix(t *testing.T) {
	testkit.Long(t)
	need(t, "chromium")
	e := startEdge(t, admins(startIdentity(t)))
	_, port, err := net.SplitHostPort(e.http)
	if err != nil {
		t.Fatal(err)
	}
	token, err := os.ReadFile(e.token)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/edge/", "/edge/api/v1/apps", "/edge/api/v1/live", "/edge/metrics"} {
		if code := e.request("ops.localhost", path); code != http.StatusUnauthorized {
			t.Errorf("%s without the token: %d", path, code)
		}
	}
	b := openTab(t, 1280, 900)
	b.open("http://x:" + strings.TrimSpace(string(token)) + "@ops.localhost:" + port + "/edge#/apps/shop")
	b.until("the slash is there, and the part that was asked for", `location.pathname === "/edge/" && document.querySelector("h1").textContent === "shop"`)
	b.click(`[aria-label^="Drain "]`)
	b.until("the token is known", `document.getElementById("ask").open && document.getElementById("ask-token").hidden`)
	b.click("#ask-yes")
	b.until("the peer is drained", `document.body.innerText.includes("an operator drains it")`)
	for _, part := range []string{"apps", "routes", "nodes", "certs", "events", ""} {
		b.click(`nav a[href="#/` + part + `"]`)
		b.until(part, `document.querySelector("main").innerText.length > 40 && !document.querySelector("main .bad p")`)
	}
	var below bool
	b.eval(`[...document.querySelectorAll("a")].every((a) => a.pathname.startsWith("/edge/"))`, &below)
	if !below {
		t.Error("a link leads out of the prefix")
	}
	b.click("footer a")
	b.until("so does the API", `location.pathname === "/edge/api/v1/openapi.json" && document.body.innerText.includes('"openapi": "3.1.0"')`)
	b.quiet()
}

// TestSignIn: a browser without a session signs in at the provider, sees the page
// it asked for, is asked for the token when it changes something, and signs out.
func TestSignIn(t *testing.T) {
	testkit.Long(t)
	need(t, "chromium")
	p := startIdentity(t)
	e := startEdge(t, admins(p))
	_, port, err := net.SplitHostPort(e.https)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"oidc", "sso"} {
		b := openTab(t, 1280, 900)
		at := "https://" + name + ".localhost:" + port
		atProvider := fmt.Sprintf(`location.origin === %q && document.getElementById("in")`, p.URL)
		b.do(chromedp.Navigate(at + "/#/apps"))
		b.until(name+": the provider asks", atProvider)
		b.click("#in")
		b.until(name+": the page is there", fmt.Sprintf(`location.origin === %q && location.pathname === "/" && document.getElementById("status")?.textContent === "live"`, at))
		b.do(chromedp.Navigate(at + "/#/apps/shop"))
		b.until(name+": the application", `document.querySelector("[aria-label^='Drain ']")`)
		b.click(`[aria-label^="Drain "]`)
		b.until(name+": who signed in still needs the token", `document.getElementById("ask").open && document.activeElement.id === "token"`)
		b.enter("#token", "wrong\r")
		b.until(name+": and not just any", `document.getElementById("ask-error").textContent !== ""`)
		token, err := os.ReadFile(e.token)
		if err != nil {
			t.Fatal(err)
		}
		b.do(chromedp.SetValue(chromedp.CSS("#token"), strings.TrimSpace(string(token))))
		b.click("#ask-yes")
		b.until(name+": drained", `document.querySelector("[aria-label^='Put back ']")`)
		b.click(`[aria-label^="Put back "]`)
		b.until(name+": it asks once more", `document.getElementById("ask").open`)
		b.click("#ask-yes")
		b.until(name+": put back", `document.querySelector("[aria-label^='Drain ']")`)
		b.quiet()
		b.do(chromedp.Navigate(at + "/_auth/logout"))
		b.until(name+": signed out", fmt.Sprintf(`location.origin === %q`, p.URL))
		b.do(chromedp.Navigate(at + "/"))
		b.until(name+": the provider asks again", atProvider)
	}
	b := openTab(t, 1280, 900)
	b.do(chromedp.Navigate("https://others.localhost:" + port + "/"))
	b.until("the provider asks", `document.getElementById("in")`)
	b.click("#in")
	b.until("who may not enter does not", `location.host.startsWith("others.") && !document.getElementById("status") && document.body.innerText.length > 10`)
}
