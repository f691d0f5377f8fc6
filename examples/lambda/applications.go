package main

import (
	"bytes"
	"context"
	"embed"
	"io/fs"
	"strings"

	"edgerouter/turbo/deploy"
	"edgerouter/turbo/origin"
	"edgerouter/turbo/store"
)

// template is what is served; MANIFEST stands for the id of the site's manifest.
//
//go:embed applications.json
var template string

// definitions are the applications with the site's manifest filled in.
func definitions(manifest string) []byte {
	return []byte(strings.ReplaceAll(template, "MANIFEST", manifest))
}

//go:embed site
var site embed.FS

// deploySite puts the rest of shop.localhost, a static site, into a store, as
// edgerouter turbocharger tar-deploy-to-store does, and returns the id of its
// manifest.
func deploySite(ctx context.Context, folder string) (manifest string, err error) {
	files, err := fs.Sub(site, "site")
	if err != nil {
		return "", err
	}
	var tar bytes.Buffer
	if err := origin.Tar(&tar, files); err != nil {
		return "", err
	}
	s, err := store.OpenFolder(folder)
	if err != nil {
		return "", err
	}
	r, err := deploy.Tar(ctx, s, "shop", &tar, deploy.Options{})
	return r.Manifest.String(), err
}
