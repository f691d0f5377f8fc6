package bucket

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

const (
	// partSize is that of the parts that an object beyond it is sent in. S3 takes
	// 10,000 of them, so that 640 GB is the largest object.
	partSize = 64 << 20
	maxParts = 10_000
)

// Object is what Put sends. Body must read the same each time: what fails is
// sent again.
type Object struct {
	Body         io.ReaderAt
	Size         int64
	ContentType  string
	CacheControl string
	// SHA256 of the content, when it is known: S3 then refuses what arrives damaged.
	SHA256 *[sha256.Size]byte
	// IfNew refuses to overwrite (ErrChanged).
	IfNew bool
}

// Put writes an object. It is there as a whole or not at all.
func (b *Bucket) Put(ctx context.Context, key string, o Object) error {
	if o.Size > partSize {
		return b.putParts(ctx, key, o)
	}
	in := &s3.PutObjectInput{
		Bucket: &b.name, Key: &key, Body: io.NewSectionReader(o.Body, 0, o.Size), ContentLength: &o.Size,
		ContentType: optional(o.ContentType), CacheControl: optional(o.CacheControl),
	}
	if o.SHA256 != nil {
		in.ChecksumSHA256 = aws.String(base64.StdEncoding.EncodeToString(o.SHA256[:]))
	}
	if o.IfNew {
		in.IfNoneMatch = aws.String("*")
	}
	if _, err := b.client.PutObject(ctx, in); err != nil {
		return b.explain("writing", key, err)
	}
	return nil
}

// putParts sends a large object in parts (multipart upload), one after the other:
// whoever has many objects sends several at a time.
func (b *Bucket) putParts(ctx context.Context, key string, o Object) (err error) {
	if o.Size > partSize*maxParts {
		return fmt.Errorf("writing %s/%s: %d bytes, at most %d can be sent", b, key, o.Size, int64(partSize*maxParts))
	}
	upload, err := b.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: &b.name, Key: &key, ContentType: optional(o.ContentType), CacheControl: optional(o.CacheControl),
	})
	if err != nil {
		return b.explain("writing", key, err)
	}
	defer func() {
		if err != nil { // parts that are left behind cost money
			_, _ = b.client.AbortMultipartUpload(context.WithoutCancel(ctx), &s3.AbortMultipartUploadInput{
				Bucket: &b.name, Key: &key, UploadId: upload.UploadId,
			})
		}
	}()
	var done []types.CompletedPart
	for at := int64(0); at < o.Size; at += partSize {
		number, size := int32(len(done)+1), min(partSize, o.Size-at)
		part, err := b.client.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: &b.name, Key: &key, UploadId: upload.UploadId, PartNumber: &number,
			Body: io.NewSectionReader(o.Body, at, size), ContentLength: &size,
		})
		if err != nil {
			return b.explain(fmt.Sprintf("writing part %d of", number), key, err)
		}
		done = append(done, types.CompletedPart{PartNumber: &number, ETag: part.ETag})
	}
	_, err = b.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &b.name, Key: &key, UploadId: upload.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: done},
	})
	if err != nil {
		return b.explain("writing", key, err)
	}
	return nil
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
