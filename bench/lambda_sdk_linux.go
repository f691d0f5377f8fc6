package bench

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"edgerouter/bench/peer"
)

// serveLambdaSDK is what one writes first: a handler that makes the event of
// format 1.0 with encoding/json, calls the SDK, and takes the payload apart. It
// is what edgerouter's Lambda backend is measured against.
func serveLambdaSDK(ctx context.Context, _ *builtinProxy, plain, secure net.Listener) error {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithHTTPClient(
		awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.MaxIdleConnsPerHost = 256 })))
	if err != nil {
		return err
	}
	client := lambda.NewFromConfig(cfg, func(o *lambda.Options) { o.Retryer = aws.NopRetryer{} })
	srv := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := invokeSDK(client, w, r); err != nil {
			http.Error(w, "bad gateway", http.StatusBadGateway)
		}
	})}
	return serveBoth(ctx, srv, plain, secure)
}

func invokeSDK(client *lambda.Client, w http.ResponseWriter, r *http.Request) error {
	event, err := sdkEvent(r)
	if err != nil {
		return err
	}
	payload, err := json.Marshal(event)
	if err != nil {
		return err
	}
	out, err := client.Invoke(r.Context(), &lambda.InvokeInput{FunctionName: aws.String(peer.LambdaFunction), Payload: payload})
	if err != nil {
		return err
	}
	if out.FunctionError != nil {
		return errors.New("the function failed")
	}
	var resp events.APIGatewayProxyResponse
	if err := json.Unmarshal(out.Payload, &resp); err != nil {
		return err
	}
	for k, v := range resp.Headers {
		w.Header().Set(k, v)
	}
	for k, list := range resp.MultiValueHeaders {
		for _, v := range list {
			w.Header().Add(k, v)
		}
	}
	body := []byte(resp.Body)
	if resp.IsBase64Encoded {
		if body, err = base64.StdEncoding.DecodeString(resp.Body); err != nil {
			return err
		}
	}
	w.WriteHeader(resp.StatusCode)
	_, err = w.Write(body)
	return err
}

// sdkEvent has the fields of edgerouter's.
func sdkEvent(r *http.Request) (*events.APIGatewayProxyRequest, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	client, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Host", r.Host)
	r.Header.Set("X-Forwarded-For", client)
	r.Header.Set("X-Forwarded-Proto", "http")
	r.Header.Set("X-Forwarded-Host", r.Host)
	r.Header.Set("X-Forwarded-Port", "80")
	last, all := map[string]string{}, map[string][]string{}
	for k, v := range r.Header {
		last[k], all[k] = v[len(v)-1], v
	}
	lastQuery, allQuery := map[string]string{}, map[string][]string(r.URL.Query())
	for k, v := range allQuery {
		lastQuery[k] = v[len(v)-1]
	}
	now := time.Now()
	return &events.APIGatewayProxyRequest{
		Resource: "/{proxy+}", Path: r.URL.EscapedPath(), HTTPMethod: r.Method, Headers: last, MultiValueHeaders: all,
		QueryStringParameters: lastQuery, MultiValueQueryStringParameters: allQuery,
		PathParameters: map[string]string{"proxy": r.URL.EscapedPath()[1:]},
		RequestContext: events.APIGatewayProxyRequestContext{
			AccountID: "000000000000", APIID: "bench", ResourceID: "bench", ResourcePath: "/{proxy+}", Path: r.URL.EscapedPath(), HTTPMethod: r.Method,
			Stage: "$default", DomainName: r.Host, DomainPrefix: "bench", RequestID: now.Format(time.RFC3339Nano), ExtendedRequestID: "-", Protocol: r.Proto,
			RequestTime: now.UTC().Format("02/Jan/2006:15:04:05 -0700"), RequestTimeEpoch: now.UnixMilli(),
			Identity: events.APIGatewayRequestIdentity{SourceIP: client, UserAgent: r.UserAgent()},
		},
		Body: string(body),
	}, nil
}
