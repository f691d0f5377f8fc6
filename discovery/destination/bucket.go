package destination

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"edgerouter/app"
	"edgerouter/internal/bucket"
)

const (
	// Prefix is below which a bucket has one object for each application.
	Prefix = "discovery/"
	// MaxObject bounds the definition of one application.
	MaxObject = 1 << 20
)

// inBucket is a bucket for S3 discovery.
type inBucket struct{ *bucket.Bucket }

// List is part of Destination.
func (b inBucket) List(ctx context.Context) ([]app.Application, error) {
	var all []app.Application
	err := b.Bucket.List(ctx, Prefix, func(o bucket.Info) error {
		if !Declares(o.Key) {
			return nil
		}
		apps, err := b.read(ctx, o.Key)
		all = append(all, apps...)
		return err
	})
	return all, err
}

// Declares says whether an object is one to read; folders that consoles make are
// not.
func Declares(key string) bool { return key != Prefix && !strings.HasSuffix(key, "/") }

func (b inBucket) read(ctx context.Context, key string) ([]app.Application, error) {
	r, _, err := b.Get(ctx, key, "")
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, MaxObject+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s/%s: %w", b, key, err)
	}
	return decode(b.String()+"/"+key, data)
}

// find returns the object that declares an application.
func (b inBucket) find(ctx context.Context, id string) (key string, err error) {
	usual := Prefix + id + ".json"
	apps, err := b.read(ctx, usual)
	if err == nil && len(apps) == 1 && apps[0].ID == id {
		return usual, nil
	}
	if err != nil && !errors.Is(err, bucket.ErrNotFound) && !errors.Is(err, bucket.ErrDenied) {
		return "", err
	}
	err = b.Bucket.List(ctx, Prefix, func(o bucket.Info) error {
		if key != "" || !Declares(o.Key) {
			return nil
		}
		apps, err := b.read(ctx, o.Key)
		if err == nil && len(apps) == 1 && apps[0].ID == id {
			key = o.Key
		}
		return err
	})
	return key, err
}

// Put is part of Destination.
func (b inBucket) Put(ctx context.Context, a app.Application) error {
	data, err := encode(a)
	if err != nil {
		return err
	}
	key, err := b.find(ctx, a.ID)
	if err != nil {
		return err
	}
	if key == "" {
		key = Prefix + a.ID + ".json"
	}
	return b.Bucket.Put(ctx, key, bucket.Object{Body: bytes.NewReader(data), Size: int64(len(data)), ContentType: "application/json"})
}

// Remove is part of Destination.
func (b inBucket) Remove(ctx context.Context, id string) error {
	key, err := b.find(ctx, id)
	if err != nil {
		return err
	}
	if key == "" {
		return fmt.Errorf("%s in %s: %w", id, b, ErrNotFound)
	}
	return b.Delete(ctx, key)
}
