package browser

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"edgerouter/internal/testkit"
)

// TestForeignPage: a page of another origin, in the browser of somebody who is
// where the admin listener is, reads nothing of it and changes nothing, even if it
// knew the token.
func TestForeignPage(t *testing.T) {
	testkit.Long(t)
	need(t, "chromium")
	e := startEdge(t, `{"apps": [{"id": "shop", "frontends": [{"kind": "hostname", "hostname": "shop.example.com"}],
    "backend": {"kind": "peer_set", "peer_set_opts": {"addrs": ["http://127.0.0.1:1"]}}}]}`)
	foreign := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<!doctype html><title>x</title><iframe id="framed"></iframe><form id="f" target="framed" method="post" enctype="text/plain"><input name='{"app":"shop","peer":"http://127.0.0.1:1","drain":true,"x":"' value='"}'></form>`)
	}))
	t.Cleanup(foreign.Close)
	token, err := os.ReadFile(e.token)
	if err != nil {
		t.Fatal(err)
	}
	b := openTab(t, 800, 600)
	b.do(chromedp.Navigate(foreign.URL))
	var got []string
	drain := `{app: "shop", peer: "http://127.0.0.1:1", drain: true}`
	b.await(fmt.Sprintf(`(async () => {
  const out = [], at = %[1]q, token = %[2]q;
  const attempt = async (name, f) => { try { const v = await f(); if (v) out.push(name + ": " + v); } catch { /* kept out */ } };
  await attempt("read", async () => (await fetch(at + "api/v1/apps")).text());
  await attempt("events", () => new Promise((done) => { const s = new EventSource(at + "api/v1/live"); s.onerror = () => { s.close(); done(""); }; s.addEventListener("hello", () => done("heard")); }));
  await attempt("json", async () => (await fetch(at + "api/v1/drain", {method: "POST", headers: {"Content-Type": "application/json", "X-Edgerouter-Token": token}, body: JSON.stringify(%[3]s)})).status);
  await attempt("delete", async () => (await fetch(at + "api/v1/cache?app=shop", {method: "DELETE"})).status);
  await attempt("simple", async () => { const r = await fetch(at + "api/v1/drain", {method: "POST", mode: "no-cors", body: JSON.stringify(%[3]s)}); return r.type === "opaque" ? "" : r.type; });
  const f = document.getElementById("f"), frame = document.getElementById("framed");
  const loaded = new Promise((done) => { frame.onload = done; setTimeout(done, 3000); });
  f.action = at + "api/v1/drain"; f.submit(); await loaded;
  frame.src = at; await new Promise((done) => { frame.onload = done; setTimeout(done, 3000); });
  await attempt("frame", async () => frame.contentDocument && frame.contentDocument.getElementById("status") ? "seen" : "");
  await attempt("script", () => new Promise((done) => { const s = document.createElement("script"); s.src = at + "api/v1/apps"; s.onload = () => done("loaded"); s.onerror = () => done(""); document.body.append(s); }));
  return out;
})()`, e.url(""), strings.TrimSpace(string(token)), drain), &got)
	if len(got) > 0 {
		t.Errorf("a foreign page got %q", got)
	}
	resp, err := http.Get(e.url("api/v1/apps/shop"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || strings.Contains(string(text), `"drained"`) || !strings.Contains(string(text), `"addr": "http://127.0.0.1:1"`) {
		t.Errorf("%v: %s", err, text)
	}
}
