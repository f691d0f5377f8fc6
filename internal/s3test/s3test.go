// Package s3test starts a real S3 server (versitygw) for tests.
//
// A test that calls Start is skipped where the program is not installed, unless
// EDGEROUTER_TEST_REQUIRE names s3: then it fails.
package s3test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// The server's region and credentials.
const (
	Region    = "eu-central-1"
	AccessKey = "edgeroutertest"
	SecretKey = "edgeroutertestsecret"
)

// Server is a running S3 server. Its objects are files below Folder/BUCKET.
type Server struct {
	URL    string
	Folder string
	Config aws.Config
	cmd    *exec.Cmd
	addr   string
}

// Start starts a server with the buckets, which ends with the test.
func Start(t testing.TB, buckets ...string) *Server {
	t.Helper()
	program := find()
	if program == "" {
		const missing = "versitygw is not installed: go install github.com/versity/versitygw/cmd/versitygw@v1.8.0"
		if slices.Contains(strings.Split(os.Getenv("EDGEROUTER_TEST_REQUIRE"), ","), "s3") {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	folder := t.TempDir()
	for _, b := range buckets {
		if err := os.Mkdir(filepath.Join(folder, b), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	s := &Server{URL: "http://" + addr, Folder: folder, addr: addr, Config: ConfigOf("http://" + addr)}
	s.run(t, program)
	t.Cleanup(s.Stop)
	return s
}

// ConfigOf is the configuration for a server that another process has started, by its
// URL.
func ConfigOf(url string) aws.Config {
	return aws.Config{
		Region: Region, BaseEndpoint: aws.String(url),
		Credentials: credentials.NewStaticCredentialsProvider(AccessKey, SecretKey, ""),
	}
}

// run starts the program and waits until it answers.
func (s *Server) run(t testing.TB, program string) {
	t.Helper()
	s.cmd = exec.Command(program, "--quiet", "--port", s.addr, "--region", Region, "posix", s.Folder)
	s.cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+AccessKey, "ROOT_SECRET_KEY="+SecretKey)
	var said strings.Builder
	s.cmd.Stdout, s.cmd.Stderr = &said, &said
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	client := s3.NewFromConfig(s.Config, func(o *s3.Options) { o.UsePathStyle = true; o.RetryMaxAttempts = 1 })
	for {
		_, err := client.ListBuckets(ctx, &s3.ListBucketsInput{})
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			s.Stop()
			t.Fatal(fmt.Errorf("%s does not answer: %w\n%s", program, err, said.String()))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop ends the server; its files stay until the test ends.
func (s *Server) Stop() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.cmd = nil
}

// Restart starts it again at the same address.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.run(t, find())
}

func find() string {
	for _, name := range []string{os.Getenv("EDGEROUTER_VERSITYGW"), "versitygw"} {
		if path, err := exec.LookPath(name); err == nil || errors.Is(err, exec.ErrDot) {
			return path
		}
	}
	return ""
}
