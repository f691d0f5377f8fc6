package browser

import (
	"context"
	"edgerouter/internal/testkit"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

var screenshots = flag.String("screenshots", "", "`folder` that the pictures of docs/admin.md are written to")

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// need finds a program, or skips the test; it fails when the program is required.
func need(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if slices.Contains(strings.Split(os.Getenv("EDGEROUTER_TEST_REQUIRE"), ","), name) {
		t.Fatalf("%s is required by EDGEROUTER_TEST_REQUIRE: %v", name, err)
	}
	t.Skipf("no %s: apt-get install %s", name, name)
	return ""
}

// binary is the program, built once for all tests.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "edgerouter-browser")
	if err != nil {
		return "", err
	}
	built = dir
	path := filepath.Join(dir, "edgerouter")
	out, err := exec.Command("go", "build", "-o", path, "edgerouter").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
})

var built string

// closing is what ends what all tests share.
var closing []func()

func TestMain(m *testing.M) {
	code := m.Run()
	for _, end := range slices.Backward(closing) {
		end()
	}
	if built != "" {
		os.RemoveAll(built)
	}
	os.Exit(code)
}

// edge is a node that serves the applications of a file and of its bus.
type edge struct {
	t           *testing.T
	binary      string
	admin       string // addresses
	http, https string
	token       string // file
	apps        string // file
}

