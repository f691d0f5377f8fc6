package quickstart

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"io/fs"
	"time"

	"edgerouter/turbo/deploy"
	"edgerouter/turbo/origin"
	"edgerouter/turbo/store"
)

//go:embed site
var siteFiles embed.FS

// siteTime is the time of the deploy, always the same, so that the same files
// have the same manifest.
var siteTime = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

// DeploySite puts the static site of the quickstart into a store, which is nothing
// to do after the first time, and returns the id of its manifest.
func DeploySite(ctx context.Context, s store.Store) (manifest string, err error) {
	files, err := fs.Sub(siteFiles, "site")
	if err != nil {
		return "", err
	}
	var tar bytes.Buffer
	if err := origin.Tar(&tar, files); err != nil {
		return "", err
	}
	r, err := deploy.Tar(ctx, s, "quickstart", bytes.NewReader(tar.Bytes()), deploy.Options{Now: func() time.Time { return siteTime }})
	if err != nil {
		return "", fmt.Errorf("deploying the site of the quickstart: %w", err)
	}
	return r.Manifest.String(), nil
}
