package lambdaservice

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"time"
)

// sandbox is a process of a function program and the runtime API that it speaks.
// It has one invocation at a time.
type sandbox struct {
	f      *running
	cmd    *exec.Cmd
	server *http.Server
	ended  chan struct{} // closed when the process has ended

	work chan *task
	mu   sync.Mutex
	now  *task
}

// task is an invocation in a sandbox.
type task struct {
	*invocation
	out      *Output
	deadline time.Time
	done     chan error
}

// runProgram has a sandbox run the invocation: an idle one, or a new one.
func (f *running) runProgram(ctx context.Context, in *invocation, out *Output) error {
	f.mu.Lock()
	var s *sandbox
	if n := len(f.idle); n > 0 {
		s = f.idle[n-1]
		f.idle = f.idle[:n-1]
	}
	f.mu.Unlock()
	if s == nil {
		var err error
		if s, err = f.startSandbox(); err != nil {
			return err
		}
		in.cold = true
	}
	deadline, _ := ctx.Deadline()
	t := &task{invocation: in, out: out, deadline: deadline, done: make(chan error, 1)}
	s.cmd.Stderr.(*relay).to(in.logs)
	select {
	case s.work <- t:
	case <-s.ended:
		return errors.New("the program ended before it took the invocation")
	case <-ctx.Done():
		s.kill()
		return ctx.Err()
	}
	select {
	case err := <-t.done:
		s.cmd.Stderr.(*relay).to(nil)
		f.mu.Lock()
		f.idle = append(f.idle, s)
		f.mu.Unlock()
		return err
	case <-s.ended:
		return fmt.Errorf("RequestId: %s Error: the program ended: %v", in.id, s.cmd.ProcessState)
	case <-ctx.Done():
		s.kill()
		return ctx.Err()
	}
}

func (f *running) startSandbox() (*sandbox, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sandbox{f: f, work: make(chan *task), ended: make(chan struct{})}
	s.server = &http.Server{Handler: s.runtimeAPI(), ErrorLog: log.New(io.Discard, "", 0)}
	go s.server.Serve(ln)
	s.cmd = exec.Command(f.Command[0], f.Command[1:]...)
	s.cmd.Env = append(os.Environ(),
		"AWS_LAMBDA_RUNTIME_API="+ln.Addr().String(), "AWS_LAMBDA_FUNCTION_NAME="+f.Name,
		"AWS_LAMBDA_FUNCTION_VERSION=$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128", "AWS_REGION="+f.service.opts.Region,
		"_HANDLER=bootstrap")
	s.cmd.Env = append(s.cmd.Env, f.Env...)
	r := &relay{always: f.service.opts.Log}
	s.cmd.Stdout, s.cmd.Stderr = r, r
	if err := s.cmd.Start(); err != nil {
		s.server.Close()
		return nil, fmt.Errorf("starting the function %s: %w", f.Name, err)
	}
	f.mu.Lock()
	f.all[s] = struct{}{}
	f.mu.Unlock()
	go func() {
		s.cmd.Wait()
		close(s.ended)
		s.server.Close()
		f.forget(s)
	}()
	return s, nil
}

func (f *running) forget(s *sandbox) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.all, s)
	for i, o := range f.idle {
		if o == s {
			f.idle = append(f.idle[:i], f.idle[i+1:]...)
			return
		}
	}
}

// stop ends all processes of a function.
func (f *running) stop() {
	f.mu.Lock()
	var all []*sandbox
	for s := range f.all {
		all = append(all, s)
	}
	f.mu.Unlock()
	for _, s := range all {
		s.kill()
	}
}

func (s *sandbox) kill() {
	s.cmd.Process.Kill()
	<-s.ended
}

// runtimeAPI is what the program in the sandbox asks.
func (s *sandbox) runtimeAPI() http.Handler {
	mux := http.NewServeMux()
	const base = "/2018-06-01/runtime/"
	mux.HandleFunc("GET "+base+"invocation/next", s.next)
	mux.HandleFunc("POST "+base+"invocation/{id}/response", s.response)
	mux.HandleFunc("POST "+base+"invocation/{id}/error", s.failure)
	mux.HandleFunc("POST "+base+"init/error", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(202) })
	return mux
}

func (s *sandbox) next(w http.ResponseWriter, r *http.Request) {
	var t *task
	select {
	case t = <-s.work:
	case <-r.Context().Done():
		return
	}
	s.mu.Lock()
	s.now = t
	s.mu.Unlock()
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Lambda-Runtime-Aws-Request-Id", t.id)
	h.Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(t.deadline.UnixMilli()))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", t.arn)
	if t.trace != "" {
		h.Set("Lambda-Runtime-Trace-Id", t.trace)
	}
	w.Write(t.payload)
}

// take returns the task of that id, once.
func (s *sandbox) take(id string) *task {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.now
	if t == nil || t.id != id {
		return nil
	}
	s.now = nil
	return t
}

// response passes an answer on as it comes. A streamed one may end with an error
// in its trailers.
func (s *sandbox) response(w http.ResponseWriter, r *http.Request) {
	t := s.take(r.PathValue("id"))
	if t == nil {
		w.WriteHeader(400)
		return
	}
	t.out.ContentType(r.Header.Get("Content-Type"))
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Body.Read(buf)
		if n > 0 {
			// Who asked may have left; the program's answer is read to its end.
			t.out.Write(buf[:n])
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.done <- err
			return
		}
	}
	if typ := r.Trailer.Get("Lambda-Runtime-Function-Error-Type"); typ != "" {
		body, _ := base64.StdEncoding.DecodeString(r.Trailer.Get("Lambda-Runtime-Function-Error-Body"))
		t.done <- &Failure{typ, body}
	} else {
		t.done <- nil
	}
	w.WriteHeader(202)
	io.WriteString(w, `{"status":"OK"}`)
}

func (s *sandbox) failure(w http.ResponseWriter, r *http.Request) {
	t := s.take(r.PathValue("id"))
	if t == nil {
		w.WriteHeader(400)
		return
	}
	body, _ := io.ReadAll(io.LimitReader(r.Body, 256<<10))
	t.done <- &Failure{"Unhandled", body}
	w.WriteHeader(202)
}

// relay hands what a program writes to the log of the invocation that runs.
type relay struct {
	always io.Writer
	mu     sync.Mutex
	logs   *tail
}

func (r *relay) to(t *tail) {
	r.mu.Lock()
	r.logs = t
	r.mu.Unlock()
}

func (r *relay) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.logs != nil {
		r.logs.write(p)
	}
	if r.always != nil {
		r.always.Write(p)
	}
	return len(p), nil
}

// tail keeps the last four kilobytes.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const tailSize = 4 << 10

func (t *tail) write(p []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if n := len(t.b); n > tailSize {
		t.b = append(t.b[:0], t.b[n-tailSize:]...)
	}
}

// with is the tail between two other texts, within its size.
func (t *tail) with(before, after string) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := append([]byte(before), t.b...)
	b = append(b, after...)
	return b[max(0, len(b)-tailSize):]
}
