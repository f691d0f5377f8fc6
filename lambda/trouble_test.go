package lambda_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"edgerouter/app"
	"edgerouter/internal/lambdaservice"
)

const ok = `{"statusCode":200,"body":"fine"}`

func opts(function string) map[string]app.AWSLambdaOpts {
	return map[string]app.AWSLambdaOpts{"a": {FunctionName: function}}
}

// TestPayloads sends broken payloads, each between two good ones.
func TestPayloads(t *testing.T) {
	var payload atomic.Value
	payload.Store(ok)
	b := newBed(t, options{direct: true}, []lambdaservice.Function{inline("f", func([]byte) string { return payload.Load().(string) })}, opts("f"))
	for _, p := range []string{
		``, `hello`, `[]`, `"x"`, `null`, `{}`, `{"statusCode":0}`, `{"statusCode":999}`, `{"statusCode":true}`, `{"statusCode":200,"body":{}}`,
		`{"statusCode":200,"headers":{"a b":"secret"}}`, `{"statusCode":200,"headers":{"a\r\nX-Evil":"secret"}}`,
		`{"statusCode":200,"headers":{"a":"secret\r\nX-Evil: 1"}}`, `{"statusCode":200,"isBase64Encoded":true,"body":"***secret"}`,
		`{"statusCode":200,"body":"secret`, strings.Repeat(" ", 6<<20), `{"statusCode":200,"body":"` + strings.Repeat("x", 6291556) + `"}`,
	} {
		payload.Store(p)
		resp, body := b.do("POST", "/a/x", "{}")
		if resp.StatusCode != 502 || strings.Contains(body, "secret") || resp.Header.Get("X-Evil") != "" {
			t.Errorf("%.80q: %d %v %s", p, resp.StatusCode, resp.Header, body)
		}
		payload.Store(ok)
		if resp, body := b.do("POST", "/a/x", "{}"); resp.StatusCode != 200 || body != "fine" {
			t.Fatalf("the request after %.80q: %d %s", p, resp.StatusCode, body)
		}
	}
}

// TestRefused goes through the table of what the API may answer.
func TestRefused(t *testing.T) {
	var fault atomic.Value
	fault.Store(lambdaservice.Fault{})
	f := inline("f", func([]byte) string { return ok })
	f.Fault = func(int) lambdaservice.Fault { return fault.Load().(lambdaservice.Fault) }
	b := newBed(t, options{direct: true}, []lambdaservice.Function{f}, map[string]app.AWSLambdaOpts{
		"a": {FunctionName: "f"}, "s": {FunctionName: "f", InvokeMode: "response_stream"}, "none": {FunctionName: "unknown"},
	})
	for _, c := range []struct {
		fault lambdaservice.Fault
		want  int
		calls int // of the API, for a POST
		log   string
	}{
		{lambdaservice.Fault{Status: 429, Type: "TooManyRequestsException", Message: "words of the API"}, 503, 3, "max_concurrency"},
		{lambdaservice.Fault{Status: 413, Type: "RequestTooLargeException"}, 413, 1, ""},
		{lambdaservice.Fault{Status: 502, Type: "ResourceNotReadyException"}, 503, 1, "not ready"},
		{lambdaservice.Fault{Status: 409, Type: "SnapStartNotReadyException"}, 503, 1, "not ready"},
		{lambdaservice.Fault{Status: 502, Type: "ENILimitReachedException"}, 503, 1, "not ready"},
		{lambdaservice.Fault{Status: 403, Type: "EFSMountFailureException"}, 503, 1, "not ready"},
		{lambdaservice.Fault{Status: 502, Type: "EC2ThrottledException"}, 503, 1, "not ready"},
		{lambdaservice.Fault{Status: 403, Type: "AccessDeniedException", Message: "words of the API"}, 502, 1, "lambda:InvokeFunction"},
		{lambdaservice.Fault{Status: 403, Type: "ExpiredTokenException"}, 502, 3, "expired"},
		{lambdaservice.Fault{Status: 500, Type: "ServiceException"}, 502, 1, "may have run"},
		{lambdaservice.Fault{Raw: []byte("HTTP/1.1 banana\r\n\r\n")}, 502, 1, "malformed"},
		{lambdaservice.Fault{Raw: []byte("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"statusCode\":200")}, 502, 1, ""},
		{lambdaservice.Fault{Raw: []byte("HTTP/1.1 200 OK\r\nContent-Length: 7000000\r\n\r\n{")}, 502, 1, ""},
	} {
		for _, id := range []string{"a", "s"} {
			t.Run(fmt.Sprint(id, c.fault.Status, c.fault.Type, len(c.fault.Raw)), func(t *testing.T) {
				fault.Store(c.fault)
				defer fault.Store(lambdaservice.Fault{})
				before, runs, logged := b.service.Calls("f"), b.service.Runs("f"), len(b.log.String())
				resp, body := b.do("POST", "/"+id+"/", "x")
				if resp.StatusCode != c.want || strings.Contains(body, "words") {
					t.Errorf("%d %s", resp.StatusCode, body)
				}
				if n := b.service.Calls("f") - before; n != c.calls {
					t.Errorf("%d calls", n)
				}
				if b.service.Runs("f") != runs {
					t.Error("it ran")
				}
				if c.want == 503 && resp.Header.Get("Retry-After") == "" {
					t.Error("no Retry-After")
				}
				if line := b.log.String()[logged:]; !strings.Contains(line, c.log) || c.log != "" && (!strings.Contains(line, `"function":"f"`) || !strings.Contains(line, `"region":"eu-central-1"`)) {
					t.Errorf("log: %s", line)
				}
			})
		}
	}
	if b.metric("er_lambda_throttles_total", "a") == "0" {
		t.Error("no throttles were counted")
	}
	t.Run("unknown", func(t *testing.T) {
		if resp, _ := b.do("GET", "/none/", ""); resp.StatusCode != 502 || !strings.Contains(b.log.String(), "function_name") {
			t.Errorf("%d, log %s", resp.StatusCode, b.log)
		}
	})
}

