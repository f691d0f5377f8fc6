package lambda_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	awsgo "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"edgerouter/app"
	"edgerouter/internal/lambdaservice"
	"edgerouter/internal/testkit"
)

const integration = "application/vnd.awslambda.http-integration-response"

const prelude = `{"statusCode":202,"headers":{"Content-Type":"text/event-stream","X-One":"1"},"cookies":["a=b"]}` + "\x00\x00\x00\x00\x00\x00\x00\x00"

func streaming(name, contentType string, f func(ctx context.Context, out *lambdaservice.Output) error) lambdaservice.Function {
	return lambdaservice.Function{Name: name, Timeout: time.Minute, Handler: func(ctx context.Context, _ []byte, out *lambdaservice.Output) error {
		out.ContentType(contentType)
		return f(ctx, out)
	}}
}

var streamed = map[string]app.AWSLambdaOpts{"s": {FunctionName: "f", InvokeMode: "response_stream"}}

// TestStreamComesAsItIsWritten has the function wait until the client has what it
// wrote before.
func TestStreamComesAsItIsWritten(t *testing.T) {
	for _, plain := range []bool{true, false} {
		got := make(chan struct{})
		b := newBed(t, options{direct: true, service: lambdaservice.Options{PlainContentType: plain}}, []lambdaservice.Function{
			streaming("f", integration, func(ctx context.Context, out *lambdaservice.Output) error {
				io.WriteString(out, prelude[:20])
				io.WriteString(out, prelude[20:])
				for i := range 5 {
					select {
					case <-got:
					case <-ctx.Done():
						return ctx.Err()
					}
					fmt.Fprintf(out, "data: %d\n", i)
				}
				return nil
			}),
		}, streamed)
		resp, err := b.client.Get("http://" + b.addr + "/s/")
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != 202 || resp.Header.Get("X-One") != "1" || resp.Header.Get("Set-Cookie") != "a=b" || resp.Header.Get("Content-Type") != "text/event-stream" {
			t.Errorf("%d %v", resp.StatusCode, resp.Header)
		}
		r := bufio.NewReader(resp.Body)
		for i := range 5 {
			got <- struct{}{}
			if line, err := r.ReadString('\n'); err != nil || line != fmt.Sprintf("data: %d\n", i) {
				t.Fatalf("%q, %v", line, err)
			}
		}
		if _, err := r.ReadByte(); err != io.EOF {
			t.Error(err)
		}
		resp.Body.Close()
	}
}

// TestStreamBreaks has streams end badly before and after their head.
func TestStreamBreaks(t *testing.T) {
	var step atomic.Value
	var cut atomic.Int64
	f := streaming("f", integration, func(_ context.Context, out *lambdaservice.Output) error {
		for _, s := range step.Load().([]string) {
			if s == "fail" {
				return &lambdaservice.Failure{Code: "Unhandled", Payload: []byte(`{"errorMessage":"secret"}`)}
			}
			io.WriteString(out, s)
		}
		return nil
	})
	f.Fault = func(int) lambdaservice.Fault { return lambdaservice.Fault{CutAfter: int(cut.Load())} }
	b := newBed(t, options{direct: true}, []lambdaservice.Function{f}, streamed)
	for _, c := range []struct {
		name   string
		steps  []string
		cut    int64
		status int // 0: 202 and then the connection breaks
	}{
		{"fails at once", []string{"fail"}, 0, 502},
		{"fails in the prelude", []string{prelude[:10], "fail"}, 0, 502},
		{"fails after the head", []string{prelude, "body", "fail"}, 0, 0},
		{"ends in the prelude", []string{prelude[:10]}, 0, 502},
		{"no prelude", []string{"<html>", "\x00\x00"}, 0, 502},
		{"prelude without end", []string{`{"a":"` + strings.Repeat("x", 20<<10)}, 0, 502},
		{"cut in the first message", []string{prelude, "body"}, 30, 502},
		{"cut in the second message", []string{prelude, strings.Repeat("body", 1000)}, 2000, 0},
		{"cut before the end", []string{prelude, "body"}, int64(len(prelude)+100) + 130, 0},
		{"status 999", []string{`{"statusCode":999}` + prelude[len(prelude)-8:]}, 0, 502},
	} {
		t.Run(c.name, func(t *testing.T) {
			step.Store(c.steps)
			cut.Store(c.cut)
			req, _ := http.NewRequest("POST", "http://"+b.addr+"/s/", strings.NewReader("x"))
			resp, err := b.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if strings.Contains(string(body), "secret") {
				t.Errorf("%q", body)
			}
			switch {
			case c.status != 0 && (resp.StatusCode != c.status || err != nil):
				t.Errorf("%d, %v", resp.StatusCode, err)
			case c.status == 0 && (resp.StatusCode != 202 || err == nil):
				t.Errorf("%d with a clean end: %q", resp.StatusCode, body)
			}
			cut.Store(0)
			step.Store([]string{prelude, "good"})
			if resp, body := b.do("POST", "/s/", "x"); resp.StatusCode != 202 || body != "good" {
				t.Fatalf("the request after it: %d %q", resp.StatusCode, body)
			}
		})
	}
	if n := b.metric("er_lambda_broken_streams_total", "s"); n != "3" {
		t.Errorf("%s broken streams were counted", n)
	}
}

