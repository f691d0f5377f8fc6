package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"edgerouter/admin"
	"edgerouter/app"
	"edgerouter/lambda"
	"edgerouter/metrics"
)

// newLambda is what functions are called with; the AWS configuration is the one
// that the SDK finds (files, environment, the machine's role).
func newLambda(s settings, m *metrics.Set, log zerolog.Logger) *lambda.Service {
	memory, _ := lambdaMemory(s.lambdaMemory)
	return lambda.NewService(lambda.Deps{
		Log: log, Metrics: m, Memory: memory,
		Config: func(ctx context.Context) (aws.Config, error) { return config.LoadDefaultConfig(ctx) },
	})
}

// lambdaMemory reads --lambda-memory. Without it the budget is that of the
// package, and at most a quarter of what the process may have.
func lambdaMemory(s string) (int64, error) {
	if s != "" {
		n, err := app.ParseSize(s)
		if err != nil || n <= 0 {
			return 0, usagef("--lambda-memory %q: want a size such as 256MiB", s)
		}
		return int64(n), nil
	}
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		return min(limit/4, lambda.DefaultMemory), nil
	}
	return lambda.DefaultMemory, nil
}

func lambdaCommand() *cobra.Command {
	return group("lambda", "Lambda functions: definitions and events", lambdaMakeCommand(), lambdaEventCommand())
}

func lambdaMakeCommand() *cobra.Command {
	var (
		o           app.AWSLambdaOpts
		to          definitions
		dryRun      bool
		strip       bool
		plain       bool
		concurrency int
	)
	cmd := &cobra.Command{
		Use:   "mk ID HOST PATH FUNCTION REGION",
		Short: "Make the definition of an application that is a function",
		Long: `Makes the definition of an application whose requests go to a Lambda function, writes it into the event
log and prints it. With --to it is written into a file or folder of applications (file:PATH), or into a bucket
that nodes discover applications in (s3://REGION/BUCKET). It takes the place of one with the same id. With
--dry-run it is only printed.`,
		Example: `  edgerouter lambda mk shop-api shop.example.com /api shop-api eu-central-1 --payload-format 2.0
  edgerouter lambda mk shop-api shop.example.com /api shop-api eu-central-1 --to file:applications.json`,
		Args: arguments(cobra.ExactArgs(5)),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.FunctionName, o.RegionID, o.MaxConcurrency = args[3], args[4], concurrency
			frontend := app.Frontend{Kind: app.FrontendHostname, Hostname: args[1], PathPrefix: args[2], AllowInsecureHTTP: plain}
			if strip {
				frontend.StripPathPrefix = args[2]
			}
			a := app.Application{
				ID: args[0], Frontends: []app.Frontend{frontend},
				Backend: app.Backend{Kind: app.BackendAWSLambda, AWSLambda: &o},
			}
			if problems := a.Validate(); len(problems) > 0 {
				return usageError{problems[0]}
			}
			if _, err := lambda.PlaceOf(a.ID, o); err != nil {
				return usageError{err}
			}
			if !dryRun {
				if err := to.put(cmd, a); err != nil {
					return err
				}
			}
			return printJSON(cmd, a)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.PayloadFormatVersion, "payload-format", "", "form of the event: `1.0, 2.0 or alb` (default 1.0)")
	f.StringVar(&o.Qualifier, "qualifier", "", "`version or alias` of the function")
	f.StringVar(&o.InvokeMode, "invoke-mode", "", "`buffered or response_stream` (default buffered)")
	f.IntVar(&concurrency, "max-concurrency", 0, "`number` of invocations at one time; 0 is no limit")
	f.BoolVar(&strip, "strip-prefix", false, "take PATH off before the function sees the request")
	f.BoolVar(&plain, "allow-insecure-http", false, "serve plain HTTP instead of redirecting to https")
	f.BoolVar(&dryRun, "dry-run", false, "print it, and write nothing")
	to.addFlags(cmd)
	return cmd
}

