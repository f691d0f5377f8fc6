package cli

import (
	"context"
	"os"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/discovery"
	"edgerouter/discovery/file"
	"edgerouter/gateway"
	"edgerouter/lambda"
	"edgerouter/metrics"
	"edgerouter/middleware"
)

// loadApplications reads a file or folder of applications once, as serve does.
func loadApplications(ctx context.Context, path string) (discovery.Update, error) {
	if _, err := os.Stat(path); err != nil {
		return discovery.Update{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var first discovery.Update
	told := false
	err := file.New(path, zerolog.Nop()).Run(ctx, func(u discovery.Update) {
		if !told {
			first, told = u, true
			cancel()
		}
	})
	if !told && err == nil {
		err = ctx.Err()
	}
	if first.Err != nil && len(first.Problems) == 0 {
		err = first.Err
	}
	return first, err
}

// offlineSnapshot is the running set that the applications would make, with
// backends that answer nothing: no peer is asked and no connection opened.
func offlineSnapshot(apps []app.Application) *gateway.Snapshot {
	g := gateway.New(gateway.Options{
		Builders: map[app.BackendKind]gateway.Builder{
			app.BackendPeerSet:         offlineBackend,
			app.BackendAWSLambda:       offlineBackend,
			app.BackendRedirect:        offlineBackend,
			app.BackendAuthV0:          offlineBackend,
			app.BackendAuthSSO:         offlineBackend,
			app.BackendAuthForward:     offlineBackend,
			app.BackendAuthOIDC:        offlineBackend,
			app.BackendTurbocharger:    offlineBackend,
			app.BackendS3StaticWebsite: offlineBackend,
			app.BackendAdmin:           offlineBackend,
			app.BackendPromMetrics:     offlineBackend,
		},
		Middlewares: gateway.CheckedMiddlewares(),
		Metrics:     metrics.NewSet(),
		Log:         zerolog.Nop(),
	})
	defer g.Close()
	g.Apply([]gateway.SourceSet{{Source: file.Name, Apps: apps}})
	return g.Snapshot()
}

// offline is a backend that is never asked.
type offline struct{}

func (offline) Handler(bool) fasthttp.RequestHandler { return func(*fasthttp.RequestCtx) {} }
func (offline) Close()                               {}

// offlineBackend checks what a backend's options can be checked for without
// anything around it.
func offlineBackend(id string, b app.Backend) (gateway.Backend, error) {
	switch {
	case b.Redirect != nil:
		if _, err := middleware.NewRedirect(*b.Redirect); err != nil {
			return nil, err
		}
	case b.AWSLambda != nil:
		if _, err := lambda.PlaceOf(id, *b.AWSLambda); err != nil {
			return nil, err
		}
	}
	inside, err := gateway.CheckGuard(id, b)
	if err != nil {
		return nil, err
	}
	if inside != nil {
		return offlineBackend(id, *inside)
	}
	return offline{}, nil
}
