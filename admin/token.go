package admin

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// LoadOrMakeToken returns the admin token of a file. When the file is not there
// it is made, with its folder, mode 0600 and 256 random bits; of several
// processes that start at once all get the same token. A line end after the token
// does not count; an empty file is an error, because an empty token would be no
// protection.
func LoadOrMakeToken(path string) ([]byte, error) {
	token, err := readToken(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return token, err
	}
	if err := makeToken(path); err != nil {
		return nil, fmt.Errorf("making the admin token file %s (--admin-token-file): %w", path, err)
	}
	return readToken(path)
}

func readToken(path string) ([]byte, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the admin token (--admin-token-file): %w", err)
	}
	token := bytes.TrimSpace(content)
	if len(token) == 0 {
		return nil, fmt.Errorf("the admin token file %s (--admin-token-file) is empty; delete it to have a new token made", path)
	}
	return token, nil
}

// makeToken writes the token beside path and links it there, so that nobody
// reads half of it and the first of several processes wins.
func makeToken(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// CreateTemp makes files of mode 0600.
	f, err := os.CreateTemp(dir, ".admin-token-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	var secret [32]byte
	rand.Read(secret[:]) // never fails
	_, err = f.WriteString(base64.RawURLEncoding.EncodeToString(secret[:]) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
