package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"edgerouter/internal/bucket"
	"edgerouter/turbo/content"
)

// prefix of the keys in a bucket.
const prefix = "turbocharger/"

// S3 is a store in a bucket: turbocharger/files/ID and turbocharger/manifests/ID.
type S3 struct{ bucket *bucket.Bucket }

// InBucket makes a store of a bucket.
func InBucket(b *bucket.Bucket) *S3 { return &S3{b} }

// String is the bucket's URL.
func (s *S3) String() string { return s.bucket.String() }

func key(area Area, id content.ID) string { return prefix + string(area) + "/" + id.String() }

// Has is part of Store.
func (s *S3) Has(ctx context.Context, area Area, id content.ID) (bool, error) {
	_, err := s.bucket.Head(ctx, key(area, id))
	// Without s3:ListBucket, 403 is the answer for what is not there; when it is the
	// credentials instead, Put will say so.
	if errors.Is(err, bucket.ErrNotFound) || errors.Is(err, bucket.ErrDenied) {
		return false, nil
	}
	return err == nil, err
}

// Get is part of Store.
func (s *S3) Get(ctx context.Context, area Area, id content.ID) (io.ReadCloser, error) {
	r, _, err := s.bucket.Get(ctx, key(area, id), "")
	if errors.Is(err, bucket.ErrNotFound) {
		return nil, fmt.Errorf("%w: %w", err, ErrNotFound)
	}
	return r, err
}

// Put is part of Store.
func (s *S3) Put(ctx context.Context, area Area, id content.ID, o Object) error {
	return s.bucket.Put(ctx, key(area, id), bucket.Object{
		Body: o.Body, Size: o.Size, ContentType: o.ContentType, SHA256: (*[32]byte)(&id),
	})
}

// List is part of Store.
func (s *S3) List(ctx context.Context, area Area, each func(Item) error) error {
	below := prefix + string(area) + "/"
	return s.bucket.List(ctx, below, func(o bucket.Info) error {
		id, err := content.ParseID(strings.TrimPrefix(o.Key, below))
		if err != nil {
			return nil
		}
		return each(Item{ID: id, Size: o.Size, Modified: o.Modified})
	})
}

// Delete is part of Store.
func (s *S3) Delete(ctx context.Context, area Area, ids ...content.ID) error {
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = key(area, id)
	}
	return s.bucket.Delete(ctx, keys...)
}
