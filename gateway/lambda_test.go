package gateway

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/rs/zerolog"

	"edgerouter/auth"
	"edgerouter/internal/lambdaservice"
	"edgerouter/lambda"
	"edgerouter/metrics"
	"edgerouter/upstream"
)

// TestLambda has a function behind a token, and definitions that are broken.
func TestLambda(t *testing.T) {
	service, err := lambdaservice.Start(lambdaservice.Options{}, lambdaservice.Function{
		Name: "f", Handler: func(_ context.Context, _ []byte, out *lambdaservice.Output) error {
			_, err := out.Write([]byte(`{"statusCode":200,"body":"from the function"}`))
			return err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	ms := metrics.NewSet()
	kinds := Standard{
		Upstream: upstream.Deps{Log: zerolog.Nop(), Stats: &upstream.Stats{}}, Auth: auth.V0Deps{Resolve: testResolve},
		Lambda: lambda.NewService(lambda.Deps{Log: zerolog.Nop(), Metrics: ms, Config: func(context.Context) (aws.Config, error) {
			return aws.Config{BaseEndpoint: &service.URL, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: lambdaservice.AccessKeyID, SecretAccessKey: lambdaservice.SecretAccessKey}, nil
			})}, nil
		}}),
	}
	f := &fixture{log: &logBuffer{}, ms: ms}
	f.Gateway = New(Options{Builders: kinds.Builders(), Middlewares: kinds.Middlewares(), Metrics: ms, Log: zerolog.New(f.log), Grace: time.Hour})
	t.Cleanup(f.Close)
	const function = `{"kind":"aws_lambda","aws_lambda_opts":{"function_name":"f","region_id":"eu-central-1"}}`
	f.Apply(decode(t,
		hostApp("open", function),
		hostApp("guarded", `{"kind":"auth_v0","auth_v0_opts":{"bearer_token":"sesame","authorized_backend":`+function+`}}`),
		hostApp("broken", `{"kind":"aws_lambda","aws_lambda_opts":{"function_name":"arn:aws:lambda:us-east-1:123456789012:function:f","region_id":"eu-central-1"}}`),
	))
	for _, c := range []struct {
		host   string
		fields []string
		status int
	}{
		{"open", nil, 200},
		{"guarded", nil, 401},
		{"guarded", []string{"Authorization", "Bearer sesame"}, 200},
	} {
		ctx := f.request(t, c.host+".example.com", c.fields...)
		if ctx.Response.StatusCode() != c.status || c.status == 200 && string(ctx.Response.Body()) != "from the function" {
			t.Errorf("%s: %d %s", c.host, ctx.Response.StatusCode(), ctx.Response.Body())
		}
	}
	if s := f.log.take(); !strings.Contains(s, "backend.aws_lambda_opts") || !strings.Contains(s, "us-east-1") {
		t.Errorf("the log does not tell of the broken one: %s", s)
	}
}
