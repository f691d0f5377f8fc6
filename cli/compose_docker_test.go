package cli

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// composeService is what the example's file says of one service, as arguments of
// docker run.
type composeService struct {
	name, hostname, user string
	env                  []string
	volume, secret       string // folders in the container
	port                 string // in the container
}

var (
	composePair   = regexp.MustCompile(`^([A-Z_]+): "?([^"]*)"?$`)
	composeInline = regexp.MustCompile(`([A-Z_]+): ("[^"]*"|[^,"}]+)`)
)

// composeServices reads examples/cluster/compose.yml. It knows no more of the
// format than that file uses: a line that it cannot read fails the test.
func composeServices(t *testing.T, text string) []composeService {
	t.Helper()
	var services []composeService
	var node composeService // what all have in common
	var common []string     // environment of the first one, which the others take over
	section, inEnv := "", false
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(strings.TrimRight(line, "\n"), " #")
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || strings.HasPrefix(trimmed, "#") {
			continue
		}
		indent := len(line) - len(strings.TrimLeft(line, " "))
		key, value, _ := strings.Cut(trimmed, ": ")
		key = strings.TrimSuffix(key, ":")
		s := &node
		if len(services) > 0 {
			s = &services[len(services)-1]
		}
		if inEnv = inEnv && indent >= 6; inEnv {
			m := composePair.FindStringSubmatch(trimmed)
			if m == nil {
				t.Fatalf("compose.yml: %q in the environment", trimmed)
			}
			s.env = append(s.env, m[1]+"="+m[2])
			common = s.env
			continue
		}
		switch {
		case indent == 0:
			section = key
		case section == "secrets" || key == "image" || key == "restart" || key == "<<":
		case section == "services" && indent == 2:
			services = append(services, node)
			services[len(services)-1].name = key
		case key == "user":
			s.user = strings.Trim(value, `"`)
		case key == "secrets" && value == "[bus]":
			s.secret = "/run/secrets/bus"
		case key == "hostname":
			s.hostname = value
		case key == "environment" && strings.HasPrefix(value, "&"):
			inEnv = true
		case key == "environment" && strings.HasPrefix(value, "{<<: *environment, "):
			s.env = slices.Clone(common)
			for _, m := range composeInline.FindAllStringSubmatch(value, -1) {
				s.env = append(s.env, m[1]+"="+strings.Trim(m[2], `"`))
			}
		case key == "ports":
			_, port, _ := strings.Cut(strings.Trim(value, `[]"`), ":")
			s.port = port
		case key == "volumes":
			_, folder, _ := strings.Cut(strings.Trim(value, `[]"`), ":")
			s.volume = folder
		default:
			t.Fatalf("compose.yml: this test cannot read %q", line)
		}
	}
	return services
}

// The example's compose file, as containers of a real engine: what it says is what
// they are run with. docker compose itself need not be installed.
func TestComposeExampleInContainers(t *testing.T) {
	e := dockerCLI{t}
	e.needed()
	text, err := os.ReadFile("../examples/cluster/compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	services := composeServices(t, string(text))
	if len(services) != 3 {
		t.Fatalf("%d services", len(services))
	}
	prefix := fmt.Sprintf("er-compose-%d-", os.Getpid())
	image, folder := e.image(prefix)
	secret := filepath.Join(folder, "bus")
	made, err := exec.Command("openssl", "rand", "-hex", "32").Output() // as the file's head says
	if err != nil {
		t.Skipf("openssl makes the secret: %v", err)
	}
	if err := os.WriteFile(secret, made, 0o600); err != nil {
		t.Fatal(err)
	}
	network := prefix + "net"
	e.must("", "network", "create", network)
	t.Cleanup(func() { e.run("", "network", "rm", network) })
	up := func(s composeService) {
		t.Helper()
		args := []string{"run", "-d", "--name", prefix + s.name, "--network", network, "--network-alias", s.name, "--hostname", s.hostname,
			"--user", s.user, "-v", secret + ":" + s.secret + ":ro", "-v", prefix + s.name + ":" + s.volume, "-p", "127.0.0.1::" + s.port}
		for _, v := range s.env {
			args = append(args, "-e", v)
		}
		e.must("", append(args, image)...)
	}
	down := func(s composeService) {
		e.run("", "rm", "-f", prefix+s.name)
		e.run("", "volume", "rm", "-f", prefix+s.name)
	}
	for _, s := range services {
		t.Cleanup(func() {
			if t.Failed() {
				out, err := e.run("", "logs", prefix+s.name)
				t.Logf("%s: %v\n%s", s.name, err, out)
			}
			down(s)
		})
		up(s)
	}
	discovery := func(on composeService, stdin string, args ...string) (string, error) {
		return e.run(stdin, append([]string{"exec", "-i", prefix + on.name, "/edgerouter", "discovery"}, args...)...)
	}
	put := func(on composeService, id string) (generation string) {
		t.Helper()
		eventually(t, id+" is put", time.Minute, func() bool {
			generation, err = discovery(on, fmt.Sprintf(`{"id": %q, "frontends": [{"kind": "hostname", "hostname": "%s.example.com", "allow_insecure_http": true}],
				"backend": {"kind": "redirect", "redirect_opts": {"to": "/x"}}}`, id, id), "put", "-")
			return err == nil
		})
		return generation
	}
	served := func(on composeService, id string) {
		t.Helper()
		_, port, _ := strings.Cut(e.must("", "port", prefix+on.name, on.port), ":")
		client := &http.Client{Timeout: 5 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		eventually(t, on.name+" serves "+id, time.Minute, func() bool {
			req, _ := http.NewRequest(http.MethodGet, "http://127.0.0.1:"+port+"/", nil)
			req.Host = id + ".example.com"
			resp, err := client.Do(req)
			if err != nil {
				return false
			}
			resp.Body.Close()
			return resp.StatusCode == http.StatusFound
		})
	}
	a, b, c := services[0], services[1], services[2]
	if _, err := discovery(b, "", "wait", "--generation", put(a, "one"), "--timeout", "60s"); err != nil {
		t.Fatal(err)
	}
	for _, s := range services {
		served(s, "one")
	}

	// A dead node is replaced by an empty one of the same name, and what was put
	// meanwhile is there.
	down(b)
	two := put(c, "two")
	up(b)
	if _, err := discovery(a, "", "wait", "--generation", two, "--timeout", "60s"); err != nil {
		t.Fatal(err)
	}
	for _, s := range services {
		served(s, "two")
	}
}