func lambdaEventCommand() *cobra.Command {
	var (
		o       = app.AWSLambdaOpts{FunctionName: "function", RegionID: "eu-central-1"}
		id      string
		method  string
		headers []string
		data    string
		client  string
		strip   string
	)
	cmd := &cobra.Command{
		Use:   "event URL",
		Short: "Print the event that a request makes",
		Long: `Prints the event that a function gets for a request, in any of the formats. Nothing is sent. The
body is --data, or with @FILE what is in the file (@- is standard input).`,
		Example: `  edgerouter lambda event --payload-format 2.0 'https://example.com/a?b=c'
  edgerouter lambda event https://example.com/upload --method PUT --header 'Content-Type: image/png' --data @logo.png`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(lambda.Formats(), lambda.Format(o.PayloadFormatVersion)) {
				return usagef("--payload-format %q: want 1.0, 2.0 or alb", o.PayloadFormatVersion)
			}
			if data != "" && !cmd.Flags().Changed("method") {
				method = "POST"
			}
			q, err := admin.ParseQuestion(args[0], method, headers)
			if err != nil {
				return usageError{err}
			}
			ip, err := netip.ParseAddr(client)
			if err != nil {
				return usagef("--client-ip %q: want an address", client)
			}
			body, err := readData(cmd.InOrStdin(), data)
			if err != nil {
				return err
			}
			place, err := lambda.PlaceOf(id, o)
			if err != nil {
				return usageError{err}
			}
			r, err := requestOf(q, ip, strip, len(body))
			if err != nil {
				return usageError{err}
			}
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, lambda.Event(&place, r, body), "", "  "); err != nil {
				return err
			}
			pretty.WriteByte('\n')
			_, err = cmd.OutOrStdout().Write(pretty.Bytes())
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.PayloadFormatVersion, "payload-format", "1.0", "form of the event: `1.0, 2.0 or alb`")
	f.BoolVar(&o.ALBMultiValue, "alb-multi-value", false, "multi-value headers and query, with format alb")
	f.StringVar(&o.FunctionName, "function", o.FunctionName, "`name` or ARN of the function")
	f.StringVar(&o.RegionID, "region", o.RegionID, "`region` of the function")
	f.StringVar(&id, "id", "application", "`id` of the application")
	f.StringVar(&method, "method", "GET", "`method` of the request (POST when there is --data)")
	f.StringArrayVar(&headers, "header", nil, "a `NAME:VALUE` of the request; may be given several times")
	f.StringVar(&data, "data", "", "`body` of the request, or @FILE")
	f.StringVar(&client, "client-ip", "203.0.113.1", "`address` of the client")
	f.StringVar(&strip, "strip-prefix", "", "`path` that the frontend strips")
	return cmd
}

func readData(stdin io.Reader, data string) ([]byte, error) {
	path, isFile := strings.CutPrefix(data, "@")
	switch {
	case !isFile:
		return []byte(data), nil
	case path == "-":
		return io.ReadAll(stdin)
	}
	return os.ReadFile(path)
}

// requestOf makes the request that a client would send, with what this proxy
// adds to it.
func requestOf(q admin.Question, client netip.Addr, strip string, length int) (*lambda.Request, error) {
	full := q.URL.EscapedPath()
	if full == "" {
		full = "/"
	}
	path := full
	if strip = strings.TrimSuffix(strip, "/"); strip != "" {
		rest, ok := strings.CutPrefix(path, strip)
		if !ok || rest != "" && rest[0] != '/' {
			return nil, fmt.Errorf("--strip-prefix %q: the path %s is not below it", strip, path)
		}
		if path = rest; path == "" {
			path = "/"
		}
	}
	const id = "4c1f5b8c9d0e4f708192a3b4c5d6e7f8"
	r := &lambda.Request{
		Method: []byte(q.Method), Path: []byte(path), FullPath: []byte(full), Query: []byte(q.URL.RawQuery), Protocol: "HTTP/1.1",
		Host: []byte(q.URL.Host), SourceIP: client, RequestID: []byte(id), Time: time.Now(),
	}
	add := func(name, value string) {
		r.Fields = append(r.Fields, lambda.Field{Name: []byte(name), Value: []byte(value)})
	}
	add("Host", q.URL.Host)
	for _, h := range q.Headers {
		add(h.Name, h.Value)
	}
	if length > 0 {
		add("Content-Length", fmt.Sprint(length))
	}
	port := q.URL.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[q.URL.Scheme]
	}
	add("X-Forwarded-For", client.String())
	add("X-Forwarded-Proto", q.URL.Scheme)
	add("X-Forwarded-Host", q.URL.Host)
	if strip != "" {
		add("X-Forwarded-Prefix", strip)
	}
	add("X-Real-Ip", client.String())
	add("X-Request-Id", id)
	add("X-Amzn-Trace-Id", string(lambda.Trace(r)))
	add("X-Forwarded-Port", port)
	return r, nil
}
