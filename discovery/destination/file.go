package destination

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"edgerouter/app"
)

// file is a file {"apps": [...]}, or a folder of such files.
type file struct{ path string }

func openFile(path string) *file { return &file{filepath.Clean(path)} }

// String is part of Destination.
func (f *file) String() string { return "file:" + f.path }

// document is one file and what it declares.
type document struct {
	path string
	apps []app.Application
}

// read returns the documents; none when there is nothing there yet.
func (f *file) read() (docs []document, folder bool, err error) {
	info, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		// A name with an extension is that of a file.
		return nil, filepath.Ext(f.path) == "", nil
	}
	if err != nil {
		return nil, false, err
	}
	paths := []string{f.path}
	if info.IsDir() {
		if paths, err = filepath.Glob(filepath.Join(f.path, "*.json")); err != nil {
			return nil, true, err
		}
	}
	for _, p := range paths {
		if info.IsDir() && strings.HasPrefix(filepath.Base(p), ".") {
			continue
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return nil, info.IsDir(), err
		}
		apps, err := decode(p, data)
		if err != nil {
			return nil, info.IsDir(), err
		}
		docs = append(docs, document{p, apps})
	}
	return docs, info.IsDir(), nil
}

// List is part of Destination.
func (f *file) List(context.Context) ([]app.Application, error) {
	docs, _, err := f.read()
	var all []app.Application
	for _, d := range docs {
		all = append(all, d.apps...)
	}
	return all, err
}

// Put is part of Destination. In a folder a new application gets a file ID.json.
func (f *file) Put(_ context.Context, a app.Application) error {
	docs, folder, err := f.read()
	if err != nil {
		return err
	}
	for _, d := range docs {
		if i := slices.IndexFunc(d.apps, func(x app.Application) bool { return x.ID == a.ID }); i >= 0 {
			d.apps[i] = a
			return write(d)
		}
	}
	switch {
	case folder:
		if err := os.MkdirAll(f.path, 0o755); err != nil {
			return err
		}
		return write(document{filepath.Join(f.path, a.ID+".json"), []app.Application{a}})
	case len(docs) == 0:
		return write(document{f.path, []app.Application{a}})
	}
	docs[0].apps = append(docs[0].apps, a)
	return write(docs[0])
}

// Remove is part of Destination. A file of a folder goes with its last application.
func (f *file) Remove(_ context.Context, id string) error {
	docs, folder, err := f.read()
	if err != nil {
		return err
	}
	for _, d := range docs {
		i := slices.IndexFunc(d.apps, func(x app.Application) bool { return x.ID == id })
		if i < 0 {
			continue
		}
		d.apps = slices.Delete(d.apps, i, i+1)
		if folder && len(d.apps) == 0 {
			return os.Remove(d.path)
		}
		return write(d)
	}
	return fmt.Errorf("%s in %s: %w", id, f, ErrNotFound)
}

// write replaces a file, with the permissions that it has.
func write(d document) error {
	if d.apps == nil {
		d.apps = []app.Application{}
	}
	data, err := encode(struct {
		Apps []app.Application `json:"apps"`
	}{d.apps})
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o600) // definitions hold secrets
	path := d.path
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // the link stays
	}
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	w, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(w.Name())
	_, err = w.Write(data)
	err = errors.Join(err, w.Chmod(mode), w.Sync(), w.Close())
	if err != nil {
		return err
	}
	return os.Rename(w.Name(), path)
}
