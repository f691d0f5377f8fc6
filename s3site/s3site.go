// Package s3site serves and deploys static sites in S3 whose versions are
// folders: sites/APP_ID/VERSION/ has the files, sites/APP_ID/VERSION.deployment.json
// says that all of them are there.
//
// Files come through the cache of package turbo, in whatever encodings clients
// take, and are asked for once: objects do not change within a version. What S3
// denies (403) is not there, since that is its answer where it may not be listed.
// When S3 fails, what is here is served on, and the rest is 503.
package s3site

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/internal/bucket"
	"edgerouter/turbo"
	"edgerouter/wire"
)

// Deps are what sites are given.
type Deps struct {
	Engine *turbo.Engine
	// Bucket opens the bucket of a region.
	Bucket func(ctx context.Context, region, name string) (*bucket.Bucket, error)
	// Dir is the folder in which it is kept which paths have which content, so that
	// a start without S3 serves what is in the cache.
	Dir string
	Log zerolog.Logger
}

// Record is what VERSION.deployment.json says.
type Record struct {
	Version    string
	DeployedAt time.Time
}

func folder(id, version string) string    { return "sites/" + id + "/" + version + "/" }
func recordKey(id, version string) string { return "sites/" + id + "/" + version + ".deployment.json" }

// Backend serves a version.
type Backend struct{ *turbo.Backend }

// New makes the backend of kind s3_static_website. Without a deployed version
// every answer is a 404 that says so.
func New(id string, opts app.S3StaticWebsiteOpts, deps Deps) (Servant, error) {
	if opts.DeployedVersion == "" {
		text := "no deployed version for " + id
		return &undeployed{func(ctx *fasthttp.RequestCtx) { wire.Fail(ctx, 404, text) }}, nil
	}
	site := turbo.SiteOptions{NotFound: opts.NotFoundPage, Fallback: opts.SPAFallback, Index: opts.IndexDocument, Immutable: opts.Immutable}
	version := opts.DeployedVersion
	b := deps.Engine.NewVersionBackend(id, version, site, func(ctx context.Context) (turbo.Version, error) {
		bk, err := deps.Bucket(ctx, opts.RegionID, opts.BucketName)
		if err != nil {
			return turbo.Version{}, err
		}
		files, err := open(ctx, bk, id, version, deps)
		if err != nil {
			return turbo.Version{}, err
		}
		return turbo.Version{Name: version, Files: files, Fetch: files.fetch}, nil
	})
	return &Backend{b}, nil
}

// Servant is a backend for the gateway.
type Servant interface {
	Handler(direct bool) fasthttp.RequestHandler
	Close()
}

type undeployed struct{ handler fasthttp.RequestHandler }

func (u *undeployed) Handler(bool) fasthttp.RequestHandler { return u.handler }
func (u *undeployed) Close()                               {}

// open makes the files of a version known as far as they were asked for before.
func open(ctx context.Context, b *bucket.Bucket, id, version string, deps Deps) (*files, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	f := &files{bucket: b, folder: folder(id, version), cache: deps.Engine.Cache(), log: deps.Log.With().Str("app", id).Logger()}
	f.init()
	tag, err := readRecord(ctx, b, id, version)
	switch {
	case errors.Is(err, bucket.ErrNotFound), errors.Is(err, bucket.ErrDenied):
		// The version is what the definition says, whoever deployed it.
		tag = "none"
	case err != nil:
		if f.recall(deps.Dir, "") {
			f.log.Warn().Err(err).Msg("S3 cannot be asked; what is known of the version is served")
			return f, nil
		}
		return nil, err
	}
	f.recall(deps.Dir, tag)
	return f, nil
}

func readRecord(ctx context.Context, b *bucket.Bucket, id, version string) (tag string, err error) {
	r, info, err := b.Get(ctx, recordKey(id, version), "")
	if err != nil {
		return "", err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, 64<<10))
	if err != nil {
		return "", err
	}
	var record Record
	if err := json.Unmarshal(data, &record); err != nil {
		return "", fmt.Errorf("%s/%s: %w", b, recordKey(id, version), err)
	}
	return strings.Trim(info.ETag, `"`), nil
}

var _ turbo.Resolving = (*files)(nil)
