package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// dockerCLI is a Docker engine, by its command.
type dockerCLI struct{ t *testing.T }

func (e dockerCLI) run(stdin string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if host := os.Getenv("EDGEROUTER_TEST_DOCKER"); host != "" {
		args = append([]string{"-H", host}, args...)
	}
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if slices.Contains(args, "logs") {
		cmd.Stderr = &out
	}
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("docker %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	return strings.TrimSpace(out.String()), nil
}

func (e dockerCLI) must(stdin string, args ...string) string {
	e.t.Helper()
	out, err := e.run(stdin, args...)
	if err != nil {
		e.t.Fatal(err)
	}
	return out
}

// needed skips the test when there is no engine (EDGEROUTER_TEST_DOCKER,
// DOCKER_HOST, or the usual socket).
func (e dockerCLI) needed() {
	e.t.Helper()
	if _, err := e.run("", "version"); err != nil {
		if os.Getenv("EDGEROUTER_TEST_DOCKER") != "" { // the gate's own engine
			e.t.Fatal(err)
		}
		e.t.Skip("no Docker engine answers; start dockerd, or name one with DOCKER_HOST")
	}
}

// image builds edgerouter's, with what the Dockerfile's has, and a secret. It
// returns the image's name and the folder that it was built from.
func (e dockerCLI) image(prefix string) (image, folder string) {
	e.t.Helper()
	image, folder = prefix+"image", e.t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(folder, "edgerouter"), "..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		e.t.Fatalf("building: %v\n%s", err, out)
	}
	for name, text := range map[string]string{
		"secret":     "the cluster's secret in a test",
		"Dockerfile": "FROM scratch\nENV EDGEROUTER_DATA=/var/lib/edgerouter\nCOPY edgerouter secret /\nENTRYPOINT [\"/edgerouter\"]\nCMD [\"serve\"]\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			e.t.Fatal(err)
		}
	}
	e.must("", "build", "-q", "-t", image, folder)
	e.t.Cleanup(func() { e.run("", "rmi", "-f", image) })
	return image, folder
}

// Three containers on a network of a real engine: one is removed, and an empty one
// takes its place.
func TestClusterInContainers(t *testing.T) {
	e := dockerCLI{t}
	e.needed()
	prefix := fmt.Sprintf("er-bus-%d-", os.Getpid())
	image, _ := e.image(prefix)
	network := prefix + "net"
	e.must("", "network", "create", network)
	t.Cleanup(func() { e.run("", "network", "rm", network) })
	names := []string{"a", "b", "c"}
	start := func(name string) {
		var peers []string
		for _, n := range names {
			if n != name {
				peers = append(peers, prefix+n+":6222")
			}
		}
		e.must("", "run", "-d", "--name", prefix+name, "--network", network, image,
			"serve", "--http", ":80", "--https", "", "--data", "/data", "--node", name, "--docker", "off",
			"--bus-listen", ":6222", "--bus-peers", strings.Join(peers, ","), "--bus-secret-file", "/secret")
	}
	for _, n := range names {
		start(n)
		t.Cleanup(func() {
			if t.Failed() {
				out, err := e.run("", "logs", prefix+n)
				t.Logf("%s: %v\n%s", n, err, out)
			}
			e.run("", "rm", "-f", prefix+n)
		})
	}
	put := func(on, id string) string {
		t.Helper()
		generation := ""
		eventually(t, id+" is put", time.Minute, func() bool {
			var err error
			generation, err = e.run(fmt.Sprintf(`{"id": %q, "frontends": [{"kind": "hostname", "hostname": %q}], "backend": {"kind": "redirect", "redirect_opts": {"to": "/x"}}}`,
				id, id+".example.com"), "exec", "-i", prefix+on, "/edgerouter", "discovery", "put", "-", "--data", "/data", "--bus-peers", "x:1,y:1")
			return err == nil
		})
		return generation
	}
	wait := func(on, generation string) {
		t.Helper()
		e.must("", "exec", prefix+on, "/edgerouter", "discovery", "wait", "--generation", generation, "--timeout", "60s")
	}
	wait("a", put("a", "one"))
	wait("c", put("b", "two"))

	e.must("", "rm", "-f", prefix+"b")
	three := put("c", "three") // two of three are a majority
	start("b")
	wait("a", three)
	if list := e.must("", "exec", prefix+"b", "/edgerouter", "discovery", "ls", "--data", "/data", "--bus-peers", "x:1,y:1"); strings.Count(list, "redirect 302 /x") != 3 {
		t.Errorf("the new node has\n%s", list)
	}
}
