// Command lambda lets you try Lambda functions on your own machine: it starts a
// service that speaks the Lambda APIs, with example functions or programs of your
// own, and edgerouter in front of it.
//
//	go run ./examples/lambda
//	go run ./examples/lambda -function api=./bootstrap
//
// A program is what you would upload: anything that speaks the Lambda runtime
// API, such as a Go program that calls lambda.Start.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"edgerouter/cli"
	"edgerouter/internal/lambdaservice"
)

func main() {
	// The service starts this program again for each function.
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") != "" {
		runFunction(os.Getenv("AWS_LAMBDA_FUNCTION_NAME"))
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

// functions are the values of -function.
type functions []lambdaservice.Function

func (f *functions) String() string { return "" }

func (f *functions) Set(s string) error {
	name, command, ok := strings.Cut(s, "=")
	words := strings.Fields(command)
	if !ok || name == "" || len(words) == 0 {
		return errors.New("want NAME=PROGRAM")
	}
	*f = append(*f, lambdaservice.Function{Name: name, Command: words, Timeout: time.Minute})
	return nil
}

func run(ctx context.Context, args []string) int {
	flags := flag.NewFlagSet("lambda", flag.ContinueOnError)
	var own functions
	flags.Var(&own, "function", "a `NAME=PROGRAM` to add; may be given several times")
	listen := flags.String("listen", "127.0.0.1:9001", "`address` of the service")
	apps := flags.String("apps", "", "application definitions to serve `file or folder` (default those of this example)")
	only := flags.Bool("service-only", false, "start the service alone, for an edgerouter of yours")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	exe, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	service, err := lambdaservice.Start(lambdaservice.Options{Addr: *listen, Log: os.Stderr}, append(examples(exe), own...)...)
	if err != nil {
		fmt.Fprintln(os.Stderr, "starting the Lambda service:", err)
		return 1
	}
	defer service.Close()
	// What the AWS SDK reads: any program can use the service with these.
	variables := [][2]string{
		{"AWS_ENDPOINT_URL_LAMBDA", service.URL}, {"AWS_REGION", lambdaservice.DefaultRegion},
		{"AWS_ACCESS_KEY_ID", lambdaservice.AccessKeyID}, {"AWS_SECRET_ACCESS_KEY", lambdaservice.SecretAccessKey},
	}
	for _, v := range variables {
		if *only {
			fmt.Printf("export %s=%s\n", v[0], v[1])
		}
		os.Setenv(v[0], v[1])
	}
	if *only {
		<-ctx.Done()
		return 0
	}
	data, err := os.MkdirTemp("", "edgerouter-lambda-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(data)
	if *apps == "" {
		// The store is where serve looks for it.
		manifest, err := deploySite(ctx, filepath.Join(data, "turbocharger"))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		*apps = filepath.Join(data, "applications.json")
		if err := os.WriteFile(*apps, definitions(manifest), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Print(whatToTry)
	}
	return cli.Execute(ctx, []string{"serve", "--dev", "--data", data, "--apps", *apps}, os.Stdin, os.Stdout, os.Stderr)
}

const whatToTry = `
Functions behind edgerouter. Try:

  curl 'http://shop.localhost:8080/'                 a static site (Turbocharger), and on the same host ...
  curl 'http://shop.localhost:8080/api/orders?n=2'   ... a function, payload format 1.0
  curl 'http://v2.localhost:8080/hello?name=you'     payload format 2.0
  curl 'http://alb.localhost:8080/'                  as behind a load balancer
  curl -N 'http://stream.localhost:8080/?n=5'        a response that is streamed as it is written
  curl 'http://stream.localhost:8080/event'          the event that the function got
`
