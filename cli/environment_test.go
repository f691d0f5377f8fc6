package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/app"
	"edgerouter/server"
)

func TestUnknownVariables(t *testing.T) {
	known := knownVariables(newRoot())
	for _, name := range []string{"EDGEROUTER_HTTP", "EDGEROUTER_BUS_PEERS", "EDGEROUTER_ADMIN_TOKEN_FILE", "EDGEROUTER_DOCKER_NETWORK", "EDGEROUTER_ACME_EMAIL", "EDGEROUTER_BUS_WAIT"} {
		if !slices.Contains(known, name) {
			t.Errorf("%s is not known", name)
		}
	}
	got := unknownVariables([]string{
		"EDGEROUTER_HTTP=:80", "EDGEROUTER_HTPP=:80", "EDGEROUTER_TEST_LONG=1", "HOME=/", "EDGEROUTER_=", "EDGEROUTER_HTPP=x", "EDGEROUTERS=1", "EDGEROUTER_http=:80",
	}, known)
	if want := []string{"EDGEROUTER_", "EDGEROUTER_HTPP", "EDGEROUTER_http"}; !slices.Equal(got, want) {
		t.Errorf("unknown are %q, not %q", got, want)
	}
	for name, want := range map[string]string{"EDGEROUTER_HTPP": "EDGEROUTER_HTTP", "EDGEROUTER_TRUSTED_PROXY": "EDGEROUTER_TRUSTED_PROXIES", "EDGEROUTER_XYZZY_PLUGH_FROTZ": ""} {
		if near := app.Nearest(name, known); near != want {
			t.Errorf("near %s is %q, not %q", name, near, want)
		}
	}
}

func TestVariablesAreWarnedOf(t *testing.T) {
	t.Setenv("EDGEROUTER_HTPP", "a secret")
	var out bytes.Buffer
	cmd, _, err := newRoot().Find([]string{"serve"})
	if err != nil {
		t.Fatal(err)
	}
	warnOfVariables(cmd, zerolog.New(&out))
	if text := out.String(); !strings.Contains(text, `"variable":"EDGEROUTER_HTPP","did_you_mean":"EDGEROUTER_HTTP"`) || strings.Contains(text, "secret") {
		t.Errorf("the log has %s", text)
	}
}

// Times of log lines have milliseconds and durations their units, and no part of a
// line on the console stands for something that is not there.
func TestLogFormats(t *testing.T) {
	for _, terminal := range []bool{false, true} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		log := newLogger(w, zerolog.InfoLevel, terminal)
		log.Info().Dur("again_in", 1500*time.Millisecond).Msg("a line")
		w.Close()
		line := make([]byte, 1000)
		n, _ := r.Read(line)
		r.Close()
		text := string(line[:n])
		if terminal {
			if strings.Contains(text, "???") || !regexp.MustCompile(`\d\d:\d\d:\d\d\.\d{3}`).MatchString(text) || !strings.Contains(text, "1.5s") {
				t.Errorf("on a terminal: %q", text)
			}
			continue
		}
		var got struct {
			Time  string `json:"time"`
			Again string `json:"again_in"`
		}
		if err := json.Unmarshal([]byte(text), &got); err != nil || got.Again != "1.5s" || !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:\d\d)$`).MatchString(got.Time) {
			t.Errorf("as JSON: %q, %v", text, err)
		}
	}
}

func TestAccessLogOnTheConsole(t *testing.T) {
	var out bytes.Buffer
	a := newAccessLog("console", &out)
	a.log()(&server.Access{
		Time: time.Date(2026, 11, 30, 22, 27, 1, 234e6, time.UTC), App: "a", Method: []byte("GET"), Host: []byte("a.test"), Target: []byte("/"), Status: 200,
	})
	a.close()
	if text := out.String(); strings.Contains(text, "???") || strings.Contains(text, "<nil>") || !strings.Contains(text, "2026-11-30T22:27:01.234Z") {
		t.Errorf("the line is %q", text)
	}
}
