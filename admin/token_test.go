package admin

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestLoadOrMakeToken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "admin-token")
	var wg sync.WaitGroup
	tokens := make([]string, 8)
	for i := range tokens {
		wg.Go(func() {
			token, err := LoadOrMakeToken(path)
			if err != nil {
				t.Error(err)
			}
			tokens[i] = string(token)
		})
	}
	wg.Wait()
	for _, token := range tokens {
		if token != tokens[0] || len(token) < 43 || strings.TrimSpace(token) != token {
			t.Fatalf("tokens %q", tokens)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".admin-token-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}

	given := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(given, []byte("given by the operator\r\n"), 0o400); err != nil {
		t.Fatal(err)
	}
	if token, err := LoadOrMakeToken(given); string(token) != "given by the operator" || err != nil {
		t.Errorf("%q, %v", token, err)
	}

	empty := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(empty, []byte(" \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrMakeToken(empty); err == nil || !strings.Contains(err.Error(), "is empty") || !strings.Contains(err.Error(), empty) {
		t.Errorf("an empty file: %v", err)
	}

	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrMakeToken(filepath.Join(file, "token")); err == nil || !strings.Contains(err.Error(), "--admin-token-file") {
		t.Errorf("below a file: %v", err)
	}
}
