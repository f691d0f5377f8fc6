package testkit

import (
	"os"
	"testing"
)

// Long skips the test unless EDGEROUTER_TEST_LONG=1, which .ci/run sets. It is for
// tests that take longer than a few seconds, and for those whose result depends on
// how fast the machine is: `go test ./...` passes in minutes on any machine, a busy
// one too. What a short form can show belongs into one (see IsLong).
func Long(t testing.TB) {
	t.Helper()
	if !IsLong() {
		t.Skip("long, or measures time: EDGEROUTER_TEST_LONG=1 runs it")
	}
}

// IsLong reports whether long tests are wanted, for a test that does more of the
// same then: more rounds, larger bodies, longer silences.
func IsLong() bool {
	v := os.Getenv("EDGEROUTER_TEST_LONG")
	return v != "" && v != "0"
}
