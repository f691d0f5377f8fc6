package gateway

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// cacheTestsFolder finds the npm package http-cache-tests, or skips the test; it
// fails when EDGEROUTER_TEST_REQUIRE names cache-tests.
func cacheTestsFolder(t *testing.T) string {
	t.Helper()
	const missing = "no http-cache-tests: npm install --prefix DIR http-cache-tests@0.4.5, and EDGEROUTER_CACHE_TESTS=DIR/node_modules/http-cache-tests"
	folder := os.Getenv("EDGEROUTER_CACHE_TESTS")
	_, err := exec.LookPath("node")
	if folder != "" && err == nil {
		if _, err = os.Stat(filepath.Join(folder, "tests", "index.mjs")); err == nil {
			return folder
		}
	}
	if slices.Contains(strings.Split(os.Getenv("EDGEROUTER_TEST_REQUIRE"), ","), "cache-tests") {
		t.Fatal(missing, err)
	}
	t.Skip(missing)
	return ""
}

// cacheTest is what run.mjs says of a test.
type cacheTest struct{ ID, Kind, Outcome, Why string }

// unclaimed are the required tests that the option does not claim to pass, and
// why; docs/http.md tells of them.
func unclaimed(id string) (why string) {
	switch {
	case strings.HasPrefix(id, "age-parse-"):
		return "RFC 9111 section 5.1 has an invalid Age ignored and the first of a list used; these tests are from before it"
	case strings.HasSuffix(id, "-Set-Cookie"):
		return "responses with Set-Cookie are not stored"
	case id == "headers-store-Transfer-Encoding":
		return "a response with a made-up Transfer-Encoding is refused with 502"
	case strings.HasPrefix(id, "stale-close-"):
		return "they ask for stale-close, which needs stale_if_error, and take a 502 without their own fields for a stored response"
	}
	return ""
}

// TestPublicCacheTests runs the public tests for HTTP caches (cache-tests.fyi)
// against the option caching. No required one that is claimed may fail.
func TestPublicCacheTests(t *testing.T) {
	folder := cacheTestsFolder(t)
	cmd := exec.CommandContext(t.Context(), "node", "--no-warnings", "testdata/cachetests/run.mjs", folder)
	var said bytes.Buffer
	cmd.Stderr = &said
	cmd.WaitDelay = 10 * time.Second
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	var first struct{ Origin string }
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &first) != nil || first.Origin == "" {
		t.Fatalf("the tests say %q, %v", lines.Text(), lines.Err())
	}
	b := newCacheBedAt(t, first.Origin, map[string]any{})
	if _, err := fmt.Fprintf(in, "http://%s\n", b.addr); err != nil {
		t.Fatal(err)
	}
	count := map[string]map[string]int{}
	for lines.Scan() {
		var c cacheTest
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatalf("%v in %q", err, lines.Text())
		}
		if count[c.Kind] == nil {
			count[c.Kind] = map[string]int{}
		}
		count[c.Kind][c.Outcome]++
		if c.Outcome == "pass" {
			continue
		}
		if c.Kind == "required" && unclaimed(c.ID) == "" {
			t.Errorf("%s: %s: %s", c.ID, c.Outcome, c.Why)
		} else {
			t.Logf("%s %s: %s: %s", c.Kind, c.ID, c.Outcome, c.Why)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, said.Bytes())
	}
	t.Log(count)
	if count["required"]["pass"] < 130 {
		t.Errorf("only %d required tests passed", count["required"]["pass"])
	}
}
