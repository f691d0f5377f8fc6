package lambdaservice

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
)

// maxPayload is the limit of requests and of buffered answers.
const maxPayload = 6291556

func (s *Service) api() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /2015-03-31/functions/{name}/invocations", func(w http.ResponseWriter, r *http.Request) { s.invoke(w, r, false) })
	mux.HandleFunc("POST /2021-11-15/functions/{name}/response-streaming-invocations", func(w http.ResponseWriter, r *http.Request) { s.invoke(w, r, true) })
	return mux
}

// invocation is one call of a function.
type invocation struct {
	id      string
	arn     string
	trace   string
	payload []byte
	logs    *tail
	cold    bool
	began   time.Time
}

func (s *Service) invoke(w http.ResponseWriter, r *http.Request, streamed bool) {
	payload, err := io.ReadAll(io.LimitReader(r.Body, maxPayload+1))
	if err != nil {
		return // the client left
	}
	if r.ContentLength >= 0 {
		r.Header.Set("Content-Length", fmt.Sprint(r.ContentLength))
	}
	if e := s.check(r, payload); e != nil {
		refuse(w, e)
		return
	}
	name := functionOf(r.PathValue("name"))
	f := s.function(name)
	if f == nil {
		refuse(w, &refusal{404, "ResourceNotFoundException", "Function not found: " + arn(name)})
		return
	}
	n := int(f.calls.Add(1))
	var fault Fault
	if f.Fault != nil {
		fault = f.Fault(n)
	}
	if !misbehave(w, r, fault) {
		return
	}
	switch {
	case len(payload) > maxPayload:
		refuse(w, &refusal{413, "RequestTooLargeException", "Request must be smaller than 6291556 bytes for the InvokeFunction operation"})
		return
	case !json.Valid(payload):
		refuse(w, &refusal{400, "InvalidRequestContentException", "Could not parse request body into json"})
		return
	}
	if f.active.Add(1) > int64(f.Concurrency) {
		f.active.Add(-1)
		refuse(w, &refusal{429, "TooManyRequestsException", "Rate Exceeded."})
		return
	}
	defer f.active.Add(-1)
	in := &invocation{id: newID(), arn: arn(name), trace: r.Header.Get("X-Amzn-Trace-Id"), payload: payload, logs: &tail{}, began: time.Now()}
	wantLog := r.Header.Get("X-Amz-Log-Type") == "Tail"
	if streamed {
		f.answerStreamed(w, r, in, fault, wantLog)
	} else {
		f.answerBuffered(w, r, in, fault, wantLog)
	}
}

// misbehave does what a fault says before the function runs; false: there is
// nothing more to do.
func misbehave(w http.ResponseWriter, r *http.Request, fault Fault) bool {
	if fault.Delay > 0 {
		t := time.NewTimer(fault.Delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-r.Context().Done():
			return false
		}
	}
	switch {
	case fault.Hang:
		<-r.Context().Done()
		return false
	case fault.ResetBefore:
		reset(w, nil)
		return false
	case fault.Raw != nil:
		if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
			c.Write(fault.Raw)
			c.Close()
		}
		return false
	case fault.Status != 0:
		refuse(w, &refusal{fault.Status, fault.Type, fault.Message})
		return false
	}
	return true
}

// reset writes what is left to write and resets the connection.
func reset(w http.ResponseWriter, last []byte) {
	c, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	c.Write(last)
	if tcp, ok := c.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.Close()
}

