// Package store keeps the objects of static sites: files and manifests, each
// under the hash of its bytes (content.ID), in a bucket or in a folder.
//
// Objects are never changed, so that writing one that is there already does
// nothing, and whoever reads one can check it. A Store does not check: readers
// do, because a store may lie.
package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"edgerouter/internal/pace"
	"edgerouter/turbo/content"
)

// Area is one of the two parts of a store.
type Area string

// The areas.
const (
	Files     Area = "files"
	Manifests Area = "manifests"
)

// ErrNotFound is the error of an object that is not there.
var ErrNotFound = errors.New("not in the store")

// Object is what Put writes. Body must read the same each time.
type Object struct {
	Body        io.ReaderAt
	Size        int64
	ContentType string
}

// Item is one object in a list.
type Item struct {
	ID       content.ID
	Size     int64
	Modified time.Time
}

// Store is where objects are kept. It is safe for concurrent use. Errors name
// the store and the object.
type Store interface {
	// Has says whether an object is there.
	Has(ctx context.Context, area Area, id content.ID) (bool, error)
	// Get reads an object: ErrNotFound when it is not there. The caller closes
	// the reader and checks what it reads against the id. A reader that has a method
	// Size() int64 says beforehand what the store takes it for.
	Get(ctx context.Context, area Area, id content.ID) (io.ReadCloser, error)
	// Put writes an object, as a whole or not at all.
	Put(ctx context.Context, area Area, id content.ID, o Object) error
	// List calls each for every object until it returns an error, which is then
	// List's. What is in the area and is no object is passed over.
	List(ctx context.Context, area Area, each func(Item) error) error
	// Delete removes objects; those that are not there are no error.
	Delete(ctx context.Context, area Area, ids ...content.ID) error
	// String is the store's URL.
	String() string
}

// Manifest reads and checks a manifest.
func Manifest(ctx context.Context, s Store, id content.ID) (*content.Manifest, []byte, error) {
	return ManifestPaced(ctx, s, id, &pace.Pacer{})
}

// ManifestPaced is Manifest that makes room for others meanwhile.
func ManifestPaced(ctx context.Context, s Store, id content.ID, room *pace.Pacer) (*content.Manifest, []byte, error) {
	r, err := s.Get(ctx, Manifests, id)
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	var b bytes.Buffer
	if told, ok := r.(interface{ Size() int64 }); ok {
		size := told.Size()
		if size > content.MaxManifest {
			return nil, nil, fmt.Errorf("reading manifest %s from %s: it has %d bytes, and at most %d are read", id, s, size, content.MaxManifest)
		}
		b.Grow(int(max(size, 0)) + bytes.MinRead)
	}
	_, err = b.ReadFrom(io.LimitReader(r, content.MaxManifest+1))
	data := b.Bytes()
	if err != nil {
		return nil, nil, fmt.Errorf("reading manifest %s from %s: %w", id, s, err)
	}
	m, err := content.ParseOf(id, data, room)
	if err != nil {
		return nil, nil, fmt.Errorf("manifest %s in %s: %w", id, s, err)
	}
	return m, data, nil
}
