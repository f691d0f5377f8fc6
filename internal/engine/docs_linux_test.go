package engine

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestFiveCommands runs the block of docs/docker.md that goes from nothing to a
// served container, with names, ports and the socket of the test in it.
func TestFiveCommands(t *testing.T) {
	if _, err := exec.LookPath("docker"); err != nil {
		t.Skip("no docker command: install docker.io or docker-cli")
	}
	e := newEngine(t)
	page, err := os.ReadFile("../../docs/docker.md")
	e.must(err)
	_, block, _ := strings.Cut(string(page), "<!-- test: five -->\n```sh\n")
	block, _, found := strings.Cut(block, "```")
	if n := strings.Count(block, "\n"); !found || n != 5 {
		t.Fatalf("the block has %d commands, want 5:\n%s", n, block)
	}
	socket, _ := e.socket()
	port := freePort(t)
	edge, hello, network := e.id+"-edgerouter", e.id+"-hello", e.id+"-edge"
	for _, swap := range [][2]string{
		{"-v /var/run/docker.sock:", "-v " + socket + ":"},
		{"%g /var/run/docker.sock", "%g " + socket},
		{"network create edge\n", "network create " + network + "\n"},
		{"--network edge ", "--network " + network + " "},
		{"NETWORK_NAME=edge ", "NETWORK_NAME=" + network + " "},
		{"-p 80:80 -p 443:443 ", "-p 127.0.0.1:" + port + ":80 "},
		{"--name edgerouter ", "--name " + edge + " "},
		{"--name hello ", "--name " + hello + " "},
		{"docker exec edgerouter ", "docker exec " + edge + " "},
		{" edgerouter\n", " " + edgeImage + "\n"},
		{" edgerouter serve ", " " + edgeImage + " serve "},
		{"http://hello.localhost/", "http://hello.localhost:" + port + "/"},
		{" explain hello\n", " explain " + hello + "\n"},
	} {
		if !strings.Contains(block, swap[0]) {
			t.Fatalf("no %q in:\n%s", swap[0], block)
		}
		block = strings.ReplaceAll(block, swap[0], swap[1])
	}
	env := append(os.Environ(), "DOCKER_HOST="+e.host)
	t.Cleanup(func() {
		for _, args := range [][]string{{"rm", "-fv", edge, hello}, {"network", "rm", network}} {
			cmd := exec.Command("docker", args...)
			cmd.Env = env
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("docker %s: %v: %s", strings.Join(args, " "), err, out)
			}
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-eux")
	cmd.Stdin, cmd.Env = strings.NewReader(block), env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	for _, want := range []string{`"peer": "peer-`, "application " + hello + " (served)", "its address on " + network} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
}
