package browser

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"edgerouter/internal/testkit"
)

// TestForeignText: what ids, hosts, labels, paths and errors of definitions have
// in them is shown as text. A definition with a bad id is refused, and its
// problem shows it nevertheless.
func TestForeignText(t *testing.T) {
	testkit.Long(t)
	need(t, "chromium")
	evil := `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`
	quoted, _ := json.Marshal(evil)
	e := startEdge(t, fmt.Sprintf(`{"apps": [
  {"id": %[1]s, "frontends": [{"kind": "hostname", "hostname": "a.example.com"}], "backend": {"kind": "redirect", "redirect_opts": {"to": "https://example.com/"}}},
  {"id": "host", "frontends": [{"kind": "hostname", "hostname": %[1]s}], "backend": {"kind": "redirect", "redirect_opts": {"to": "https://example.com/"}}},
  {"id": "label", "frontends": [{"kind": "path_prefix", "path_prefix": "/label", "allow_insecure_http": true}, {"kind": "rule", "rule": "Header(`+"`X-A`, `<b id=owned>x</b>`"+`)"}],
    "backend": {"kind": "peer_set", "peer_set_opts": {"addrs": ["http://127.0.0.1:1"], "headers_to_origin": {"X-Label": %[1]s}}}}
]}`, quoted))
	b := openTab(t, 1280, 900)
	for _, part := range []string{
		"", "#/apps", "#/apps/label", "#/apps/" + url.PathEscape(evil), "#/events", "#/certs",
		"#/" + evil, "?q=" + url.QueryEscape(evil) + "#/routes",
	} {
		b.open(e.url(part))
		b.until("there is something", `document.querySelector("main").innerText.length > 20`)
		if strings.HasSuffix(part, "#/routes") {
			b.enter("#url", "http://label.example.com/label/"+evil+"\r")
			b.until("explain answers", `document.querySelector("main").innerText.includes("Matched as") || document.querySelector("main .bad")`)
		}
		var owned bool
		b.eval(`document.title.includes("owned") && !document.title.includes("<") || !!document.querySelector("main img, main script, #owned")`, &owned)
		if owned {
			t.Errorf("%s: foreign text became markup", part)
		}
	}
	b.open(e.url(""))
	b.until("the text is there, as text", `document.querySelector("main").innerText.includes("<img src=x")`)
	b.quiet()
}