// TestCredentials has the service refuse what it does not know.
func TestWrongCredentials(t *testing.T) {
	for name, creds := range map[string]aws.Credentials{
		"unknown key":  {AccessKeyID: "AKIDOTHER", SecretAccessKey: lambdaservice.SecretAccessKey},
		"wrong secret": {AccessKeyID: lambdaservice.AccessKeyID, SecretAccessKey: "wrong"},
		"expired":      {AccessKeyID: lambdaservice.AccessKeyID, SecretAccessKey: lambdaservice.SecretAccessKey, SessionToken: "old"},
	} {
		b := newBed(t, options{direct: true, credentials: creds}, []lambdaservice.Function{inline("f", func([]byte) string { return ok })}, opts("f"))
		resp, _ := b.do("POST", "/a/", "x")
		if resp.StatusCode != 502 || b.service.Runs("f") != 0 || !strings.Contains(b.log.String(), "credentials") {
			t.Errorf("%s: %d, %d runs, log %s", name, resp.StatusCode, b.service.Runs("f"), b.log)
		}
		if strings.Contains(b.log.String(), creds.SecretAccessKey) || creds.SessionToken != "" && strings.Contains(b.log.String(), `"`+creds.SessionToken) {
			t.Errorf("%s: a secret is in the log", name)
		}
	}
}

