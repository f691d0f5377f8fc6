package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/rs/zerolog"

	"edgerouter/app"
	"edgerouter/internal/lambdaservice"
	"edgerouter/lambda"
	"edgerouter/metrics"
	"edgerouter/turbo"
	"edgerouter/turbo/cache"
	"edgerouter/turbo/deploy"
	"edgerouter/turbo/origin"
	"edgerouter/turbo/store"
	"edgerouter/upstream"
)

// lambdaOf is a function that answers events of format 2.0 as a handler does:
// buffered, or as a stream.
func lambdaOf(h http.Handler, streamed bool) func(context.Context, []byte, *lambdaservice.Output) error {
	return func(_ context.Context, payload []byte, out *lambdaservice.Output) error {
		var e events.APIGatewayV2HTTPRequest
		if err := json.Unmarshal(payload, &e); err != nil {
			return err
		}
		req := httptest.NewRequest(e.RequestContext.HTTP.Method, e.RawPath, strings.NewReader(e.Body))
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		answer := map[string]any{"statusCode": rec.Code, "multiValueHeaders": rec.Header()}
		if !streamed {
			answer["body"] = rec.Body.String()
			return json.NewEncoder(out).Encode(answer)
		}
		head, err := json.Marshal(answer)
		if err != nil {
			return err
		}
		out.ContentType("application/vnd.awslambda.http-integration-response")
		_, err = out.Write(append(append(head, make([]byte, 8)...), rec.Body.Bytes()...))
		return err
	}
}

// TestFunctionAndSiteOnOneHost has a site from the store at / and a function at
// /api, whose static files are taken over, on one host.
func TestFunctionAndSiteOnOneHost(t *testing.T) {
	for _, mode := range []string{"buffered", "response_stream"} {
		t.Run(mode, func(t *testing.T) { functionAndSite(t, mode) })
	}
}

func functionAndSite(t *testing.T, mode string) {
	b := &turboBed{t: t, app: &hybrid{}}
	service, err := lambdaservice.Start(lambdaservice.Options{}, lambdaservice.Function{Name: "f", Handler: lambdaOf(b.app, mode != "buffered")})
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	if b.store, err = store.OpenFolder(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	c, err := cache.Open(cache.Options{Dir: t.TempDir(), Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b.engine = turbo.New(b.store, c, zerolog.Nop())
	defer b.engine.Close()
	b.engine.CheckEvery = 20 * time.Millisecond

	var tar bytes.Buffer
	if err := origin.Tar(&tar, fstest.MapFS{"index.html": {Data: []byte("the site"), Mode: 0o644}}); err != nil {
		t.Fatal(err)
	}
	site, err := deploy.Tar(t.Context(), b.store, "shop", &tar, deploy.Options{})
	if err != nil {
		t.Fatal(err)
	}

	ms := metrics.NewSet()
	kinds := Standard{
		Turbo: b.engine, Upstream: upstream.Deps{Log: zerolog.Nop(), Stats: &upstream.Stats{}},
		Lambda: lambda.NewService(lambda.Deps{Log: zerolog.Nop(), Metrics: ms, Config: func(context.Context) (aws.Config, error) {
			return aws.Config{BaseEndpoint: &service.URL, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: lambdaservice.AccessKeyID, SecretAccessKey: lambdaservice.SecretAccessKey}, nil
			})}, nil
		}}),
	}
	g := New(Options{Builders: kinds.Builders(), Middlewares: kinds.Middlewares(), Metrics: ms, Log: zerolog.Nop(), Grace: time.Millisecond})
	defer g.Close()
	document := fmt.Appendf(nil, `{"apps": [
		{"id": "shop-site", "frontends": [{"kind": "hostname", "hostname": "127.0.0.1", "allow_insecure_http": true}],
		 "backend": {"kind": "turbocharger", "turbocharger_opts": {"manifest": %q}}},
		{"id": "shop-api", "frontends": [{"kind": "hostname", "hostname": "127.0.0.1", "path_prefix": "/api", "strip_path_prefix": "/api", "allow_insecure_http": true}],
		 "backend": {"kind": "aws_lambda", "aws_lambda_opts": {"function_name": "f", "region_id": %q, "payload_format_version": "2.0", "invoke_mode": %q}}},
		{"id": "off", "frontends": [{"kind": "hostname", "hostname": "127.0.0.1", "path_prefix": "/off", "strip_path_prefix": "/off", "allow_insecure_http": true}],
		 "backend": {"kind": "aws_lambda", "aws_lambda_opts": {"function_name": "f", "region_id": %[2]q, "payload_format_version": "2.0", "turbocharger": "off"}}}
	]}`, site.Manifest.String(), lambdaservice.DefaultRegion, mode)
	url, stop := serve(t, g, document)
	defer stop()
	b.url = url

	b.deploy(1)
	for path, want := range map[string]string{"/": "the site", "/api/orders": "the application", "/api": "the application"} {
		if status, body, _ := b.get(path); status != 200 || body != want {
			t.Errorf("%s: %d %q", path, status, body)
		}
	}
	if n := b.engine.Stats.Takeovers.Load(); n != 0 {
		t.Errorf("%d takeovers before anything was advertised", n)
	}
	b.eventually("taken over", func() bool { return b.ours("/api/static/app.css") })
	if status, body, tag := b.get("/api/static/app.css"); status != 200 || !strings.HasPrefix(body, "app.css v01") || tag == "" {
		t.Errorf("%d %.20q %s", status, body, tag)
	}
	if status, body, _ := b.get("/api/static/sub/missing"); status != 404 || !strings.HasPrefix(body, "404.html v01") || !b.ours("/api/static/sub/missing") {
		t.Errorf("a file that is not there: %d %.20q", status, body)
	}
	if status, body, _ := b.get("/api/orders"); status != 200 || body != "the application" {
		t.Errorf("beside what was taken over: %d %q", status, body)
	}
	if b.ours("/off/static/app.css") {
		t.Error("taken over where turbocharger is off")
	}

	b.deploy(2)
	b.eventually("the new version", func() bool {
		_, body, _ := b.get("/api/static/app.css")
		return strings.HasPrefix(body, "app.css v02")
	})
	if status, _, _ := b.get("/api/static/only-01.txt"); status != 200 {
		t.Errorf("what only the version before has: %d", status)
	}
	b.app.set(func() { b.app.manifest = "" })
	b.eventually("given back", func() bool { return !b.ours("/api/static/app.css") })
	b.deploy(3)
	b.eventually("taken over again", func() bool { return b.ours("/api/static/app.css") })

	// Nobody answers for the function any more: the last version stays.
	service.Close()
	before := b.app.asked.Load()
	for end := time.Now().Add(200 * time.Millisecond); time.Now().Before(end); {
		if status, body, _ := b.get("/api/static/app.css"); status != 200 || !strings.HasPrefix(body, "app.css v03") {
			t.Fatalf("without the function: %d %.20q", status, body)
		}
	}
	if b.app.asked.Load() != before {
		t.Error("the function answered although its service is closed")
	}
	if status, _, _ := b.get("/api/orders"); status != 502 {
		t.Errorf("the function: %d", status)
	}
	if status, body, _ := b.get("/"); status != 200 || body != "the site" {
		t.Errorf("the site: %d %q", status, body)
	}
}

