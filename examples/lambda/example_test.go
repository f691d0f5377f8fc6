package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/rs/zerolog"

	"edgerouter/app"
	"edgerouter/gateway"
	"edgerouter/internal/lambdaservice"
	"edgerouter/lambda"
	"edgerouter/metrics"
	"edgerouter/server"
	"edgerouter/turbo"
	"edgerouter/turbo/cache"
	"edgerouter/turbo/store"
	"edgerouter/upstream"
)

func TestMain(m *testing.M) {
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") != "" {
		runFunction(os.Getenv("AWS_LAMBDA_FUNCTION_NAME"))
		return
	}
	os.Exit(m.Run())
}

// TestExample serves the definitions of this folder with the functions of this
// program: a site and a function on one host, every format, and a stream.
func TestExample(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	service, err := lambdaservice.Start(lambdaservice.Options{}, examples(exe)...)
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	// The site is deployed into a folder and served from there.
	dir := t.TempDir()
	manifest, err := deploySite(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	st, err := store.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	files, err := cache.Open(cache.Options{Dir: t.TempDir(), Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	engine := turbo.New(st, files, zerolog.Nop())
	defer engine.Close()
	apps, problems := app.Decode("applications.json", definitions(manifest))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	ms := metrics.NewSet()
	kinds := gateway.Standard{
		Upstream: upstream.Deps{Log: zerolog.Nop(), Stats: &upstream.Stats{}}, Turbo: engine,
		Lambda: lambda.NewService(lambda.Deps{Log: zerolog.Nop(), Metrics: ms, Config: func(context.Context) (aws.Config, error) {
			return aws.Config{BaseEndpoint: &service.URL, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: lambdaservice.AccessKeyID, SecretAccessKey: lambdaservice.SecretAccessKey}, nil
			})}, nil
		}}),
	}
	g := gateway.New(gateway.Options{Builders: kinds.Builders(), Middlewares: kinds.Middlewares(), Metrics: ms, Log: zerolog.Nop()})
	defer g.Close()
	g.Apply([]gateway.SourceSet{{Source: "file", Apps: apps}})
	s := server.New(server.Config{Lookup: g.Lookup, Unmatched: ms.App(metrics.NotFound), Log: zerolog.Nop()})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(ln, false)
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s.Shutdown(ctx, 0)
	}()
	get := func(host, path string) *http.Response {
		t.Helper()
		req, _ := http.NewRequest("GET", "http://"+ln.Addr().String()+path, nil)
		req.Host = host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	for _, c := range []struct{ host, path, want string }{
		{"shop.localhost", "/", "The site is here"},
		{"shop.localhost", "/style.css", "font-family"},
		{"shop.localhost", "/api/orders?n=2", `{"client":"127.0.0.1","orders":["order 1","order 2"],"path":"/orders"}`},
		{"v2.localhost", "/hello?name=you", "hello you, this is /hello"},
		{"alb.localhost", "/x", "GET /x from arn:aws:elasticloadbalancing:eu-central-1:000000000000:targetgroup/alb/"},
		{"stream.localhost", "/event", `"rawPath":"/event"`},
	} {
		resp := get(c.host, c.path)
		if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 || !strings.Contains(string(body), c.want) {
			t.Errorf("%s%s: %d %s %v", c.host, c.path, resp.StatusCode, body, err)
		}
	}
	if resp := get("shop.localhost", "/apiary"); resp.StatusCode != 404 {
		t.Errorf("/apiary is not the function's, and not of the site: %s", resp.Status)
	}
	r := bufio.NewReader(get("stream.localhost", "/?n=3").Body)
	began := time.Now()
	if line, err := r.ReadString('\n'); err != nil || line != "data: tick 1\n" {
		t.Errorf("%q %v", line, err)
	}
	if rest, err := io.ReadAll(r); err != nil || !strings.HasSuffix(string(rest), "data: tick 3\n\n") || time.Since(began) < 300*time.Millisecond {
		t.Errorf("%q %v after %v", rest, err, time.Since(began))
	}
}
