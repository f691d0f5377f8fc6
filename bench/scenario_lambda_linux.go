package bench

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"

	"edgerouter/bench/load"
	"edgerouter/bench/peer"
	"edgerouter/internal/lambdaservice"
)

// sdkLabel is the proxy that edgerouter is set against.
const sdkLabel = "lambda-sdk"

func lambdaInvoke() *scenario {
	return &scenario{
		name: "lambda", title: "Lambda",
		about: "As small keep-alive, with 16 connections, and a Lambda function in the place of the peers: payload format 1.0, a service that checks " +
			"signatures and works for 1 ms (it sleeps, on the load's core). lambda-sdk is a minimal net/http proxy that makes the same event with " +
			"encoding/json and calls Invoke of aws-sdk-go-v2.",
		columns:  []string{"cpu_us", "rps", "p50_us", "p99_us", "rss_mb", "proxy_core", "load_core", "errors"},
		ratios:   []string{"cpu_us", "rps", "p50_us", "p99_us", "rss_mb"},
		open:     true,
		optional: true,
		takes:    func(proxy string) bool { return proxy == "edgerouter" },
		variants: func(p peer.Proxy) []peer.Proxy {
			e, ok := p.(peer.Edgerouter)
			if !ok {
				return nil
			}
			return []peer.Proxy{e, peer.Built{
				Label: sdkLabel, Self: []string{e.Binary, "bench"}, Sub: "proxy-lambda-sdk", Says: "net/http and aws-sdk-go-v2, " + runtime.Version(),
			}}
		},
		prepare: startLambdaService,
		job: func(o *Options, _ string, j *peer.Job) {
			j.LambdaRegion = lambdaservice.DefaultRegion
			j.Env = peer.LambdaEnv(o.lambda, lambdaservice.DefaultRegion, lambdaservice.AccessKeyID, lambdaservice.SecretAccessKey)
		},
		load: func(b *bed) load.Config {
			cfg := b.config(128)
			cfg.Connections = min(cfg.Connections, 16)
			return cfg
		},
	}
}

// startLambdaService serves a function that answers /b/N with N bytes after a
// millisecond.
func startLambdaService(o *Options) (stop func(), err error) {
	s, err := lambdaservice.Start(lambdaservice.Options{}, lambdaservice.Function{
		Name: peer.LambdaFunction, Timeout: time.Minute, Concurrency: 10000, Handler: benchFunction,
	})
	if err != nil {
		return nil, fmt.Errorf("start the Lambda service: %w", err)
	}
	o.lambda = s.URL
	return s.Close, nil
}

func benchFunction(ctx context.Context, payload []byte, out *lambdaservice.Output) error {
	work := time.NewTimer(time.Millisecond)
	defer work.Stop()
	select {
	case <-work.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	// Taking the event apart would be work of the load's core.
	size := 0
	if _, rest, ok := strings.Cut(string(payload), `"path":"/b/`); ok {
		digits, _, _ := strings.Cut(rest, `"`)
		size, _ = strconv.Atoi(digits)
	}
	_, err := fmt.Fprintf(out, `{"statusCode":200,"headers":{"Content-Type":"text/plain"},"body":"%s"}`, strings.Repeat("x", size))
	return err
}
