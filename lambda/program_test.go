package lambda_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"edgerouter/app"
	"edgerouter/internal/lambdaservice"
)

// TestPrograms sends requests to real aws-lambda-go programs, in all formats,
// buffered and streamed.
func TestPrograms(t *testing.T) {
	for _, direct := range []bool{true, false} {
		name := "direct"
		if !direct {
			name = "structured"
		}
		t.Run(name, func(t *testing.T) {
			b := newBed(t, options{direct: direct}, []lambdaservice.Function{
				program(t, "rest"), program(t, "http"), program(t, "alb"), program(t, "url"),
			}, map[string]app.AWSLambdaOpts{
				"rest":   {FunctionName: "rest", PayloadFormatVersion: "1.0"},
				"http":   {FunctionName: "http", PayloadFormatVersion: "2.0"},
				"alb":    {FunctionName: "alb", PayloadFormatVersion: "alb", ALBMultiValue: true},
				"url":    {FunctionName: "url", PayloadFormatVersion: "2.0", InvokeMode: "response_stream"},
				"framed": {FunctionName: "url", PayloadFormatVersion: "2.0"},
			})
			for _, id := range []string{"rest", "http", "alb", "url", "framed"} {
				t.Run(id, func(t *testing.T) { checkProgram(t, b, id) })
			}
			t.Run("binary", func(t *testing.T) {
				all := make([]byte, 70<<10)
				for i := range all {
					all[i] = byte(i)
				}
				resp, body := b.do("POST", "/rest/raw", string(all), "Content-Type", "image/png")
				if resp.StatusCode != 200 || body != string(all) || resp.Header.Get("Content-Type") != "image/png" {
					t.Errorf("%d, %d bytes", resp.StatusCode, len(body))
				}
			})
			t.Run("json", func(t *testing.T) {
				resp, body := b.do("GET", "/http/plain", "")
				if resp.StatusCode != 200 || body != `{"hello":"world"}` || resp.Header.Get("Content-Type") != "application/json" {
					t.Errorf("%d %s", resp.StatusCode, body)
				}
			})
			t.Run("error", func(t *testing.T) {
				resp, body := b.do("GET", "/rest/fail", "")
				if resp.StatusCode != 502 || strings.Contains(body, "secret") {
					t.Errorf("%d %s", resp.StatusCode, body)
				}
				if !strings.Contains(b.log.String(), "secret words of the function") {
					t.Errorf("the log does not have the function's words: %s", b.log)
				}
			})
			if cold := b.metric("er_lambda_cold_starts_total", "rest"); cold != "1" {
				t.Errorf("%s cold starts", cold)
			}
		})
	}
}

func checkProgram(t *testing.T, b *bed, id string) {
	const trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"
	resp, body := b.do("POST", "/"+id+"/a%20b/c?q=v%20w", `{"x":"ü"}`, "Content-Type", "application/json",
		"X-Tag", "one", "X-Tag", "two", "Cookie", "k=v; l=w", "X-Amzn-Trace-Id", trace)
	if resp.StatusCode != 201 || resp.Header.Get("X-One") != "1" || len(resp.Header.Values("Set-Cookie")) != 2 {
		t.Fatalf("%d %v %s", resp.StatusCode, resp.Header, body)
	}
	var got seen
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	want := seen{"POST", "/a%20b/c", "v w", "127.0.0.1", trace, []string{"one", "two"}, []string{"k=v", "l=w"}, []byte(`{"x":"ü"}`)}
	switch id {
	case "rest":
		want.Cookies = []string{"k=v; l=w"}
	case "alb":
		want.Cookies, want.Query, want.Source = []string{"k=v; l=w"}, "v%20w", ""
	case "url", "framed":
		want.Cookies = nil
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if id == "rest" || id == "http" {
		if resp, body := b.do("HEAD", "/"+id+"/x?q=1", ""); resp.StatusCode != 201 || body != "" {
			t.Errorf("HEAD: %d %q", resp.StatusCode, body)
		}
	}
}
