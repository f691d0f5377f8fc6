package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edgerouter/internal/idkit"
	"edgerouter/internal/testkit"
)

// IP rules that are put into the event log of a running node are in service on it,
// whatever applications it has, and survive a restart; allowed_ips is of one
// application and comes after them.
func TestIPRulesFromTheLog(t *testing.T) {
	apps := filepath.Join(t.TempDir(), "apps.json")
	app := func(id, more string) string {
		return fmt.Sprintf(`{"id":%q,"frontends":[{"kind":"hostname","hostname":"%s.test","allow_insecure_http":true}]%s,"backend":{"kind":"redirect","redirect_opts":{"to":"/"}}}`, id, id, more)
	}
	writeApps(t, apps, app("one", ""), app("two", ""), app("inside", `,"middlewares":[{"kind":"allowed_ips","allowed_ips_opts":{"ranges":["10.0.0.0/8"]}}]`))
	data := t.TempDir()
	p := startServe(t, apps, "--data", data, "--trusted-proxies", "127.0.0.1/32")
	client := &http.Client{Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	ask := func(app, from string) string {
		t.Helper()
		req, _ := http.NewRequest(http.MethodGet, "http://"+p.http+"/", nil)
		req.Host = app + ".test"
		req.Header.Set("X-Forwarded-For", from)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return fmt.Sprint(resp.StatusCode, " ", strings.TrimSpace(string(body)))
	}
	rules := func(args ...string) (string, error) {
		cmd := edgerouter(t, append(args, "--server", "http://"+p.admin, "--token-file", filepath.Join(data, "admin-token"))...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	put := func(text string) error {
		file := filepath.Join(t.TempDir(), "ip.hcl")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := rules("ip-rules", "put", file)
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	want := func(app, from, text string) {
		t.Helper()
		got := ""
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if got = ask(app, from); strings.Contains(got, text) {
				return
			}
		}
		t.Errorf("%s from %s: %s, want %s", app, from, got, text)
	}
	want("one", "192.0.2.1", "302")
	want("inside", "10.1.1.1", "302")
	want("inside", "192.0.2.1", "403")
	if err := put("allow_all { prefix = \"10.0.0.0/8\" }\nallow_specified {\n prefix = \"192.0.2.0/24\"\n apps = [\"one\", \"inside\"]\n}"); err != nil {
		t.Fatal(err)
	}
	everything := func() {
		t.Helper()
		want("one", "198.51.100.1", "your IP (198.51.100.1) is not allowed (implicit deny)")
		want("two", "192.0.2.1", "(explicit deny)")
		want("one", "192.0.2.1", "302")
		want("two", "10.1.1.1", "302")
		want("inside", "10.1.1.1", "302")
		want("inside", "192.0.2.1", "403")
		want("nobody", "192.0.2.1", "404") // there is no application to protect
	}
	everything()
	// What cannot be read, or would open everything, changes nothing.
	for _, bad := range []string{"", "allow_all {", "# none\n"} {
		if err := put(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if out, err := rules("ip-rules", "cat"); err != nil || !strings.Contains(out, `prefix = "192.0.2.0/24"`) {
		t.Errorf("cat: %v, %s", err, out)
	}
	everything()
	p.cmd.Process.Kill()
	p.cmd.Wait()
	client.CloseIdleConnections()
	p = startServe(t, apps, "--data", data, "--trusted-proxies", "127.0.0.1/32")
	everything()
	if out, err := rules("ip-rules", "rm"); err != nil {
		t.Fatal(out, err)
	}
	want("two", "192.0.2.1", "302")
	want("inside", "192.0.2.1", "403")
}

// Debian's Prometheus, which knows no users, behind auth_sso and auth_oidc: with a
// browser's way of signing in it shows its page, answers queries and knows nothing
// of the credentials. EDGEROUTER_TEST_SHOTS names a folder for screenshots, which
// chromium makes.
func TestPrometheusBehindSignIn(t *testing.T) {
	testkit.Long(t)
	program, err := exec.LookPath("prometheus")
	if err != nil {
		testkit.Missing(t, "prometheus", "prometheus is not in PATH; apt-get install --no-install-recommends prometheus puts it there")
	}
	prometheus := freePort(t)
	config := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(config, []byte("scrape_configs: [{job_name: self, scrape_interval: 1s, static_configs: [{targets: ['"+prometheus+"']}]}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--config.file", config, "--storage.tsdb.path", t.TempDir(), "--web.listen-address", prometheus)
	var log testkit.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	eventually(t, "Prometheus answers", time.Minute, func() bool {
		resp, err := http.Get("http://" + prometheus + "/-/ready")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil && resp.StatusCode == http.StatusOK
	})

	id, openid := idkit.StartIDServer(t), idkit.StartProvider(t)
	https := freePort(t)
	apps := filepath.Join(t.TempDir(), "apps.json")
	app := func(host, kind, opts string) string {
		return fmt.Sprintf(`{"id":%q,"frontends":[{"kind":"hostname","hostname":%q}],"backend":{"kind":%q,"%s_opts":{%s,"authorized_backend":{"kind":"peer_set","peer_set_opts":{"addrs":["http://%s"]}}}}}`,
			host, host, kind, kind, opts, prometheus)
	}
	writeApps(t, apps,
		app("sso.localhost", "auth_sso", fmt.Sprintf(`"id_server_url":%q,"audience":"prod","allowed_user_ids":["joonas"]`, id.URL)),
		app("oidc.localhost", "auth_oidc", fmt.Sprintf(`"issuer":%q,"client_id":"edge","client_secret":"s3cret","allowed":{"domains":["corp.example"]}`, openid.URL)))
	startServe(t, apps, "--dev", "--https", https)
	_, port, _ := strings.Cut(https, ":")
	for _, host := range []string{"sso.localhost", "oidc.localhost"} {
		jar, _ := cookiejar.New(nil)
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // the authority is this node's own
		transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if strings.HasSuffix(addr, ".localhost:"+port) { // not every resolver knows RFC 6761
				addr = https
			}
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		}
		client := &http.Client{Transport: transport, Jar: jar, Timeout: time.Minute}
		get := func(path, accept string) (int, string) {
			t.Helper()
			req, _ := http.NewRequest(http.MethodGet, "https://"+host+":"+port+path, nil)
			req.Header.Set("Accept", accept)
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			return resp.StatusCode, string(body)
		}
		if code, body := get("/api/v1/query?query=up", "application/json"); code != 401 && code != 403 || strings.Contains(body, "success") {
			t.Errorf("%s: nobody gets %d %s", host, code, body)
		}
		if code, body := get("/graph?g0.expr=up", "text/html"); code != 200 || !strings.Contains(body, "Prometheus") {
			t.Errorf("%s: a browser ends at %d %.200s", host, code, body)
		}
		eventually(t, host+" answers a query", time.Minute, func() bool {
			code, body := get("/api/v1/query?query=up", "application/json")
			return code == 200 && strings.Contains(body, `"status":"success"`) && strings.Contains(body, `"job":"self"`)
		})
		transport.CloseIdleConnections()
		if folder := os.Getenv("EDGEROUTER_TEST_SHOTS"); folder != "" {
			shoot(t, "https://"+host+":"+port+"/classic/targets", filepath.Join(folder, "prometheus-"+host+".png"))
		}
	}
}

// shoot has chromium sign in at a page and make a picture of it.
func shoot(t *testing.T, url, file string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--ignore-certificate-errors", "--user-data-dir="+t.TempDir(),
		"--window-size=1200,700", "--virtual-time-budget=5000", "--screenshot="+file, url)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Errorf("chromium: %v: %s", err, out.String())
	}
}