// TestAsking: what a function says of its version, and that a check ends with its
// context.
func TestAsking(t *testing.T) {
	hang := make(chan struct{})
	service, err := lambdaservice.Start(lambdaservice.Options{}, lambdaservice.Function{Name: "f", Handler: func(ctx context.Context, payload []byte, out *lambdaservice.Output) error {
		var e struct{ Path, HTTPMethod string }
		if err := json.Unmarshal(payload, &e); err != nil {
			return err
		}
		switch e.Path {
		case "/hang":
			select {
			case <-hang:
			case <-ctx.Done():
			}
		case "/fail":
			return fmt.Errorf("words of the function")
		case "/none":
			_, err := io.WriteString(out, `{"statusCode":404}`)
			return err
		}
		_, err := fmt.Fprintf(out, `{"statusCode":200,"headers":{"Turbocharger":"%s %s"}}`, e.HTTPMethod, e.Path)
		return err
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	defer close(hang)
	functions := lambda.NewService(lambda.Deps{Log: zerolog.Nop(), Metrics: metrics.NewSet(), Config: func(context.Context) (aws.Config, error) {
		return aws.Config{BaseEndpoint: &service.URL, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: lambdaservice.AccessKeyID, SecretAccessKey: lambdaservice.SecretAccessKey}, nil
		})}, nil
	}})
	f, err := functions.New("a", app.AWSLambdaOpts{FunctionName: "f", RegionID: lambdaservice.DefaultRegion}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 3 {
		if status, value, err := f.Advertisement(t.Context(), "shop.example.com", "/static", true); status != 200 || value != "HEAD /static" || err != nil {
			t.Errorf("%d %q %v", status, value, err)
		}
		if status, value, err := f.Advertisement(t.Context(), "shop.example.com", "/none", false); status != 404 || value != "" || err != nil {
			t.Errorf("%d %q %v", status, value, err)
		}
		if _, _, err := f.Advertisement(t.Context(), "shop.example.com", "/fail", false); err == nil || !strings.Contains(err.Error(), "the function failed") {
			t.Errorf("a function that fails: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		if _, _, err := f.Advertisement(ctx, "shop.example.com", "/hang", false); err == nil {
			t.Error("a check that hangs has no error")
		}
		cancel()
	}
	if n := functions.Memory().Used(); n != 0 {
		t.Errorf("%d bytes of the budget were not given back", n)
	}
}
