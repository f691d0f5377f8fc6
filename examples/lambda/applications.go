package main

import (
	_ "embed"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
)

// template is what is served; SITE stands for the address of the site.
//
//go:embed applications.json
var template string

// definitions are the applications with the site's address filled in.
func definitions(site string) []byte {
	return []byte(strings.ReplaceAll(template, "http://SITE", site))
}

// newSite is the rest of shop.localhost: a peer here; a bucket or a Turbocharger
// manifest does as well.
func newSite() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, "<!DOCTYPE html>\n<title>Shop</title>\n<p>The site is here, its API is at <a href=\"/api/orders?n=2\">/api/orders</a>.</p>\n")
	}))
}