// TestRunsOnce lets connections be reset and requests be throttled: the function's
// own counter tells how often it ran.
func TestRunsOnce(t *testing.T) {
	var faults sync.Map // what happens to the n-th call
	var calls atomic.Int64
	f := inline("f", func([]byte) string { return ok })
	f.Fault = func(int) lambdaservice.Fault {
		if v, found := faults.Load(calls.Add(1)); found {
			return v.(lambdaservice.Fault)
		}
		return lambdaservice.Fault{}
	}
	b := newBed(t, options{direct: true}, []lambdaservice.Function{f}, opts("f"))
	throttled := lambdaservice.Fault{Status: 429, Type: "TooManyRequestsException"}
	for _, c := range []struct {
		name   string
		method string
		faults []lambdaservice.Fault
		status int
		runs   int
	}{
		{"throttled twice", "POST", []lambdaservice.Fault{throttled, throttled}, 200, 1},
		{"throttled always", "POST", []lambdaservice.Fault{throttled, throttled, throttled}, 503, 0},
		{"reset before it ran", "POST", []lambdaservice.Fault{{ResetBefore: true}}, 502, 0},
		{"reset after it ran", "POST", []lambdaservice.Fault{{ResetAfter: true}}, 502, 1},
		{"PATCH reset after it ran", "PATCH", []lambdaservice.Fault{{ResetAfter: true}}, 502, 1},
		{"throttled, then reset", "POST", []lambdaservice.Fault{throttled, {ResetAfter: true}}, 502, 1},
		{"GET is repeated", "GET", []lambdaservice.Fault{{ResetBefore: true}}, 200, 1},
		{"GET that ran is repeated", "GET", []lambdaservice.Fault{{ResetAfter: true}}, 200, 2},
		{"internal error of the service, GET", "GET", []lambdaservice.Fault{{Status: 500, Type: "ServiceException"}}, 200, 1},
		{"internal error of the service, POST", "POST", []lambdaservice.Fault{{Status: 500, Type: "ServiceException"}}, 502, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			// A connection that was used before is the harder case.
			if resp, _ := b.do("GET", "/a/", ""); resp.StatusCode != 200 {
				t.Fatal(resp.Status)
			}
			n := calls.Load()
			for i, fault := range c.faults {
				faults.Store(n+1+int64(i), fault)
			}
			before := b.service.Runs("f")
			resp, body := b.do(c.method, "/a/", "")
			if resp.StatusCode != c.status || b.service.Runs("f")-before != c.runs {
				t.Errorf("%d %s, ran %d times", resp.StatusCode, body, b.service.Runs("f")-before)
			}
		})
	}
}

// TestClosedWhileIdle lets the API close kept connections: a POST still runs, and
// once.
func TestClosedWhileIdle(t *testing.T) {
	var accepted atomic.Int32
	closed := make(chan struct{}, 1)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			// One request a connection, although the answer says nothing of it.
			if req, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				io.Copy(io.Discard, req.Body)
				fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(ok), ok)
			}
			c.Close()
			closed <- struct{}{}
		}
	}()
	b := newBed(t, options{direct: true, endpoint: "http://" + ln.Addr().String()}, nil, opts("f"))
	for i := range 20 {
		if resp, body := b.do("POST", "/a/", "x"); resp.StatusCode != 200 {
			t.Fatalf("request %d: %d %s, log %s", i, resp.StatusCode, body, b.log)
		}
		<-closed
	}
	if n := accepted.Load(); n != 20 {
		t.Errorf("%d connections", n)
	}
}

// TestHang has an endpoint that never answers.
func TestHang(t *testing.T) {
	f := inline("f", func([]byte) string { return ok })
	f.Fault = func(int) lambdaservice.Fault { return lambdaservice.Fault{Hang: true} }
	b := newBed(t, options{direct: true}, []lambdaservice.Function{f}, map[string]app.AWSLambdaOpts{
		"a": {FunctionName: "f", Timeout: app.Duration(150 * time.Millisecond)},
		"s": {FunctionName: "f", Timeout: app.Duration(150 * time.Millisecond), InvokeMode: "response_stream"},
	})
	for _, id := range []string{"a", "s"} {
		began := time.Now()
		resp, _ := b.do("GET", "/"+id+"/", "")
		if took := time.Since(began); resp.StatusCode != 504 || took > 5*time.Second {
			t.Errorf("%s: %d after %v", id, resp.StatusCode, took)
		}
	}
	if n := b.service.Calls("f"); n != 2 {
		t.Errorf("%d calls: what timed out was tried again", n)
	}
}

func TestFunctionTimesOut(t *testing.T) {
	f := lambdaservice.Function{Name: "f", Timeout: 50 * time.Millisecond, Handler: func(ctx context.Context, _ []byte, _ *lambdaservice.Output) error {
		<-ctx.Done()
		return ctx.Err()
	}}
	b := newBed(t, options{direct: true}, []lambdaservice.Function{f}, map[string]app.AWSLambdaOpts{
		"a": {FunctionName: "f"}, "s": {FunctionName: "f", InvokeMode: "response_stream"},
	})
	for _, id := range []string{"a", "s"} {
		if resp, body := b.do("GET", "/"+id+"/", ""); resp.StatusCode != 504 || strings.Contains(body, "Task") {
			t.Errorf("%s: %d %s", id, resp.StatusCode, body)
		}
	}
}

