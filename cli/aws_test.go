package cli

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
)

// TestNoInstanceMetadata: without credentials the SDK asks the instance's metadata
// service; not with --dev, unless the operator has said otherwise.
func TestNoInstanceMetadata(t *testing.T) {
	var asked atomic.Int64
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(404)
	}))
	defer service.Close()
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"} {
		t.Setenv(name, "")
	}
	none := filepath.Join(t.TempDir(), "none")
	t.Setenv("AWS_CONFIG_FILE", none)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", none)
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", service.URL)
	retrieve := func() {
		t.Helper()
		asked.Store(0)
		cfg, err := awsConfig(t.Context(), "eu-central-1")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cfg.Credentials.Retrieve(t.Context()); err == nil {
			t.Fatal("there are credentials")
		}
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "false")
	if err := noInstanceMetadata(); err != nil {
		t.Fatal(err)
	}
	if retrieve(); asked.Load() == 0 {
		t.Error("the operator's AWS_EC2_METADATA_DISABLED=false does not count")
	}
	os.Unsetenv("AWS_EC2_METADATA_DISABLED") // put back by Setenv's cleanup
	if err := noInstanceMetadata(); err != nil {
		t.Fatal(err)
	}
	if retrieve(); asked.Load() != 0 {
		t.Errorf("the metadata service was asked %d times", asked.Load())
	}
}
