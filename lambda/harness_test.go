package lambda_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	awslambda "github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdaurl"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/rs/zerolog"

	"edgerouter/app"
	"edgerouter/internal/lambdaservice"
	"edgerouter/lambda"
	"edgerouter/metrics"
	"edgerouter/router"
	"edgerouter/server"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// TestMain makes the test binary a function program when it is started as one.
func TestMain(m *testing.M) {
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") == "" {
		os.Exit(m.Run())
	}
	switch name := os.Getenv("AWS_LAMBDA_FUNCTION_NAME"); name {
	case "rest":
		awslambda.Start(restFunction)
	case "http":
		awslambda.Start(httpFunction)
	case "alb":
		awslambda.Start(albFunction)
	case "url":
		lambdaurl.Start(http.HandlerFunc(urlFunction))
	default:
		fmt.Fprintln(os.Stderr, "no function", name)
		os.Exit(1)
	}
}

// program is a function that is this test binary.
func program(t testing.TB, name string) lambdaservice.Function {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return lambdaservice.Function{Name: name, Command: []string{exe}, Timeout: patience}
}

// seen is what the test functions tell of the request that they got.
type seen struct {
	Method, Path, Query, Source, Trace string
	Tags                               []string
	Cookies                            []string
	Body                               []byte
}

func decoded(body string, isBase64 bool) []byte {
	if !isBase64 {
		return []byte(body)
	}
	b, _ := base64.StdEncoding.DecodeString(body)
	return b
}

func restFunction(ctx context.Context, e events.APIGatewayProxyRequest) (events.APIGatewayProxyResponse, error) {
	body := decoded(e.Body, e.IsBase64Encoded)
	if e.Path == "/fail" {
		return events.APIGatewayProxyResponse{}, errors.New("secret words of the function")
	}
	if e.Path == "/raw" {
		return events.APIGatewayProxyResponse{StatusCode: 200, Headers: map[string]string{"Content-Type": "image/png"}, Body: base64.StdEncoding.EncodeToString(body), IsBase64Encoded: true}, nil
	}
	s := seen{e.HTTPMethod, e.Path, e.QueryStringParameters["q"], e.RequestContext.Identity.SourceIP, os.Getenv("_X_AMZN_TRACE_ID"), e.MultiValueHeaders["X-Tag"], e.MultiValueHeaders["Cookie"], body}
	b, _ := json.Marshal(s)
	return events.APIGatewayProxyResponse{
		StatusCode: 201, Headers: map[string]string{"X-One": "1"}, MultiValueHeaders: map[string][]string{"Set-Cookie": {"a=b", "c=d"}}, Body: string(b),
	}, nil
}

func httpFunction(ctx context.Context, e events.APIGatewayV2HTTPRequest) (any, error) {
	if e.RawPath == "/plain" {
		return map[string]string{"hello": "world"}, nil
	}
	s := seen{e.RequestContext.HTTP.Method, e.RawPath, e.QueryStringParameters["q"], e.RequestContext.HTTP.SourceIP, os.Getenv("_X_AMZN_TRACE_ID"), strings.Split(e.Headers["x-tag"], ","), e.Cookies, decoded(e.Body, e.IsBase64Encoded)}
	b, _ := json.Marshal(s)
	return events.APIGatewayV2HTTPResponse{StatusCode: 201, Headers: map[string]string{"X-One": "1"}, Cookies: []string{"a=b", "c=d"}, Body: string(b)}, nil
}

func albFunction(ctx context.Context, e events.ALBTargetGroupRequest) (events.ALBTargetGroupResponse, error) {
	s := seen{e.HTTPMethod, e.Path, e.MultiValueQueryStringParameters["q"][0], "", os.Getenv("_X_AMZN_TRACE_ID"), e.MultiValueHeaders["x-tag"], e.MultiValueHeaders["cookie"], decoded(e.Body, e.IsBase64Encoded)}
	b, _ := json.Marshal(s)
	return events.ALBTargetGroupResponse{StatusCode: 201, StatusDescription: "201 Created", MultiValueHeaders: map[string][]string{"X-One": {"1"}, "Set-Cookie": {"a=b", "c=d"}}, Body: string(b)}, nil
}

