package lambdaservice

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Options of a Service. The zero value is a service with the credentials below.
type Options struct {
	// Addr is where the API listens; 127.0.0.1:0 when empty.
	Addr string
	// AccessKeyID, SecretAccessKey and SessionToken are what requests have to be
	// signed with; those of this package when empty (the token may be).
	AccessKeyID, SecretAccessKey, SessionToken string
	// Region is what signatures must name; DefaultRegion when empty.
	Region string
	// PlainContentType sends the function's own type of a stream as Content-Type;
	// else it is X-Amzn-Remapped-Content-Type, beside the event stream's type.
	PlainContentType bool
	// Log takes what functions write; nil drops it.
	Log io.Writer
}

// The credentials and region of a service that names none.
const (
	AccessKeyID     = "AKIDEDGEROUTERTEST00"
	SecretAccessKey = "edgerouter-test-secret-that-opens-nothing"
	DefaultRegion   = "eu-central-1"
	AccountID       = "123456789012"
)

// Service is a running one.
type Service struct {
	// URL is for AWS_ENDPOINT_URL_LAMBDA.
	URL string

	opts   Options
	server *http.Server
	served chan struct{}

	mu        sync.Mutex
	functions map[string]*running
	secret    string
}

// Function is what can be called.
type Function struct {
	Name string
	// Command is a program that speaks the runtime API, with its arguments, and
	// Env what is added to its environment.
	Command []string
	Env     []string
	// Handler is called instead of a program.
	Handler Handler
	// Concurrency is how many invocations may run at a time; further ones are
	// throttled. 0: 100.
	Concurrency int
	// Timeout ends an invocation; 0: 3 s, as Lambda does.
	Timeout time.Duration
	// Fault is asked before each invocation; nil: none.
	Fault func(n int) Fault
}

// Handler is a function in this process. It writes its answer to out; an error of
// type *Failure is the function's own.
type Handler func(ctx context.Context, payload []byte, out *Output) error

// Output takes what a function answers.
type Output struct {
	contentType string
	begin       func(contentType string)
	write       func([]byte) error
	begun       bool
}

// ContentType says the type of the answer, before the first Write.
func (o *Output) ContentType(t string) { o.contentType = t }

// Write sends bytes of the answer; a streamed one leaves at once.
func (o *Output) Write(p []byte) (int, error) {
	o.start()
	return len(p), o.write(p)
}

func (o *Output) start() {
	if !o.begun {
		o.begun = true
		o.begin(o.contentType)
	}
}

// Failure is an error of a function: what X-Amz-Function-Error says, and the
// payload with it.
type Failure struct {
	Code    string // "Unhandled"
	Payload []byte
}

func (e *Failure) Error() string { return e.Code + ": " + string(e.Payload) }

// Fault is what happens to one invocation instead of what should. The zero value
// is nothing.
type Fault struct {
	// Delay comes before everything else.
	Delay time.Duration
	// Status refuses the invocation with that status, Type and Message.
	Status        int
	Type, Message string
	// ResetBefore resets the connection before the function runs, ResetAfter
	// after it ran and before the answer.
	ResetBefore, ResetAfter bool
	// Hang never answers; it ends with the client's connection.
	Hang bool
	// Raw is written to the connection in place of an answer, which ends then.
	Raw []byte
	// CutAfter resets the connection after so many bytes of a streamed answer's
	// body.
	CutAfter int
}

// running is a function that can be called.
type running struct {
	Function
	service *Service
	calls   atomic.Int64 // of the API
	runs    atomic.Int64
	active  atomic.Int64

	mu   sync.Mutex
	idle []*sandbox
	all  map[*sandbox]struct{}
}

// Start starts a service with these functions.
func Start(o Options, functions ...Function) (*Service, error) {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.AccessKeyID == "" {
		o.AccessKeyID, o.SecretAccessKey = AccessKeyID, SecretAccessKey
	}
	if o.Region == "" {
		o.Region = DefaultRegion
	}
	s := &Service{opts: o, functions: map[string]*running{}, served: make(chan struct{}), secret: o.SecretAccessKey}
	for _, f := range functions {
		s.Add(f)
	}
	ln, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, err
	}
	s.URL = "http://" + ln.Addr().String()
	s.server = &http.Server{Handler: s.api(), ErrorLog: log.New(io.Discard, "", 0)}
	go func() {
		defer close(s.served)
		if err := s.server.Serve(ln); !errors.Is(err, http.ErrServerClosed) && o.Log != nil {
			fmt.Fprintln(o.Log, "lambdaservice:", err)
		}
	}()
	return s, nil
}

// Add adds a function, or puts it in the place of another of that name.
func (s *Service) Add(f Function) {
	if f.Concurrency == 0 {
		f.Concurrency = 100
	}
	if f.Timeout == 0 {
		f.Timeout = 3 * time.Second
	}
	r := &running{Function: f, service: s, all: map[*sandbox]struct{}{}}
	s.mu.Lock()
	old := s.functions[f.Name]
	s.functions[f.Name] = r
	s.mu.Unlock()
	if old != nil {
		old.stop()
	}
}

// Runs is how often a function ran.
func (s *Service) Runs(name string) int {
	if f := s.function(name); f != nil {
		return int(f.runs.Load())
	}
	return 0
}

// Calls is how often the API was asked for a function.
func (s *Service) Calls(name string) int {
	if f := s.function(name); f != nil {
		return int(f.calls.Load())
	}
	return 0
}

// Active is how many invocations of a function are running.
func (s *Service) Active(name string) int {
	if f := s.function(name); f != nil {
		return int(f.active.Load())
	}
	return 0
}

func (s *Service) function(name string) *running {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.functions[name]
}

// Close ends the API and all function programs.
func (s *Service) Close() {
	s.server.Close()
	<-s.served
	s.mu.Lock()
	all := s.functions
	s.functions = map[string]*running{}
	s.mu.Unlock()
	for _, f := range all {
		f.stop()
	}
}
