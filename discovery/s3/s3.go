// Package s3 is the discovery source that reads application definitions from a
// bucket: every object below discovery/ is one application as JSON.
//
// The bucket is listed every 10 s, all pages, and an object is read when its ETag
// is another one than before. What cannot be listed or read keeps what it
// declared; one bad object does not hold back the others.
package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"edgerouter/app"
	"edgerouter/discovery"
	"edgerouter/discovery/destination"
	"edgerouter/internal/bucket"
)

// Name is the name of the source.
const Name = "s3"

// DefaultEvery is how often the bucket is listed.
const DefaultEvery = 10 * time.Second

// Source follows a bucket. It is a discovery.Source.
type Source struct {
	bucket *bucket.Bucket
	every  time.Duration
	log    zerolog.Logger

	// What follows belongs to Run. It outlives a restart of the source.
	objects map[string]object // by key
	emitted bool
}

// object is what one object declares.
type object struct {
	etag     string
	apps     []app.Application
	problems []app.Problem
}

// New makes a source of a bucket; every of 0 is DefaultEvery.
func New(b *bucket.Bucket, every time.Duration, log zerolog.Logger) *Source {
	if every <= 0 {
		every = DefaultEvery
	}
	return &Source{bucket: b, every: every, log: log, objects: map[string]object{}}
}

// Name is "s3".
func (s *Source) Name() string { return Name }

// Run lists the bucket until ctx ends.
func (s *Source) Run(ctx context.Context, emit func(discovery.Update)) error {
	s.emitted = false
	ticker := time.NewTicker(s.every)
	defer ticker.Stop()
	for {
		changed, err := s.look(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			emit(discovery.Update{Err: fmt.Errorf("%w (see --s3-discovery-bucket)", err)})
			s.emitted = false // what is known is told again once S3 answers
		case changed || !s.emitted:
			emit(s.update())
			s.emitted = true
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// look brings the objects up to date. An object that cannot be read keeps what it
// declared, and is read again the next time.
func (s *Source) look(ctx context.Context) (changed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	there := map[string]bool{}
	var failed error
	err = s.bucket.List(ctx, destination.Prefix, func(o bucket.Info) error {
		if !destination.Declares(o.Key) {
			return nil
		}
		there[o.Key] = true
		if old, ok := s.objects[o.Key]; ok && old.etag == o.ETag {
			return nil
		}
		read, err := s.read(ctx, o.Key)
		if errors.Is(err, bucket.ErrNotFound) {
			delete(there, o.Key) // it went between listing and reading
			return nil
		}
		if err != nil {
			failed = err
			return nil
		}
		s.objects[o.Key] = read
		changed = true
		return nil
	})
	if err != nil {
		return changed, err
	}
	for key := range s.objects {
		if !there[key] {
			delete(s.objects, key)
			changed = true
		}
	}
	return changed, failed
}

func (s *Source) read(ctx context.Context, key string) (object, error) {
	r, info, err := s.bucket.Get(ctx, key, "")
	if err != nil {
		return object{}, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, destination.MaxObject+1))
	if err != nil {
		return object{}, fmt.Errorf("reading %s/%s: %w", s.bucket, key, err)
	}
	name := s.bucket.String() + "/" + key
	o := object{etag: info.ETag}
	if len(data) > destination.MaxObject {
		o.problems = []app.Problem{{File: name, Message: fmt.Sprintf("larger than %d bytes, which is the most that one application may have", destination.MaxObject)}}
		o.apps = s.objects[key].apps
		return o, nil
	}
	o.apps, o.problems = app.Decode(name, data)
	if len(o.apps) == 0 && len(o.problems) > 0 {
		o.apps = s.objects[key].apps // what was good before stays
	}
	return o, nil
}

// update puts the objects together, in the order of their keys.
func (s *Source) update() discovery.Update {
	keys := make([]string, 0, len(s.objects))
	for key := range s.objects {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	var u discovery.Update
	files := make([]app.File, len(keys))
	for i, key := range keys {
		files[i] = app.File{Name: s.bucket.String() + "/" + key, Apps: s.objects[key].apps}
		u.Problems = append(u.Problems, s.objects[key].problems...)
	}
	apps, twice := app.CheckSet(files)
	u.Apps, u.Problems = apps, append(u.Problems, twice...)
	if u.Apps == nil {
		u.Apps = []app.Application{}
	}
	return u
}