// startEdge serves with definitions in its file. more are flags.
func startEdge(t *testing.T, definitions string, more ...string) *edge {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	e := &edge{t: t, binary: path, admin: testkit.FreeAddr(t), http: testkit.FreeAddr(t), https: testkit.FreeAddr(t), token: filepath.Join(dir, "data", "admin-token"), apps: filepath.Join(dir, "apps.json")}
	e.write(definitions)
	args := append([]string{
		"serve", "--dev", "--docker", "off", "--http", e.http, "--https", e.https, "--admin", e.admin,
		"--data", filepath.Join(dir, "data"), "--apps", e.apps, "--node", "edge-1", "--shutdown-grace", "1s",
	}, more...)
	cmd := exec.Command(path, args...)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr, cmd.Stdout = log, io.Discard
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("the node's log:\n%s", text[max(0, len(text)-8000):])
		}
		log.Close()
	})
	e.eventually("the node is ready", func() bool {
		resp, err := http.Get(e.url("readyz"))
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return e
}

func (e *edge) url(path string) string { return "http://" + e.admin + "/" + path }

// get reads a path of the admin interface.
func (e *edge) get(path string) string {
	e.t.Helper()
	resp, err := http.Get(e.url(path))
	if err != nil {
		e.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		e.t.Fatalf("%s: %s, %v", path, resp.Status, err)
	}
	return string(text)
}

func (e *edge) write(definitions string) {
	e.t.Helper()
	if err := os.WriteFile(e.apps, []byte(definitions), 0o600); err != nil {
		e.t.Fatal(err)
	}
}

// put appends an application to the event log through the node.
func (e *edge) put(definition string) {
	e.t.Helper()
	cmd := exec.Command(e.binary, "discovery", "put", "-", "--server", "http://"+e.admin, "--token-file", e.token)
	cmd.Stdin = strings.NewReader(definition)
	if out, err := cmd.CombinedOutput(); err != nil {
		e.t.Fatalf("discovery put: %v\n%s", err, out)
	}
}

// request sends one to an application, and returns the status; 0: no answer.
func (e *edge) request(host, path string) int {
	req, err := http.NewRequest("GET", "http://"+e.http+path, nil)
	if err != nil {
		e.t.Fatal(err)
	}
	req.Host = host
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp.StatusCode
}

func (e *edge) eventually(what string, ok func() bool) {
	e.t.Helper()
	for end := time.Now().Add(patience); !ok(); {
		if time.Now().After(end) {
			e.t.Fatalf("not in time: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// origin is a peer that answers.
func origin(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/missing") {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, "hello\n")
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// tab is a page in a browser of its own.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu     sync.Mutex
	errors []string // what the page's scripts and its policy complained of
}

// browser is started once: each tab is in a context of its own, with no cookies
// and nothing stored. It takes any certificate. Whoever needs it has asked for
// chromium before.
var browser = sync.OnceValues(func() (context.Context, error) {
	ctx, end, err := launch(chromedp.Flag("ignore-certificate-errors", true))
	closing = append(closing, end)
	return ctx, err
})

// launch starts a browser, which end stops.
func launch(more ...chromedp.ExecAllocatorOption) (ctx context.Context, end func(), err error) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		return nil, func() {}, err
	}
	profile, err := os.MkdirTemp("", "edgerouter-chromium")
	if err != nil {
		return nil, func() {}, err
	}
	options := append([]chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-background-timer-throttling", true), chromedp.Flag("disable-backgrounding-occluded-windows", true), chromedp.Flag("disable-renderer-backgrounding", true),
		chromedp.Flag("force-prefers-reduced-motion", true),
		chromedp.UserDataDir(profile), chromedp.WSURLReadTimeout(time.Minute),
	}, more...)
	allocator, endAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, endContext := chromedp.NewContext(allocator)
	end = func() {
		_ = chromedp.Cancel(ctx)
		endContext()
		endAllocator()
		os.RemoveAll(profile)
	}
	return ctx, end, chromedp.Do(ctx)
}

func openTab(t *testing.T, width, height int64) *tab {
	t.Helper()
	need(t, "chromium")
	root, err := browser()
	if err != nil {
		t.Fatal(err)
	}
	return tabOf(t, root, width, height)
}

// openStrict is openTab in a browser of its own, which checks certificates with
// what the home folder has.
func openStrict(t *testing.T, width, height int64) *tab {
	t.Helper()
	need(t, "chromium")
	root, end, err := launch()
	t.Cleanup(end)
	if err != nil {
		t.Fatal(err)
	}
	return tabOf(t, root, width, height)
}

func tabOf(t *testing.T, root context.Context, width, height int64) *tab {
	t.Helper()
	ctx, end := chromedp.NewContext(root, chromedp.WithNewBrowserContext())
	t.Cleanup(end)
	b := &tab{t: t, ctx: ctx}
	err := chromedp.Listen(ctx, func(event any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			b.errors = append(b.errors, fmt.Sprintf("%+v", e.ExceptionDetails))
		case *cdplog.EventEntryAdded:
			if e.Entry.Level == cdplog.EntryLevelError && e.Entry.Source != cdplog.EntrySourceNetwork {
				b.errors = append(b.errors, e.Entry.Text)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.EmulateViewport(width, height))
	// Each has the focus, as if it were the only one.
	b.do(chromedp.Func(func(ctx context.Context, page *chromedp.Target) error {
		_, err := cdp.Call(ctx, page, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
		return err
	}))
	return b
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// open goes to a URL and waits until the page follows the node.
func (b *tab) open(url string) {
	b.t.Helper()
	b.do(chromedp.Navigate("about:blank"), chromedp.Navigate(url))
	b.until("the page is live", `document.getElementById("status")?.textContent === "live"`)
}

func (b *tab) click(selector string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector)))
}

// enter types text into a field; a carriage return is the enter key.
func (b *tab) enter(selector, text string) {
	b.t.Helper()
	b.do(chromedp.SendKeys(chromedp.CSS(selector), text))
}

// press types keys to what has the focus.
func (b *tab) press(keys ...string) {
	b.t.Helper()
	for _, k := range keys {
		b.do(chromedp.KeyEvent(k))
	}
}

// until waits for a condition in JavaScript.
func (b *tab) until(what, condition string) {
	b.t.Helper()
	end := time.Now().Add(patience)
	for {
		ok, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("!!("+condition+")"))
		if err == nil && ok {
			return
		}
		if time.Now().After(end) {
			text, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string]("document.body.innerText"))
			b.t.Fatalf("not in time: %s (%v); the page:\n%s", what, err, text[:min(len(text), 3000)])
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// eval returns what an expression is, by way of JSON.
func (b *tab) eval(expression string, v any) {
	b.t.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("JSON.stringify("+expression+")"))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	if err := json.Unmarshal([]byte(text), v); err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
}

// await is eval of what a promise gives.
func (b *tab) await(expression string, v any) {
	b.t.Helper()
	b.do(chromedp.Evaluate[chromedp.Void]("void " + expression + `.then((v) => { window.awaited = v; }, (e) => { window.awaited = [String(e)]; })`))
	b.until("it is done", "window.awaited !== undefined")
	b.eval("window.awaited", v)
}

// quiet fails the test if scripts failed or the policy stopped something.
func (b *tab) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.errors {
		b.t.Errorf("the page: %s", e)
	}
}

func (b *tab) scheme(name string) {
	b.t.Helper()
	b.do(chromedp.Func(func(ctx context.Context, page *chromedp.Target) error {
		_, err := cdp.Call(ctx, page, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}},
		})
		return err
	}))
}

// picture writes a screenshot when they are asked for.
func (b *tab) picture(name string) {
	b.t.Helper()
	if *screenshots == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*screenshots, name), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
