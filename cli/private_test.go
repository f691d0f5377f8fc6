package cli

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rs/zerolog"

	"edgerouter/server"
)

// What serve makes below the data folder is for its user alone.
func TestDataFolderIsPrivate(t *testing.T) {
	data := filepath.Join(t.TempDir(), "a", "data")
	apps := filepath.Join(t.TempDir(), "apps.json")
	if err := os.WriteFile(apps, []byte(`{"apps": []}`), 0o600); err != nil {
		t.Fatal(err)
	}
	startServe(t, apps, "--data", data)
	n := 0
	err := filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // it is gone again
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		n++
		if info.Mode().Perm()&0o077 != 0 && info.Mode()&fs.ModeSymlink == 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	})
	if err != nil || n < 3 {
		t.Errorf("%d files, %v", n, err)
	}
}

// So is what a deploy makes before serve was ever started.
func TestStoreInDataFolderIsPrivate(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	cmd := edgerouter(t, "turbocharger", "prune", "--data", data)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, path := range []string{data, filepath.Join(data, "turbocharger")} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v %v", path, info, err)
		}
	}
}

// serve tells of it at start.
func TestServeTellsWideDataFolder(t *testing.T) {
	data, apps := t.TempDir(), filepath.Join(t.TempDir(), "apps.json")
	os.Chmod(data, 0o755)
	if err := os.WriteFile(apps, []byte(`{"apps": []}`), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startServe(t, apps, "--data", data)
	p.cmd.Process.Signal(syscall.SIGTERM)
	p.cmd.Wait()
	if !strings.Contains(p.stderr.String(), "chmod -R go-rwx") {
		t.Errorf("it is not told: %s", &p.stderr)
	}
}

func TestWideDataFolderIsTold(t *testing.T) {
	data := t.TempDir()
	told := func() string {
		var out strings.Builder
		tellWide(data, zerolog.New(&out))
		return out.String()
	}
	os.Chmod(data, 0o755)
	if !strings.Contains(told(), "chmod -R go-rwx") {
		t.Error("a folder of mode 0755 is not told")
	}
	os.Chmod(data, 0o700)
	if text := told(); text != "" {
		t.Error(text)
	}
	os.WriteFile(filepath.Join(data, "token"), nil, 0o600)
	os.Chmod(filepath.Join(data, "token"), 0o644)
	if !strings.Contains(told(), "token") {
		t.Error("a file of mode 0644 is not told")
	}
}

func TestParseProxyProtocol(t *testing.T) {
	for text, want := range map[string][2]server.ProxyMode{
		"off": {server.ProxyOff, server.ProxyOff}, "required": {server.ProxyRequired, server.ProxyRequired},
		"https=optional": {server.ProxyOff, server.ProxyOptional}, "http=required,https=off": {server.ProxyRequired, server.ProxyOff},
	} {
		plain, secure, err := parseProxyProtocol(text)
		if err != nil || plain != want[0] || secure != want[1] {
			t.Errorf("%s: %d %d %v", text, plain, secure, err)
		}
	}
	for _, text := range []string{"", "on", "http", "http=on", "admin=off", "off,off"} {
		if _, _, err := parseProxyProtocol(text); err == nil {
			t.Errorf("%q passes", text)
		}
	}
}