// TestClientLeaves counts that a place is free again at once.
func TestClientLeaves(t *testing.T) {
	entered, release := make(chan struct{}, 10), make(chan struct{})
	f := lambdaservice.Function{Name: "f", Timeout: patience, Handler: func(_ context.Context, _ []byte, out *lambdaservice.Output) error {
		entered <- struct{}{}
		<-release
		_, err := io.WriteString(out, ok)
		return err
	}}
	b := newBed(t, options{direct: true}, []lambdaservice.Function{f}, map[string]app.AWSLambdaOpts{
		"a": {FunctionName: "f", MaxConcurrency: 1}, "s": {FunctionName: "f", InvokeMode: "response_stream", MaxConcurrency: 1},
	})
	for _, id := range []string{"a", "s"} {
		c, err := net.Dial("tcp", b.addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "POST /%s/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", id)
		<-entered
		waiting, err := net.Dial("tcp", b.addr)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(waiting, "POST /%s/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", id)
		eventually(t, "the second waits", func() bool { return b.metric("er_lambda_waiting", id) == "1" })
		waiting.Close()
		eventually(t, "the second has left the queue", func() bool { return b.metric("er_lambda_waiting", id) == "0" })
		c.Close()
		began := time.Now()
		eventually(t, "nothing is in flight", func() bool { return b.metric("er_lambda_in_flight", id) == "0" })
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("%s: after %v", id, took)
		}
		eventually(t, "both are counted", func() bool { return b.metric("er_lambda_canceled_total", id) == "2" })
	}
	close(release)
	if resp, _ := b.do("GET", "/a/", ""); resp.StatusCode != 200 {
		t.Error(resp.Status)
	}
}

// TestConcurrency never lets more in than max_concurrency; the queue is bounded.
func TestConcurrency(t *testing.T) {
	var now, most atomic.Int64
	release := make(chan struct{})
	f := lambdaservice.Function{Name: "f", Timeout: patience, Handler: func(_ context.Context, _ []byte, out *lambdaservice.Output) error {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-release
		now.Add(-1)
		_, err := io.WriteString(out, ok)
		return err
	}}
	b := newBed(t, options{direct: true}, []lambdaservice.Function{f}, map[string]app.AWSLambdaOpts{"a": {FunctionName: "f", MaxConcurrency: 2}})
	const clients = 2 + 64 + 10
	var wg sync.WaitGroup
	var good, refused atomic.Int64
	for range clients {
		wg.Go(func() {
			resp, err := b.client.Get("http://" + b.addr + "/a/")
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
			switch {
			case resp.StatusCode == 200:
				good.Add(1)
			case resp.StatusCode == 503 && resp.Header.Get("Retry-After") != "":
				refused.Add(1)
			default:
				t.Error(resp.Status)
			}
		})
	}
	eventually(t, "ten are refused", func() bool { return refused.Load() == 10 })
	eventually(t, "two are in", func() bool { return now.Load() == 2 })
	close(release)
	wg.Wait()
	if most.Load() != 2 || good.Load() != 66 {
		t.Errorf("%d at a time, %d answered", most.Load(), good.Load())
	}
}

// TestFlood sends many requests of the largest size into a small budget: some are
// answered, the others get 503, and the heap stays bounded.
func TestFlood(t *testing.T) {
	const budget = 40 << 20
	f := inline("f", func(payload []byte) string { return ok })
	b := newBed(t, options{direct: true, memory: budget}, []lambdaservice.Function{f}, opts("f"))
	body := strings.Repeat("\x00\xff\xfe", 4500000/3)
	var wg sync.WaitGroup
	var good, refused atomic.Int64
	var peak atomic.Int64
	for range 40 {
		wg.Go(func() {
			resp, err := b.client.Post("http://"+b.addr+"/a/", "image/png", strings.NewReader(body))
			if err != nil {
				// The answer came while the body was on its way.
				refused.Add(1)
				return
			}
			resp.Body.Close()
			switch resp.StatusCode {
			case 200:
				good.Add(1)
			case 503:
				refused.Add(1)
			default:
				t.Error(resp.Status)
			}
			if n := b.lambda.Memory().Used(); n > peak.Load() {
				peak.Store(n)
			}
		})
	}
	wg.Wait()
	if good.Load() == 0 || refused.Load() == 0 || peak.Load() > budget {
		t.Errorf("%d answered, %d refused, at most %d bytes", good.Load(), refused.Load(), peak.Load())
	}
	if resp, _ := b.do("POST", "/a/", "x"); resp.StatusCode != 200 {
		t.Errorf("after the flood: %s", resp.Status)
	}
	t.Logf("%d answered, %d refused", good.Load(), refused.Load())
}

