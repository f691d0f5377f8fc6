package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"edgerouter/discovery/docker"
)

func TestDockerSettings(t *testing.T) {
	_, err := os.Stat(strings.TrimPrefix(docker.DefaultHost, "unix://"))
	there := err == nil
	for _, c := range []struct {
		args          string
		env           map[string]string
		host, network string
		on            bool
		says          string // of the error
	}{
		{host: docker.DefaultHost, network: "bridge", on: there},
		{args: "--docker off", host: "off", network: "bridge"},
		{env: map[string]string{"DOCKER_HOST": "off"}, host: "off", network: "bridge"},
		{env: map[string]string{"DOCKER_HOST": ""}, host: docker.DefaultHost, network: "bridge", on: there},
		{env: map[string]string{"DOCKER_HOST": "tcp://h:1"}, host: "tcp://h:1", network: "bridge", on: true},
		{env: map[string]string{"DOCKER_HOST": "tcp://h:1", "DOCKER_URL": "tcp://u:1"}, host: "tcp://u:1", network: "bridge", on: true},
		{args: "--docker tcp://f:1", env: map[string]string{"DOCKER_URL": "tcp://u:1"}, host: "tcp://f:1", network: "bridge", on: true},
		{args: "--docker unix:///absent.sock", env: map[string]string{"NETWORK_NAME": "front"}, host: "unix:///absent.sock", network: "front", on: true},
		{args: "--docker unix:///absent.sock --docker-network _auto_", env: map[string]string{"NETWORK_NAME": "front"}, host: "unix:///absent.sock", network: "_auto_", on: true},
		{args: "--docker ssh://h", says: "--docker off turns it off"},
		{args: "--docker tcp://h:1 --docker-default-auth everybody", says: "can only be public"},
		{args: "--docker tcp://h:1", env: map[string]string{"DOCKER_CLIENTCERT": "eA=="}, says: "DOCKER_CLIENTCERT: want the base64 of a PEM file"},
		{args: "--docker tcp://h:1", env: map[string]string{"DOCKER_CLIENTCERT_KEY": "-----BEGIN X"}, says: "there is a key and no client certificate"},
	} {
		var s dockerSettings
		f := pflag.NewFlagSet("test", pflag.ContinueOnError)
		s.addFlags(f)
		if err := f.Parse(strings.Fields(c.args)); err != nil {
			t.Fatal(err)
		}
		err := s.resolve(f, func(name string) (string, bool) { v, ok := c.env[name]; return v, ok })
		var usage usageError
		switch {
		case c.says != "":
			if !errors.As(err, &usage) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s %v: error %v, want one of usage that says %q", c.args, c.env, err, c.says)
			}
		case err != nil || s.options.Host != c.host || s.options.Network != c.network || s.on != c.on:
			t.Errorf("%s %v: %+v on %v, %v", c.args, c.env, s.options, s.on, err)
		}
	}
}

// engine answers like a Docker engine on which one container runs, on the host's
// network, at the port of a server of this test.
func engine(t *testing.T) string {
	t.Helper()
	peer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "from the container") }))
	t.Cleanup(peer.Close)
	_, port, _ := net.SplitHostPort(peer.Listener.Addr().String())
	container := map[string]any{
		"Id": strings.Repeat("ab", 32), "Names": []string{"/web"}, "State": "running", "Status": "Up 1 second",
		"HostConfig": map[string]any{"NetworkMode": "host"}, "Labels": map[string]string{
			"traefik.http.routers.r.rule": "Host(`web.test`)", "traefik.http.services.s.loadbalancer.server.port": port,
			"edgerouter.auth": "public", "traefik.http.routers.r.entrypoints": "web", "traefik.http.routers.r.nonsense": "x",
		},
	}
	stop := make(chan struct{})
	mux := http.NewServeMux()
	say := func(path string, v any) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(v)
		})
	}
	say("/version", map[string]string{"ApiVersion": "1.41", "MinAPIVersion": "1.12"})
	say("/v1.41/info", map[string]string{"Name": "host1"})
	say("/v1.41/containers/json", []any{container})
	mux.HandleFunc("GET /v1.41/services", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, `{"message":"This node is not a swarm manager."}`)
	})
	mux.HandleFunc("GET /v1.41/events", func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
		case <-stop:
		}
	})
	path := filepath.Join(t.TempDir(), "docker.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: mux}
	go server.Serve(ln)
	t.Cleanup(func() { close(stop); server.Close() })
	return "unix://" + path
}

// A container is served, next to what is in files, and the admin interface tells
// where it comes from.
func TestServeDocker(t *testing.T) {
	host := engine(t)
	apps := filepath.Join(t.TempDir(), "apps.json")
	if err := os.WriteFile(apps, []byte(`{"apps": []}`), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startServe(t, apps, "--docker", host)
	if got := p.get("web.test", "/"); got != "from the container" {
		t.Errorf("answered %q", got)
	}
	admin := func(path string) string {
		resp, err := http.Get("http://" + p.admin + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return string(b)
	}
	var one struct {
		Source, State string
		Origin        struct {
			Engine     string
			EngineName string `json:"engine_name"`
			Kind, Name string
			Containers []struct{ ID, Address, State string }
		}
		Problems []struct{ Field string }
	}
	if err := json.Unmarshal([]byte(admin("/api/v1/apps/web")), &one); err != nil {
		t.Fatal(err)
	}
	if o := one.Origin; one.Source != "docker" || one.State != "running" || o.Engine != host || o.EngineName != "host1" || o.Kind != "container" ||
		o.Name != "web" || len(o.Containers) != 1 || o.Containers[0].ID != strings.Repeat("ab", 32) || o.Containers[0].State != "serving" {
		t.Errorf("the API says %+v", one)
	}
	if len(one.Problems) != 1 || one.Problems[0].Field != "traefik.http.routers.r.nonsense" {
		t.Errorf("problems: %+v", one.Problems)
	}
	if overview := admin("/api/v1/overview"); !strings.Contains(overview, "traefik.http.routers.r.nonsense") {
		t.Errorf("what is wrong now does not have the label: %s", overview)
	}
}

// An engine that is not there is told in one line, and everything else is served.
func TestServeWithoutItsEngine(t *testing.T) {
	apps := filepath.Join(t.TempDir(), "apps.json")
	if err := os.WriteFile(apps, []byte(`{"apps": [{"id": "a", "frontends": [{"kind": "hostname", "hostname": "a.test", "allow_insecure_http": true}],
		"backend": {"kind": "redirect", "redirect_opts": {"to": "https://b.test/"}}}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startServe(t, apps, "--docker", "unix:///absent/docker.sock")
	p.cmd.Process.Signal(os.Interrupt)
	if err := p.cmd.Wait(); err != nil {
		t.Error(err)
	}
	if n := strings.Count(p.stderr.String(), "/absent/docker.sock"); n < 1 || strings.Count(p.stderr.String(), `"level":"error"`) != 1 {
		t.Errorf("said:\n%s", p.stderr.String())
	}
}
