// Package bucket is one S3 bucket, as far as edgerouter needs it: objects are
// read, written, listed and deleted, and errors say in the words of an operator
// what was attempted on which object.
//
// An aws.Config goes in; where it comes from (the default chain of the AWS SDK,
// which reads the environment) is the caller's business. With an endpoint of
// their own, buckets are addressed by path. The package keeps no state beside
// the client's pool of connections.
package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrNotFound: there is no such object, or no such bucket.
	ErrNotFound = errors.New("not found")
	// ErrDenied: S3 answered 403. Without the right to list the bucket it does so
	// for objects that are not there.
	ErrDenied = errors.New("access denied")
	// ErrChanged: the object is not the one that was asked for by its ETag.
	ErrChanged = errors.New("changed since")
)

// Bucket is one bucket. It is safe for concurrent use.
type Bucket struct {
	client *s3.Client
	name   string
	region string
}

// Info is what S3 says of an object.
type Info struct {
	Key         string
	Size        int64
	ETag        string // with its quotes
	ContentType string // not in lists
	Modified    time.Time
	SHA256      string // in base64, where it was given with the object; only from Head
}

// Open makes a Bucket of the region in cfg. It asks nothing yet.
func Open(cfg aws.Config, name string) *Bucket {
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle = o.BaseEndpoint != nil
		// Content is checked by its SHA-256, which other S3 servers know as well.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	})
	return &Bucket{client: client, name: name, region: cfg.Region}
}

// ParseURL reads s3://region/bucket.
func ParseURL(s string) (region, name string, err error) {
	rest, ok := strings.CutPrefix(s, "s3://")
	if ok {
		region, name, ok = strings.Cut(strings.TrimSuffix(rest, "/"), "/")
	}
	if !ok || region == "" || name == "" || strings.Contains(name, "/") {
		return "", "", fmt.Errorf("%q: want s3://REGION/BUCKET, such as s3://eu-central-1/my-bucket", s)
	}
	return region, name, nil
}

// String is the bucket's URL.
func (b *Bucket) String() string { return "s3://" + b.region + "/" + b.name }

// Name is the bucket's name.
func (b *Bucket) Name() string { return b.name }

// Head asks for an object without its content.
func (b *Bucket) Head(ctx context.Context, key string) (Info, error) {
	out, err := b.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &b.name, Key: &key, ChecksumMode: types.ChecksumModeEnabled})
	if err != nil {
		return Info{}, b.explain("asking for", key, err)
	}
	return Info{
		Key: key, Size: aws.ToInt64(out.ContentLength), ETag: aws.ToString(out.ETag),
		ContentType: aws.ToString(out.ContentType), Modified: aws.ToTime(out.LastModified),
		SHA256: aws.ToString(out.ChecksumSHA256),
	}, nil
}

// Get reads an object; ifMatch, when not empty, is the ETag that it must have.
// The caller closes the reader, whose method Size() int64 is Info's.
func (b *Bucket) Get(ctx context.Context, key, ifMatch string) (io.ReadCloser, Info, error) {
	in := &s3.GetObjectInput{Bucket: &b.name, Key: &key}
	if ifMatch != "" {
		in.IfMatch = &ifMatch
	}
	out, err := b.client.GetObject(ctx, in)
	if err != nil {
		return nil, Info{}, b.explain("reading", key, err)
	}
	return sized{out.Body, aws.ToInt64(out.ContentLength)}, Info{
		Key: key, Size: aws.ToInt64(out.ContentLength), ETag: aws.ToString(out.ETag),
		ContentType: aws.ToString(out.ContentType), Modified: aws.ToTime(out.LastModified),
	}, nil
}

// sized is the content of an object, of the size that S3 says.
type sized struct {
	io.ReadCloser
	size int64
}

// Size is the object's.
func (s sized) Size() int64 { return s.size }

// Delete removes objects; those that are not there are no error.
func (b *Bucket) Delete(ctx context.Context, keys ...string) error {
	for len(keys) > 0 {
		part := keys[:min(len(keys), 1000)] // the most that one call takes
		keys = keys[len(part):]
		objects := make([]types.ObjectIdentifier, len(part))
		for i := range part {
			objects[i].Key = &part[i]
		}
		out, err := b.client.DeleteObjects(ctx, &s3.DeleteObjectsInput{
			Bucket: &b.name, Delete: &types.Delete{Objects: objects, Quiet: aws.Bool(true)},
		})
		if err != nil {
			return b.explain("deleting", part[0], err)
		}
		for _, e := range out.Errors {
			return fmt.Errorf("deleting %s/%s: %s: %s", b, aws.ToString(e.Key), aws.ToString(e.Code), aws.ToString(e.Message))
		}
	}
	return nil
}

// List calls each for every object below a prefix, in the order of keys, until
// it returns an error, which is then List's. What a server lists beside what it was
// asked for is passed over; a list that breaks off or goes in circles is an error, as
// whoever deletes by it would take what is missing for gone.
func (b *Bucket) List(ctx context.Context, prefix string, each func(Info) error) error {
	pages := s3.NewListObjectsV2Paginator(b.client, &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: &prefix})
	for last := ""; pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return b.explain("listing", prefix, err)
		}
		if next := aws.ToString(page.NextContinuationToken); aws.ToBool(page.IsTruncated) {
			if next == "" || next == last {
				return fmt.Errorf("listing %s/%s: the server says that there is more, and not where (continuation token %q)", b, prefix, next)
			}
			last = next
		}
		for _, o := range page.Contents {
			key, size := aws.ToString(o.Key), aws.ToInt64(o.Size)
			if !strings.HasPrefix(key, prefix) || size < 0 {
				continue
			}
			if err := each(Info{Key: key, Size: size, ETag: aws.ToString(o.ETag), Modified: aws.ToTime(o.LastModified)}); err != nil {
				return err
			}
		}
	}
	return nil
}

// explain puts an error of the SDK into words, without the request ids and
// wrappers that it comes in.
func (b *Bucket) explain(what, key string, err error) error {
	place := b.String() + "/" + key
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s %s: %w", what, place, err)
	}
	var api smithy.APIError
	code, text := "", ""
	if errors.As(err, &api) {
		code, text = api.ErrorCode(), api.ErrorMessage()
	}
	status := 0
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) {
		status = response.HTTPStatusCode()
	}
	switch {
	case code == "NoSuchBucket":
		return fmt.Errorf("%s %s: there is no bucket %s in region %s: %w", what, place, b.name, b.region, ErrNotFound)
	case code == "NoSuchKey" || code == "NotFound" || status == http.StatusNotFound:
		return fmt.Errorf("%s %s: %w", what, place, ErrNotFound)
	case status == http.StatusPreconditionFailed:
		return fmt.Errorf("%s %s: %w", what, place, ErrChanged)
	case status == http.StatusForbidden:
		detail := strings.TrimSpace(code + " " + text)
		return fmt.Errorf("%s %s: %w (%s); look at the credentials and at the policy of the bucket", what, place, ErrDenied, detail)
	case code != "":
		return fmt.Errorf("%s %s: %s: %s", what, place, code, text)
	}
	var cause *smithy.OperationError
	if errors.As(err, &cause) {
		err = cause.Err
	}
	return fmt.Errorf("%s %s: %w", what, place, err)
}
