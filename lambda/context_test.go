package lambda_test

import (
	"context"
	"encoding/json"
	"net"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/internal/lambdaservice"
	"edgerouter/lambda"
	"edgerouter/metrics"
)

// TestContextAlone calls the handler with a RequestCtx that no connection of
// package server stands behind, as another protocol's bridge does.
func TestContextAlone(t *testing.T) {
	s, err := lambdaservice.Start(lambdaservice.Options{}, inline("f", func(p []byte) string {
		text, _ := json.Marshal(string(p))
		return `{"statusCode":203,"headers":{"X-One":"1"},"body":` + string(text) + `}`
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	service := lambda.NewService(lambda.Deps{Log: zerolog.Nop(), Metrics: metrics.NewSet(), Config: func(context.Context) (aws.Config, error) {
		return aws.Config{BaseEndpoint: &s.URL, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: lambdaservice.AccessKeyID, SecretAccessKey: lambdaservice.SecretAccessKey}, nil
		})}, nil
	}})
	f, err := service.New("a", app.AWSLambdaOpts{FunctionName: "f", RegionID: lambdaservice.DefaultRegion, PayloadFormatVersion: "2.0"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, streamed := range []bool{false, true} {
		var ctx fasthttp.RequestCtx
		var req fasthttp.Request
		req.Header.SetMethod("POST")
		req.SetRequestURI("/x%20y?q=1")
		req.Header.SetHost("shop.example.com")
		req.Header.Set("X-Request-Id", "the-id")
		req.Header.Set("X-Forwarded-Proto", "https")
		req.Header.Set("Cookie", "a=b")
		req.Header.SetContentType("text/plain")
		ctx.Init(&req, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7)}, nil)
		if streamed {
			ctx.Request.SetBodyStream(strings.NewReader("hello"), -1)
		} else {
			ctx.Request.SetBodyString("hello")
		}
		f.Handler(false)(&ctx)
		var e struct {
			RawPath, RawQueryString, Body string
			Cookies                       []string
			Headers                       map[string]string
			RequestContext                struct {
				RequestID string
				HTTP      struct{ Method, SourceIP string }
			}
		}
		if err := json.Unmarshal(ctx.Response.Body(), &e); err != nil {
			t.Fatalf("%v in %d %s", err, ctx.Response.StatusCode(), ctx.Response.Body())
		}
		if ctx.Response.StatusCode() != 203 || string(ctx.Response.Header.Peek("X-One")) != "1" || e.RawPath != "/x%20y" || e.RawQueryString != "q=1" || e.Body != "hello" ||
			len(e.Cookies) != 1 || e.Cookies[0] != "a=b" || e.Headers["host"] != "shop.example.com" || e.Headers["x-forwarded-port"] != "443" ||
			e.RequestContext.RequestID != "the-id" || e.RequestContext.HTTP.Method != "POST" || e.RequestContext.HTTP.SourceIP != "192.0.2.7" {
			t.Errorf("streamed %v: %s", streamed, ctx.Response.Body())
		}
	}
}

// TestNew has definitions that cannot be built.
func TestNew(t *testing.T) {
	service := lambda.NewService(lambda.Deps{Log: zerolog.Nop(), Metrics: metrics.NewSet(), Config: func(context.Context) (aws.Config, error) {
		return aws.Config{BaseEndpoint: aws.String("ftp://example.com")}, nil
	}})
	for want, opts := range map[string]app.AWSLambdaOpts{
		"function_name":   {RegionID: "eu-central-1"},
		"region_id":       {FunctionName: "f"},
		"us-east-1":       {FunctionName: "arn:aws:lambda:us-east-1:123456789012:function:f", RegionID: "eu-central-1"},
		"AWS_ENDPOINT_UR": {FunctionName: "f", RegionID: "eu-central-1"},
	} {
		if _, err := service.New("a", opts, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", opts, err)
		}
	}
}
