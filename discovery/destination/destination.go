// Package destination writes application definitions where a discovery source
// reads them: into a file, a folder of files, or a bucket for S3 discovery.
//
// Definitions go in and are checked as serve checks them; what else is in the
// file stays as it was declared. A file is replaced as a whole, so that no reader
// sees half of one.
package destination

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"edgerouter/app"
	"edgerouter/internal/bucket"
)

// ErrNotFound is the error of an application that is not there, ErrExists that of
// one that is.
var (
	ErrNotFound = errors.New("there is no such application")
	ErrExists   = errors.New("there is an application with this id already")
)

// Destination is a place of definitions. Errors name it.
type Destination interface {
	// List returns the applications that are there. What cannot be read is an
	// error: writing beside it could make it worse.
	List(ctx context.Context) ([]app.Application, error)
	// Put adds an application or replaces the one with its id.
	Put(ctx context.Context, a app.Application) error
	// Remove takes an application away; ErrNotFound if it is not there.
	Remove(ctx context.Context, id string) error
	// String is what --to says.
	String() string
}

// OpenBucket opens a bucket of a region.
type OpenBucket func(ctx context.Context, region, name string) (*bucket.Bucket, error)

// Open reads the value of --to: file:PATH or s3://REGION/BUCKET.
func Open(ctx context.Context, to string, open OpenBucket) (Destination, error) {
	if path, ok := strings.CutPrefix(to, "file:"); ok && path != "" {
		return openFile(strings.TrimPrefix(path, "//")), nil
	}
	if !strings.HasPrefix(to, "s3://") {
		return nil, fmt.Errorf("%q: want file:PATH or s3://REGION/BUCKET", to)
	}
	region, name, err := bucket.ParseURL(to)
	if err != nil {
		return nil, err
	}
	b, err := open(ctx, region, name)
	if err != nil {
		return nil, err
	}
	return inBucket{b}, nil
}

// Get is one application of a destination, or ErrNotFound.
func Get(ctx context.Context, d Destination, id string) (app.Application, error) {
	apps, err := d.List(ctx)
	if err != nil {
		return app.Application{}, err
	}
	for _, a := range apps {
		if a.ID == id {
			return a, nil
		}
	}
	return app.Application{}, fmt.Errorf("%s in %s: %w", id, d, ErrNotFound)
}

// encode writes one application, or a file of them, as people like to read it.
// The definition is checked first.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	if _, problems := app.Decode("the definition", b.Bytes()); len(problems) > 0 {
		return nil, problems[0]
	}
	return b.Bytes(), nil
}

// decode reads what is there; any problem is an error.
func decode(name string, data []byte) ([]app.Application, error) {
	apps, problems := app.Decode(name, data)
	if len(problems) > 0 {
		return nil, problems[0]
	}
	return apps, nil
}
