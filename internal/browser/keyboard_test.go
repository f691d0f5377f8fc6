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
	"github.com/chromedp/chromedp/kb"

	"edgerouter/internal/testkit"
)

// cached serves an application with a cache, and one whose peer is down, whose
// reason changes every second.
func cached(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=600")
		_, _ = io.WriteString(w, "hello\n")
	}))
	t.Cleanup(server.Close)
	return fmt.Sprintf(`{"apps": [
  {"id": "assets", "frontends": [{"kind": "hostname", "hostname": "assets.example.com", "allow_insecure_http": true}],
    "backend": {"kind": "peer_set", "peer_set_opts": {"addrs": [%[1]q], "caching": true}}},
  {"id": "down", "frontends": [{"kind": "hostname", "hostname": "down.example.com"}],
    "backend": {"kind": "peer_set", "peer_set_opts": {"addrs": ["http://127.0.0.1:1"], "health_check": {"path": "/", "interval": "1s", "timeout": "1s"}}}}
]}`, server.URL)
}

// active is what has the focus: its id, its text or its name.
const active = `((e) => e.id || e.getAttribute("aria-label") || e.textContent.trim())(document.activeElement)`

// focus presses a key until something has the focus, and fails when it comes
// round without.
func (b *tab) focus(key, what string) {
	b.t.Helper()
	var seen []string
	for range 40 {
		b.press(key)
		var now string
		b.eval(active, &now)
		if seen = append(seen, now); strings.HasPrefix(now, what) {
			return
		}
	}
	b.t.Fatalf("%q never has the focus; on the way were %q", what, seen)
}

// outlined says whether what has the focus, or the heading for it, is marked.
const outlined = `[document.activeElement, document.querySelector("main:focus h1")].some((e) => e && getComputedStyle(e).outlineStyle === "solid" && parseFloat(getComputedStyle(e).outlineWidth) >= 2)`

// TestKeyboard does without a mouse: the skip link, a view, the list, an
// application, its cache purged after a question that was first left with Escape.
func TestKeyboard(t *testing.T) {
	testkit.Long(t)
	need(t, "chromium")
	e := startEdge(t, cached(t))
	b := openTab(t, 1280, 900)
	b.open(e.url(""))
	b.press(kb.Tab)
	b.until("the skip link comes first and is seen", active+`.startsWith("skip") && document.activeElement.getBoundingClientRect().left >= 0 && `+outlined)
	b.press(kb.Enter)
	b.until("it leads to the content", `document.activeElement.id === "main" && !location.hash.includes("main") && `+outlined)
	b.focus(kb.Tab, "down")
	var before string
	b.eval(`document.querySelector(".troubles").textContent`, &before)
	b.until("what is wrong is told anew", fmt.Sprintf(`document.querySelector(".troubles").textContent !== %q`, before))
	b.until("the focus stays", active+` === "down" && `+outlined)

	b.do(chromedp.Reload())
	b.until("the page is live", `document.getElementById("status")?.textContent === "live"`)
	for _, part := range []string{"edgerouter", "Overview", "Applications"} {
		b.focus(kb.Tab, part)
		b.until(part+" is marked", outlined)
	}
	b.press(kb.Enter)
	b.until("the view has the focus", `location.hash === "#/apps" && document.activeElement.id === "main" && document.activeElement.getAttribute("aria-label") === "Applications" && `+outlined)
	b.focus(kb.Tab, "find")
	b.focus(kb.Tab, "sort")
	b.focus(kb.Tab, "assets")
	b.press(kb.ArrowDown)
	b.until("an arrow leads to the next row", active+`.startsWith("down") && `+outlined)
	b.press(kb.Home, kb.Enter)
	b.until("Enter opens it", `location.hash === "#/apps/assets" && document.querySelector("h1").textContent === "assets" && document.activeElement.id === "main"`)

	for range 3 {
		e.request("assets.example.com", "/a")
	}
	b.focus(kb.Tab, "Purge")
	b.press(kb.Enter)
	b.until("it asks", `document.getElementById("ask").open && document.activeElement.id === "token"`)
	b.checkAccess("question")
	b.press(kb.Escape)
	b.until("Escape leaves, and the focus is where it was", `!document.getElementById("ask").open && `+active+` === "Purge"`)
	token, err := os.ReadFile(e.token)
	if err != nil {
		t.Fatal(err)
	}
	b.press(kb.Enter)
	b.until("it asks again", `document.getElementById("ask").open && document.activeElement.id === "token" && document.activeElement.value === ""`)
	b.enter("#token", strings.TrimSpace(string(token)))
	b.focus(kb.Tab, "ask-no")
	b.focus(kb.Tab, "ask-yes")
	b.press(kb.Enter)
	b.until("it is purged", `document.getElementById("purged").textContent === "1 stored response dropped" && `+active+` === "Purge"`)
	b.quiet()
}