// TestRawStream has a stream without a prelude.
func TestRawStream(t *testing.T) {
	b := newBed(t, options{direct: true}, []lambdaservice.Function{
		streaming("f", "text/html", func(_ context.Context, out *lambdaservice.Output) error {
			_, err := io.WriteString(out, "<p>")
			return err
		}),
	}, streamed)
	if resp, body := b.do("GET", "/s/", ""); resp.StatusCode != 200 || body != "<p>" || resp.Header.Get("Content-Type") != "text/html" {
		t.Errorf("%d %v %s", resp.StatusCode, resp.Header, body)
	}
	if resp, body := b.do("HEAD", "/s/", ""); resp.StatusCode != 200 || body != "" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

// TestLargeStream passes 200 MB through, with less than 20 MB of memory.
func TestLargeStream(t *testing.T) {
	testkit.Long(t)
	const size = 200 << 20
	piece := make([]byte, 64<<10)
	b := newBed(t, options{direct: true}, []lambdaservice.Function{
		streaming("f", "application/octet-stream", func(_ context.Context, out *lambdaservice.Output) error {
			for range size / len(piece) {
				if _, err := out.Write(piece); err != nil {
					return err
				}
			}
			return nil
		}),
	}, streamed)
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	base, peak := m.HeapInuse, uint64(0)
	resp, err := b.client.Get("http://" + b.addr + "/s/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	total, buf := 0, make([]byte, 256<<10)
	for next := 0; ; {
		n, err := resp.Body.Read(buf)
		total += n
		if total >= next {
			next += 10 << 20
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapInuse)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if grown := int64(peak) - int64(base); total != size || grown > 20<<20 {
		t.Errorf("%d bytes, %d KiB more heap, the service's own included", total, grown>>10)
	} else {
		t.Logf("200 MB with %d KiB more heap, the service's own included", grown>>10)
	}
}

// TestServiceSpeaksTheSDKsLanguage calls the test service with the SDK's own
// client.
func TestServiceSpeaksTheSDKsLanguage(t *testing.T) {
	s, err := lambdaservice.Start(lambdaservice.Options{},
		inline("echo", func(p []byte) string { return string(p) }),
		lambdaservice.Function{Name: "fail", Handler: func(context.Context, []byte, *lambdaservice.Output) error {
			return &lambdaservice.Failure{Code: "Unhandled", Payload: []byte(`{"errorMessage":"boom"}`)}
		}},
		lambdaservice.Function{Name: "throttled", Fault: func(int) lambdaservice.Fault {
			return lambdaservice.Fault{Status: 429, Type: "TooManyRequestsException"}
		}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	client := awslambda.New(awslambda.Options{
		BaseEndpoint: &s.URL, Region: lambdaservice.DefaultRegion, Retryer: awsgo.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(lambdaservice.AccessKeyID, lambdaservice.SecretAccessKey, ""),
	})
	ctx := context.Background()
	out, err := client.Invoke(ctx, &awslambda.InvokeInput{FunctionName: awsgo.String("echo"), Payload: []byte(`{"a":1}`), LogType: types.LogTypeTail})
	if err != nil || string(out.Payload) != `{"a":1}` || out.LogResult == nil {
		t.Fatalf("%+v, %v", out, err)
	}
	out, err = client.Invoke(ctx, &awslambda.InvokeInput{FunctionName: awsgo.String("fail"), Payload: []byte(`{}`)})
	if err != nil || awsgo.ToString(out.FunctionError) != "Unhandled" || string(out.Payload) != `{"errorMessage":"boom"}` {
		t.Fatalf("%+v, %v", out, err)
	}
	if _, err = client.Invoke(ctx, &awslambda.InvokeInput{FunctionName: awsgo.String("throttled"), Payload: []byte(`{}`)}); err == nil || !strings.Contains(err.Error(), "TooManyRequestsException") {
		t.Fatal(err)
	}
	st, err := client.InvokeWithResponseStream(ctx, &awslambda.InvokeWithResponseStreamInput{FunctionName: awsgo.String("echo"), Payload: []byte(`{"b":2}`)})
	if err != nil {
		t.Fatal(err)
	}
	stream := st.GetStream()
	defer stream.Close()
	var text []byte
	complete := false
	for e := range stream.Events() {
		switch e := e.(type) {
		case *types.InvokeWithResponseStreamResponseEventMemberPayloadChunk:
			text = append(text, e.Value.Payload...)
		case *types.InvokeWithResponseStreamResponseEventMemberInvokeComplete:
			complete = e.Value.ErrorCode == nil
		}
	}
	if !json.Valid(text) || string(text) != `{"b":2}` || !complete || stream.Err() != nil {
		t.Errorf("%q, %v, %v", text, complete, stream.Err())
	}
}

// TestFirstByte measures from the function's first write to the client's first
// byte. On a machine that does other things the best of some tries is what the
// code takes.
func TestFirstByte(t *testing.T) {
	testkit.Long(t)
	wrote := make(chan time.Time, 1)
	b := newBed(t, options{direct: true}, []lambdaservice.Function{
		streaming("f", integration, func(_ context.Context, out *lambdaservice.Output) error {
			wrote <- time.Now()
			_, err := io.WriteString(out, prelude+"data: first\n\n")
			return err
		}),
	}, streamed)
	var took []time.Duration
	for range 20 {
		resp, err := b.client.Get("http://" + b.addr + "/s/")
		if err != nil {
			t.Fatal(err)
		}
		var first [1]byte
		if _, err := io.ReadFull(resp.Body, first[:]); err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(<-wrote))
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	slices.Sort(took)
	t.Logf("first byte after %v at best, %v in the middle, %v at worst", took[0], took[len(took)/2], took[len(took)-1])
	if took[0] > 5*time.Millisecond {
		t.Errorf("the first byte took %v", took[0])
	}
}
