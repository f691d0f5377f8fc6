package browser

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"edgerouter/internal/testkit"
)

// TestDevelopmentCAIsTrusted: a browser that was told to trust the development CA
// as cert trust says shows the admin page over TLS without a word, and one that was
// not told does not.
func TestDevelopmentCAIsTrusted(t *testing.T) {
	testkit.Long(t)
	need(t, "chromium")
	if _, err := exec.LookPath("certutil"); err != nil {
		testkit.Missing(t, "chromium", "no certutil, which puts the CA into a browser's store: apt-get install libnss3-tools")
	}
	secure := testkit.FreeAddr(t)
	e := startEdge(t, `{"apps": [{"id": "panel", "frontends": [{"kind": "hostname", "hostname": "panel.localhost"}],
		"backend": {"kind": "edgerouter_admin"}}]}`, "--https", secure)
	_, port, _ := strings.Cut(secure, ":")
	page := "https://panel.localhost:" + port + "/"
	home := t.TempDir()
	t.Setenv("HOME", home)

	stranger := openStrict(t, 1200, 800)
	if err := chromedp.Do(stranger.ctx, chromedp.Navigate(page)); err == nil || !strings.Contains(err.Error(), "ERR_CERT_AUTHORITY_INVALID") {
		t.Errorf("a browser that was not told to trust the CA: %v", err)
	}

	database := filepath.Join(home, ".pki", "nssdb")
	if err := os.MkdirAll(database, 0o700); err != nil {
		t.Fatal(err)
	}
	run(t, "certutil", "-d", "sql:"+database, "-N", "--empty-password")
	data := filepath.Dir(e.token)
	command := ""
	for line := range strings.Lines(run(t, e.binary, "cert", "trust", "--data", data)) {
		if _, after, ok := strings.Cut(line, "Chrome on Linux"); ok {
			command = after
		}
	}
	run(t, "sh", "-c", command)

	token, err := os.ReadFile(e.token)
	if err != nil {
		t.Fatal(err)
	}
	friend := openStrict(t, 1200, 800)
	// The browser is told the password once, as people do in its dialogue.
	friend.do(chromedp.Navigate(strings.Replace(page, "//", "//:"+strings.TrimSpace(string(token))+"@", 1)))
	friend.open(page)
	var secureContext bool
	friend.eval("window.isSecureContext && location.protocol === 'https:'", &secureContext)
	if !secureContext {
		t.Error("the page is not in a secure context")
	}
	friend.quiet()
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