func (f *running) answerBuffered(w http.ResponseWriter, r *http.Request, in *invocation, fault Fault, wantLog bool) {
	var b bytes.Buffer
	out := &Output{begin: func(string) {}, write: func(p []byte) error { _, err := b.Write(p); return err }}
	failure := f.run(r.Context(), in, out)
	if failure == nil && b.Len() > maxPayload {
		failure = &Failure{"Unhandled", []byte(`{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes)."}`)}
	}
	if fault.ResetAfter {
		reset(w, nil)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Amzn-Requestid", in.id)
	h.Set("X-Amz-Executed-Version", "$LATEST")
	if wantLog {
		h.Set("X-Amz-Log-Result", in.report())
	}
	payload := b.Bytes()
	if failure != nil {
		h.Set("X-Amz-Function-Error", failure.Code)
		payload = failure.Payload
	}
	h.Set("Content-Length", fmt.Sprint(len(payload)))
	w.Write(payload)
}

// streamWriter writes the messages of a streamed answer.
type streamWriter struct {
	w       http.ResponseWriter
	flush   func() error
	encoder *eventstream.Encoder
	left    int // bytes until the fault's cut; -1: none
	cut     bool
}

func (s *streamWriter) message(event, contentType string, payload []byte) error {
	if s.cut {
		return errors.New("cut")
	}
	m := eventstream.Message{Payload: payload}
	m.Headers.Set(":message-type", eventstream.StringValue("event"))
	m.Headers.Set(":event-type", eventstream.StringValue(event))
	m.Headers.Set(":content-type", eventstream.StringValue(contentType))
	var b bytes.Buffer
	if err := s.encoder.Encode(&b, m); err != nil {
		return err
	}
	if s.left >= 0 {
		if s.left -= b.Len(); s.left < 0 {
			s.cut = true
			s.w.Write(b.Bytes()[:b.Len()+s.left])
			s.flush()
			reset(s.w, nil)
			return errors.New("cut")
		}
	}
	if _, err := s.w.Write(b.Bytes()); err != nil {
		return err
	}
	return s.flush()
}

func (f *running) answerStreamed(w http.ResponseWriter, r *http.Request, in *invocation, fault Fault, wantLog bool) {
	s := &streamWriter{w: w, flush: http.NewResponseController(w).Flush, encoder: eventstream.NewEncoder(), left: -1}
	if fault.CutAfter > 0 {
		s.left = fault.CutAfter
	}
	out := &Output{
		begin: func(contentType string) {
			h := w.Header()
			h.Set("X-Amzn-Requestid", in.id)
			h.Set("X-Amz-Executed-Version", "$LATEST")
			if contentType == "" {
				contentType = "application/octet-stream"
			}
			if f.service.opts.PlainContentType {
				h.Set("Content-Type", contentType)
			} else {
				h.Set("Content-Type", "application/vnd.amazon.eventstream")
				h.Set("X-Amzn-Remapped-Content-Type", contentType)
			}
			w.WriteHeader(200)
			s.flush()
		},
		write: func(p []byte) error { return s.message("PayloadChunk", "application/octet-stream", p) },
	}
	failure := f.run(r.Context(), in, out)
	if fault.ResetAfter {
		reset(w, nil)
		return
	}
	out.start()
	var end struct {
		ErrorCode    string `json:",omitempty"`
		ErrorDetails string `json:",omitempty"`
		LogResult    string `json:",omitempty"`
	}
	if failure != nil {
		end.ErrorCode, end.ErrorDetails = failure.Code, string(failure.Payload)
	}
	if wantLog {
		end.LogResult = in.report()
	}
	b, _ := json.Marshal(end)
	s.message("InvokeComplete", "application/json", b)
}

// run runs the function once.
func (f *running) run(ctx context.Context, in *invocation, out *Output) *Failure {
	f.runs.Add(1)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.Timeout)
	defer cancel()
	var err error
	if f.Handler != nil {
		err = f.Handler(ctx, in.payload, out)
	} else {
		err = f.runProgram(ctx, in, out)
	}
	if ctx.Err() != nil {
		text := fmt.Sprintf("%s %s Task timed out after %.2f seconds", time.Now().UTC().Format(time.RFC3339Nano), in.id, f.Timeout.Seconds())
		payload, _ := json.Marshal(map[string]string{"errorMessage": text})
		return &Failure{"Unhandled", payload}
	}
	var failure *Failure
	switch {
	case err == nil:
		return nil
	case errors.As(err, &failure):
		return failure
	}
	payload, _ := json.Marshal(map[string]string{"errorMessage": err.Error(), "errorType": "Runtime.ExitError"})
	return &Failure{"Unhandled", payload}
}

// report is the end of the log, in base64.
func (in *invocation) report() string {
	ms := float64(time.Since(in.began).Microseconds()) / 1000
	line := fmt.Sprintf("END RequestId: %s\nREPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %.0f ms\tMemory Size: 128 MB\tMax Memory Used: 30 MB\t", in.id, in.id, ms, ms+1)
	if in.cold {
		line += fmt.Sprintf("Init Duration: %.2f ms\t", ms)
	}
	return base64.StdEncoding.EncodeToString(in.logs.with("START RequestId: "+in.id+" Version: $LATEST\n", line+"\n"))
}

func refuse(w http.ResponseWriter, e *refusal) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amzn-Errortype", e.typ)
	w.WriteHeader(e.status)
	json.NewEncoder(w).Encode(map[string]string{"Type": "User", "message": e.message})
}

func arn(name string) string {
	return "arn:aws:lambda:" + DefaultRegion + ":" + AccountID + ":function:" + name
}

// functionOf takes the name out of an ARN.
func functionOf(s string) string {
	if i := strings.Index(s, "function:"); i >= 0 {
		s, _, _ = strings.Cut(s[i+len("function:"):], ":")
	}
	return s
}

func newID() string {
	var b [16]byte
	rand.Read(b[:])
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
