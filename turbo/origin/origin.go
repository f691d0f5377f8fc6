// Package origin is for applications in Go behind edgerouter: it advertises a
// subtree of theirs, which the edge then serves from a store, and makes the tar
// of their files that is deployed there.
//
// Without an edge that knows the header everything still works: the application
// goes on serving the files itself. The package needs nothing but the standard
// library.
package origin

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"time"
)

// Header is the name of the header that advertises.
const Header = "turbocharger"

// Variable names the environment variable that has the id of the manifest, as
// "edgerouter turbocharger tar-deploy-to-store" printed it.
const Variable = "TURBOCHARGER_MANIFEST"

// FromEnvironment is Advertise with the manifest that Variable names.
func FromEnvironment(prefix string, next http.Handler) http.Handler {
	return Advertise(prefix, os.Getenv(Variable), next)
}

// Advertise adds the header to what next answers below a prefix such as
// "/static". Without a manifest it returns next. HEAD on the prefix itself, by
// which the edge finds out whether the advertisement still holds, is answered
// here.
func Advertise(prefix, manifest string, next http.Handler) http.Handler {
	if manifest == "" {
		return next
	}
	if prefix = strings.TrimSuffix(prefix, "/"); prefix == "" {
		prefix = "/"
	}
	value := prefix + " " + manifest
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rest, below := strings.CutPrefix(r.URL.Path, prefix)
		if prefix == "/" {
			rest = "/" + rest
		}
		if !below || rest != "" && rest[0] != '/' {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set(Header, value)
		if r.Method == http.MethodHead && (rest == "" || rest == "/") {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Tar writes the files of fsys as a tar that can be deployed. The times in it are
// all the same, so that the same files make the same tar.
func Tar(w io.Writer, fsys fs.FS) error {
	t := tar.NewWriter(w)
	err := fs.WalkDir(fsys, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := fsys.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is no file", path)
		}
		if err := t.WriteHeader(&tar.Header{Name: path, Size: info.Size(), Mode: 0o644, ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg}); err != nil {
			return err
		}
		if _, err := io.Copy(t, f); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("making a tar of the files: %w", err)
	}
	return t.Close()
}
