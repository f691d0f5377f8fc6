package app

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files and docs/application.schema.json anew")

// golden compares got with a file, or writes it with -update.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is not what comes out (-file +now); look at it and run go test with -update:\n%s", file, diff)
	}
}

// around is what stands around an input of testdata/problems.txt, by its kind.
// The input begins on a line of its own, so that columns are its own.
var around = map[string][2]string{
	"file":     {"", ""},
	"app":      {`{"apps": [{` + "\n", `}]}`},
	"frontend": {`{"apps": [{"id": "a", "backend": {"kind": "prom_metrics"}, "frontends": [{` + "\n", `}]}]}`},
	"backend":  {`{"apps": [{"id": "a", "frontends": [{"kind": "hostname", "hostname": "a.example"}], "backend": {` + "\n", `}}]}`},
	"peers": {`{"apps": [{"id": "a", "frontends": [{"kind": "hostname", "hostname": "a.example"}], "backend": {"kind": "peer_set", "peer_set_opts": {` + "\n",
		`}}}]}`},
	"middleware": {`{"apps": [{"id": "a", "frontends": [{"kind": "hostname", "hostname": "a.example"}], "backend": {"kind": "prom_metrics"}, "middlewares": [{` + "\n",
		`}]}]}`},
}

type problemInput struct{ title, data string }

func problemInputs(t testing.TB) []problemInput {
	text, err := os.ReadFile("testdata/problems.txt")
	if err != nil {
		t.Fatal(err)
	}
	header := regexp.MustCompile(`(?m)^-- (\w+) (.+) --\n`)
	var inputs []problemInput
	places := header.FindAllSubmatchIndex(text, -1)
	for i, p := range places {
		end := len(text)
		if i+1 < len(places) {
			end = places[i+1][0]
		}
		kind := string(text[p[2]:p[3]])
		frame, ok := around[kind]
		if !ok {
			t.Fatalf("testdata/problems.txt: unknown kind %q", kind)
		}
		inputs = append(inputs, problemInput{kind + " " + string(text[p[4]:p[5]]), frame[0] + string(text[p[1]:end]) + frame[1]})
	}
	return inputs
}

// TestProblems compares what is said of each bad input with problems.golden.
func TestProblems(t *testing.T) {
	var out strings.Builder
	for _, in := range problemInputs(t) {
		apps, problems := Decode("f.json", []byte(in.data))
		fmt.Fprintf(&out, "-- %s --\n", in.title)
		for _, a := range apps {
			fmt.Fprintf(&out, "kept: %s\n", a.ID)
		}
		for _, p := range problems {
			out.WriteString(p.Error() + "\n")
		}
		if len(problems) == 0 {
			t.Errorf("%s: no problem was found", in.title)
		}
	}
	if strings.Contains(out.String(), "hunter2") || strings.Contains(out.String(), "12345") || strings.Contains(out.String(), ":pw@") || strings.Contains(out.String(), "s3cret") {
		t.Error("a problem tells a secret")
	}
	golden(t, "testdata/problems.golden", out.String())
}
