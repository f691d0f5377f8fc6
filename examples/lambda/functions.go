package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdaurl"

	"edgerouter/internal/lambdaservice"
)

// examples are the functions of this program, which is started again for each.
func examples(exe string) (list []lambdaservice.Function) {
	for _, name := range []string{"orders", "greeter", "balanced", "ticker"} {
		list = append(list, lambdaservice.Function{Name: name, Command: []string{exe}, Timeout: time.Minute})
	}
	return list
}

func runFunction(name string) {
	switch name {
	case "orders":
		lambda.Start(orders)
	case "greeter":
		lambda.Start(greeter)
	case "balanced":
		lambda.Start(balanced)
	case "ticker":
		lambdaurl.Start(http.HandlerFunc(ticker))
	default:
		fmt.Fprintf(os.Stderr, "this program has no function %q\n", name)
		os.Exit(1)
	}
}

// orders is written for an API Gateway REST API.
func orders(_ context.Context, e events.APIGatewayProxyRequest) (events.APIGatewayProxyResponse, error) {
	n, _ := strconv.Atoi(e.QueryStringParameters["n"])
	list := make([]string, 0, min(max(n, 0), 100))
	for i := range cap(list) {
		list = append(list, fmt.Sprintf("order %d", i+1))
	}
	b, err := json.Marshal(map[string]any{"path": e.Path, "client": e.RequestContext.Identity.SourceIP, "orders": list})
	return events.APIGatewayProxyResponse{
		StatusCode: 200, Headers: map[string]string{"Content-Type": "application/json"}, Body: string(b) + "\n",
	}, err
}

// greeter is written for an HTTP API: what is no response is the body of one.
func greeter(_ context.Context, e events.APIGatewayV2HTTPRequest) (string, error) {
	name := e.QueryStringParameters["name"]
	if name == "" {
		name = "world"
	}
	return fmt.Sprintf("hello %s, this is %s\n", name, e.RawPath), nil
}

// balanced is written for an Application Load Balancer.
func balanced(_ context.Context, e events.ALBTargetGroupRequest) (events.ALBTargetGroupResponse, error) {
	return events.ALBTargetGroupResponse{
		StatusCode: 200, StatusDescription: "200 OK", Headers: map[string]string{"Content-Type": "text/plain"},
		Body: e.HTTPMethod + " " + e.Path + " from " + e.RequestContext.ELB.TargetGroupArn + "\n",
	}, nil
}

// ticker is an ordinary http.Handler, streamed as behind a function URL.
func ticker(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/event" {
		e, _ := lambdaurl.RequestFromContext(r.Context())
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(e)
		return
	}
	n, _ := strconv.Atoi(r.URL.Query().Get("n"))
	w.Header().Set("Content-Type", "text/event-stream")
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for i := range min(max(n, 3), 100) {
		fmt.Fprintf(w, "data: tick %d\n\n", i+1)
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}
