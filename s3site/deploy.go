package s3site

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"edgerouter/internal/bucket"
	"edgerouter/turbo/content"
	"edgerouter/turbo/deploy"
)

// cacheControl is what the objects of a version say: they never change.
const cacheControl = "max-age=31536000"

// ErrDeployed is the error of a version that is there already.
var ErrDeployed = errors.New("the version is deployed already")

// DeployOptions say how a deploy is done.
type DeployOptions struct {
	Force    bool // deploys over a version that is there already
	Temp     string
	Progress func(deploy.Progress)
	Now      func() time.Time // time.Now by default
}

// Deploy puts the files of a tar into the bucket, then the record that they are
// there. The application is not changed: that is the next step, and until then
// readers see the old version. A run after one that broke off sends only the files
// that are missing or other ones.
func Deploy(ctx context.Context, b *bucket.Bucket, id, version string, tar io.Reader, o DeployOptions) (deploy.Progress, error) {
	if err := checkVersion(version); err != nil {
		return deploy.Progress{}, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	_, err := b.Head(ctx, recordKey(id, version))
	switch {
	case err == nil && !o.Force:
		return deploy.Progress{}, fmt.Errorf("%s of %s in %s: %w; give it another name, or overwrite it with --force", version, id, b, ErrDeployed)
	case err != nil && !errors.Is(err, bucket.ErrNotFound) && !errors.Is(err, bucket.ErrDenied):
		return deploy.Progress{}, err
	}
	below := folder(id, version)
	var (
		mu   sync.Mutex
		done deploy.Progress
	)
	err = deploy.EachFile(ctx, tar, o.Temp, func(ctx context.Context, f *deploy.File) error {
		key := below + f.Path[1:]
		sent := true
		// An object that was sent in one piece tells the hash of its content.
		if info, err := b.Head(ctx, key); err == nil && info.SHA256 == base64.StdEncoding.EncodeToString(f.ID[:]) {
			sent = false
		} else if err := b.Put(ctx, key, bucket.Object{
			Body: f, Size: f.Size, ContentType: content.KindOf(f.Path).Type(), CacheControl: cacheControl, SHA256: (*[32]byte)(&f.ID),
		}); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		done.Files++
		done.Bytes += f.Size
		if sent {
			done.Sent++
			done.SentBytes += f.Size
		}
		if o.Progress != nil {
			o.Progress(done)
		}
		return nil
	})
	if err != nil {
		return done, err
	}
	record, err := json.Marshal(Record{version, o.Now().UTC()})
	if err != nil {
		return done, err
	}
	return done, b.Put(ctx, recordKey(id, version), bucket.Object{
		Body: bytes.NewReader(record), Size: int64(len(record)), ContentType: "application/json",
	})
}

func checkVersion(v string) error {
	if content.CheckPath("/"+v) != nil || strings.ContainsAny(v, "/\\?#%") {
		return fmt.Errorf("the version %q: it is part of a path, without \"/\", \"\\\", \"?\", \"#\" and \"%%\"", v)
	}
	return nil
}