func urlFunction(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("X-One", "1")
	w.Header().Add("Set-Cookie", "a=b")
	w.Header().Add("Set-Cookie", "c=d")
	w.WriteHeader(201)
	s := seen{r.Method, r.URL.EscapedPath(), r.URL.Query().Get("q"), r.RemoteAddr, os.Getenv("_X_AMZN_TRACE_ID"), strings.Split(r.Header.Get("X-Tag"), ","), nil, body}
	b, _ := json.Marshal(s)
	w.Write(b)
}

// logBuffer keeps log lines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// bed is a service with functions, and an edge with an application for each.
type bed struct {
	t       testing.TB
	service *lambdaservice.Service
	lambda  *lambda.Service
	metrics *metrics.Set
	log     *logBuffer
	addr    string
	client  *http.Client
}

// options of a bed.
type options struct {
	service     lambdaservice.Options
	credentials aws.Credentials // the service's when empty
	memory      int64
	direct      bool
	endpoint    string // the service's when empty
}

// newBed serves each of the applications below /ID/, with that prefix stripped.
func newBed(t testing.TB, o options, functions []lambdaservice.Function, apps map[string]app.AWSLambdaOpts) *bed {
	t.Helper()
	s, err := lambdaservice.Start(o.service, functions...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	b := &bed{t: t, service: s, metrics: metrics.NewSet(), log: &logBuffer{}}
	if o.endpoint == "" {
		o.endpoint = s.URL
	}
	if o.credentials.AccessKeyID == "" {
		o.credentials = aws.Credentials{AccessKeyID: lambdaservice.AccessKeyID, SecretAccessKey: lambdaservice.SecretAccessKey}
	}
	b.lambda = lambda.NewService(lambda.Deps{
		Log: zerolog.New(b.log), Metrics: b.metrics, Memory: o.memory,
		Config: func(context.Context) (aws.Config, error) {
			return aws.Config{
				BaseEndpoint: &o.endpoint,
				Credentials:  aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return o.credentials, nil }),
			}, nil
		},
	})
	var entries []*router.Entry
	var backends []*lambda.Function
	for id, opts := range apps {
		if opts.RegionID == "" {
			opts.RegionID = lambdaservice.DefaultRegion
		}
		f, err := b.lambda.New(id, opts, nil)
		if err != nil {
			t.Fatal(err)
		}
		backends = append(backends, f)
		entries = append(entries, &router.Entry{
			App: id, Kind: router.AnyHost, PathPrefix: "/" + id, StripPrefix: "/" + id, AllowPlain: true,
			Direct: o.direct, Handler: f.Handler(o.direct), Observer: unobserved{},
		})
	}
	table, conflicts := router.Build(entries, nil)
	if len(conflicts) > 0 {
		t.Fatal(conflicts)
	}
	srv := server.New(server.Config{Lookup: table.Match, Unmatched: unobserved{}, Log: zerolog.New(b.log)})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.addr = ln.Addr().String()
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln, false) }()
	tr := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 200}
	b.client = &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		srv.Shutdown(ctx, 0)
		<-served
		for _, f := range backends {
			f.Close()
		}
		if n := b.lambda.Memory().Used(); n != 0 {
			t.Errorf("%d bytes of the budget were not given back", n)
		}
	})
	return b
}

type unobserved struct{}

func (unobserved) Observe([]byte, int, time.Duration) {}

// do sends a request and reads the answer.
func (b *bed) do(method, path, body string, fields ...string) (*http.Response, string) {
	b.t.Helper()
	req, err := http.NewRequest(method, "http://"+b.addr+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Add(fields[i], fields[i+1])
	}
	resp, err := b.client.Do(req)
	if err != nil {
		b.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatalf("%s %s: reading the body: %v", method, path, err)
	}
	return resp, string(answer)
}

// metric is the value of a series.
func (b *bed) metric(name, id string) string {
	var text bytes.Buffer
	b.metrics.WritePrometheus(&text)
	for _, line := range strings.Split(text.String(), "\n") {
		if v, ok := strings.CutPrefix(line, name+`{app="`+id+`"} `); ok {
			return v
		}
	}
	return ""
}

func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: still not so after %v", what, patience)
		}
	}
}

// inline is a function in this process that answers with a payload.
func inline(name string, answer func(payload []byte) string) lambdaservice.Function {
	return lambdaservice.Function{Name: name, Timeout: patience, Handler: func(_ context.Context, payload []byte, out *lambdaservice.Output) error {
		_, err := io.WriteString(out, answer(payload))
		return err
	}}
}
