package engine

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker/api/types/build"
	"github.com/docker/docker/client"
)

// The images of the tests.
const (
	edgeImage    = "edgerouter-test"
	peerImage    = "edgerouter-test-http"
	checkedImage = "edgerouter-test-http-checked"
)

// peerFile is the image of the peer; checkedFile has a health check.
const (
	peerFile    = "FROM scratch\nCOPY peer /peer\nEXPOSE 8080\nENTRYPOINT [\"/peer\"]\n"
	checkedFile = "FROM scratch\nCOPY peer /peer\nEXPOSE 8080\n" +
		"HEALTHCHECK --interval=500ms --timeout=2s --retries=1 CMD [\"/peer\", \"check\"]\nENTRYPOINT [\"/peer\"]\n"
)

// files is the context of a build: contents by path. A path that ends with a
// slash is a folder.
type files map[string][]byte

// buildImages builds what the tests run, the image of edgerouter as
// Dockerfile.prebuilt makes it.
func buildImages(api *client.Client) error {
	programs, err := compiled()
	if err != nil {
		return err
	}
	dockerfile, err := os.ReadFile("../../Dockerfile.prebuilt")
	if err != nil {
		return err
	}
	roots, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
	if err != nil {
		roots = []byte{} // the tests need none
	}
	for _, image := range []struct {
		name, target string
		files        files
	}{
		{edgeImage, "", files{"Dockerfile": dockerfile, "edgerouter": programs.edge, "ca-certificates.crt": roots, "data/": nil}},
		{peerImage, "", files{"Dockerfile": []byte(peerFile), "peer": programs.peer}},
		{checkedImage, "", files{"Dockerfile": []byte(checkedFile), "peer": programs.peer}},
	} {
		if err := buildImage(api, image.name, image.target, image.files); err != nil {
			return fmt.Errorf("building the image %s: %w", image.name, err)
		}
	}
	return nil
}

func buildImage(api *client.Client, name, target string, given files) error {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for path, content := range given {
		h := &tar.Header{Name: path, Mode: 0o755, Size: int64(len(content))}
		if strings.HasSuffix(path, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		if _, err := w.Write(content); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	resp, err := api.ImageBuild(context.Background(), &b, build.ImageBuildOptions{
		Tags: []string{name}, Target: target, Version: build.BuilderV1, Remove: true, ForceRemove: true,
	})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err == nil && !bytes.Contains(said, []byte("Successfully tagged")) {
		err = fmt.Errorf("the engine said: %s", said)
	}
	return err
}

// programs are static binaries.
type programs struct{ edge, peer []byte }

// compiled compiles them, once.
var compiled = sync.OnceValues(func() (p programs, err error) {
	dir, err := os.MkdirTemp("", "edgerouter-engine")
	if err != nil {
		return p, err
	}
	defer os.RemoveAll(dir)
	if p.peer, err = compile(dir, "./testdata/peer"); err != nil {
		return p, err
	}
	if path := os.Getenv("EDGEROUTER_TEST_BINARY"); path != "" {
		p.edge, err = os.ReadFile(path)
		return p, err
	}
	p.edge, err = compile(dir, "../..")
	return p, err
})

func compile(dir, pkg string) ([]byte, error) {
	binary := filepath.Join(dir, "program")
	cmd := exec.Command("go", "build", "-o", binary, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build %s: %w: %s", pkg, err, out)
	}
	return os.ReadFile(binary)
}

// TestImage: the image has nothing in it but what it needs, is not root, and
// checks its own health.
func TestImage(t *testing.T) {
	e := newEngine(t)
	image, err := e.api.ImageInspect(context.Background(), edgeImage)
	e.must(err)
	c := image.Config
	if c.User != "65532:65532" || c.Healthcheck == nil || strings.Join(c.Healthcheck.Test, " ") != "CMD /edgerouter healthcheck" {
		t.Errorf("user %q, health check %v", c.User, c.Healthcheck)
	}
	edge := e.newEdge(edgeOptions{network: "bridge"})
	eventually(t, func() string { return "the health check to pass" }, func() bool {
		info, err := e.api.ContainerInspect(context.Background(), edge.id)
		return err == nil && info.State.Health != nil && info.State.Health.Status == "healthy"
	})
}