func TestTooLarge(t *testing.T) {
	b := newBed(t, options{direct: true}, []lambdaservice.Function{inline("f", func([]byte) string { return ok })}, opts("f"))
	for name, c := range map[string]struct {
		size        int
		contentType string
		chunked     bool
		want        int
	}{
		"text that fits":             {6200000, "text/plain", false, 200},
		"text that does not":         {6291556, "text/plain", false, 413},
		"binary that fits":           {4700000, "image/png", false, 200},
		"binary that does not":       {4800000, "image/png", false, 413},
		"chunked binary":             {4800000, "image/png", true, 413},
		"chunked binary that fits":   {4700000, "image/png", true, 200},
		"chunked text far too large": {8 << 20, "text/plain", true, 413},
		"large":                      {100 << 20, "text/plain", false, 413},
	} {
		t.Run(name, func(t *testing.T) {
			before := b.service.Calls("f")
			var body io.Reader = &zeros{c.size}
			req, _ := http.NewRequest("POST", "http://"+b.addr+"/a/", body)
			req.Header.Set("Content-Type", c.contentType)
			req.Header.Set("Expect", "100-continue")
			if !c.chunked {
				req.ContentLength = int64(c.size)
			}
			resp, err := b.client.Do(req)
			if err != nil {
				if c.want == 413 && !errors.Is(err, io.EOF) {
					return // it was still sending when the answer came
				}
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != c.want {
				t.Error(resp.Status)
			}
			if n := b.service.Calls("f") - before; (n == 1) != (c.want == 200) {
				t.Errorf("%d calls", n)
			}
		})
	}
}

// zeros is so many bytes of "0".
type zeros struct{ left int }

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), z.left)
	for i := range p[:n] {
		p[i] = '0'
	}
	z.left -= n
	return n, nil
}

// TestLeavesNothing looks for goroutines that are left.
func TestLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("use", func(t *testing.T) {
		b := newBed(t, options{direct: true}, []lambdaservice.Function{inline("f", func([]byte) string { return ok })}, map[string]app.AWSLambdaOpts{
			"a": {FunctionName: "f"}, "s": {FunctionName: "f", InvokeMode: "response_stream"},
		})
		for range 5 {
			b.do("GET", "/a/", "")
			b.do("GET", "/s/", "")
		}
	})
	eventually(t, "the goroutines have ended", func() bool { return runtime.NumGoroutine() <= before })
}

// TestEventAsSeen compares what a function gets with the request, over a socket.
func TestEventAsSeen(t *testing.T) {
	b := newBed(t, options{direct: true}, []lambdaservice.Function{inline("f", func(payload []byte) string {
		text, _ := json.Marshal(string(payload))
		return `{"statusCode":200,"body":` + string(text) + `}`
	})}, opts("f"))
	_, body := b.do("GET", "/a/x?y=1", "", "traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	var e struct {
		Path    string
		Headers map[string]string
		Request struct{ Path, RequestID string } `json:"requestContext"`
	}
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		t.Fatal(err)
	}
	if e.Path != "/x" || e.Request.Path != "/a/x" || e.Headers["X-Forwarded-Prefix"] != "/a" || e.Headers["X-Forwarded-For"] != "127.0.0.1" ||
		e.Headers["X-Forwarded-Proto"] != "http" || e.Headers["X-Forwarded-Port"] == "" || e.Headers["Host"] != b.addr ||
		e.Headers["X-Request-Id"] != e.Request.RequestID || e.Headers["X-Amzn-Trace-Id"] != "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled=1" {
		t.Errorf("%s", body)
	}
}
