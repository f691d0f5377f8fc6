package lambda

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awslambda "github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/metrics"
	"edgerouter/wire"
)

// Deps are what a Service is given.
type Deps struct {
	Log     zerolog.Logger
	Metrics *metrics.Set
	// Config loads the configuration of the AWS SDK. It is called once, when the
	// first function is built.
	Config func(context.Context) (aws.Config, error)
	// Memory bounds the memory of all events and payloads together, in bytes; 0
	// means DefaultMemory.
	Memory int64
}

// Service is what all functions of a process share: the SDK's configuration, the
// connections of each region, and the memory.
type Service struct {
	deps   Deps
	memory *Memory
	config func() (aws.Config, error)

	mu        sync.Mutex
	endpoints map[string]*endpoint
	figures   map[string]*figures
}

// NewService makes one. It opens no connection and loads nothing yet.
func NewService(d Deps) *Service {
	s := &Service{deps: d, memory: NewMemory(d.Memory), endpoints: map[string]*endpoint{}, figures: map[string]*figures{}}
	s.config = sync.OnceValues(func() (aws.Config, error) { return d.Config(context.Background()) })
	s.register()
	return s
}

// Memory is the budget.
func (s *Service) Memory() *Memory { return s.memory }

// Times of an invocation, where the definition says nothing.
const (
	// DefaultTimeout bounds a buffered invocation, and the head of a streamed one.
	// It is API Gateway's.
	DefaultTimeout = 30 * time.Second
	// StreamTimeout bounds a whole streamed invocation. It is Lambda's.
	StreamTimeout = 15 * time.Minute
)

// Function is a running aws_lambda backend. It is safe for concurrent use.
type Function struct {
	s           *Service
	id          string
	opts        app.AWSLambdaOpts
	log         zerolog.Logger
	place       Place
	route       route
	credentials credentials
	endpoint    *endpoint
	gate        *gate
	budget      retryBudget
	streamed    bool
	timeout     time.Duration // until the response's head
	whole       time.Duration // of the whole invocation
	figures     *figures
	advertised  Advertised
	close       sync.Once
}

// New builds the backend of an application. advertised, when not nil, is told of
// responses with the header turbocharger. Errors name the field and its value.
func (s *Service) New(id string, opts app.AWSLambdaOpts, advertised Advertised) (*Function, error) {
	place, err := PlaceOf(id, opts)
	if err != nil {
		return nil, err
	}
	cfg, err := s.config()
	if err != nil {
		return nil, fmt.Errorf("loading the AWS configuration of this node failed: %w; look at the files and variables of the AWS SDK (AWS_PROFILE, AWS_CONFIG_FILE)", err)
	}
	f := &Function{
		s: s, id: id, opts: opts, advertised: advertised, streamed: opts.InvokeMode == "response_stream",
		place: place, timeout: opts.Timeout.Or(DefaultTimeout), gate: newGate(opts.MaxConcurrency),
		log: s.deps.Log.With().Str("app", id).Str("function", opts.FunctionName).Str("region", opts.RegionID).Logger(),
	}
	f.whole = f.timeout
	if f.streamed {
		f.whole = opts.Timeout.Or(StreamTimeout)
	}
	client := awslambda.NewFromConfig(cfg, func(o *awslambda.Options) {
		o.Region = opts.RegionID
		o.Retryer = aws.NopRetryer{}
	})
	o := client.Options()
	if f.endpoint, err = s.endpoint(o); err != nil {
		return nil, err
	}
	f.endpoint.join()
	f.credentials.provider, f.credentials.region = o.Credentials, opts.RegionID
	f.route = newRoute(opts.FunctionName, opts.Qualifier, f.endpoint, f.streamed)
	f.figures = s.count(id, f)
	f.budget.fill()
	return f, nil
}

// endpoint finds where the API of a region is, as the SDK does, and the
// connections to it.
func (s *Service) endpoint(o awslambda.Options) (*endpoint, error) {
	resolver := o.EndpointResolverV2
	found, err := resolver.ResolveEndpoint(context.Background(), awslambda.EndpointParameters{
		Region: aws.String(o.Region), Endpoint: o.BaseEndpoint,
		UseDualStack: aws.Bool(o.EndpointOptions.UseDualStackEndpoint == aws.DualStackEndpointStateEnabled),
		UseFIPS:      aws.Bool(o.EndpointOptions.UseFIPSEndpoint == aws.FIPSEndpointStateEnabled),
	})
	if err != nil {
		return nil, fmt.Errorf("region_id %q: no endpoint of the Lambda API: %w", o.Region, err)
	}
	key := found.URI.String()
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.endpoints[key]; e != nil {
		return e, nil
	}
	e, err := newEndpoint(&found.URI, clientTLS(o.HTTPClient))
	if err == nil {
		s.endpoints[key] = e
	}
	return e, err
}

// clientTLS is the TLS configuration of the SDK's own client, which AWS_CA_BUNDLE
// may have changed.
func clientTLS(c awslambda.HTTPClient) *tls.Config {
	var tr *http.Transport
	switch c := c.(type) {
	case *awshttp.BuildableClient:
		tr = c.GetTransport()
	case *http.Client:
		tr, _ = c.Transport.(*http.Transport)
	}
	if tr == nil {
		return nil
	}
	return tr.TLSClientConfig
}

// Handler answers requests. A direct handler reads the request off the client's
// connection; otherwise from ctx, as the handlers before it left it. Responses
// are left in ctx either way, so that a handler around this one may look at them.
func (f *Function) Handler(direct bool) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) { f.serve(ctx, wire.From(ctx), direct) }
}

// Direct is true: see gateway.DirectBackend.
func (f *Function) Direct() bool { return true }

// Close takes the function out of the figures and, with the last one of its
// region, closes idle connections. Invocations under way end by themselves.
func (f *Function) Close() {
	f.close.Do(func() {
		f.endpoint.part()
		f.s.uncount(f.id)
	})
}
