package deploy

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"edgerouter/turbo/content"
)

// inMemory is the size up to which a file waits in memory.
const inMemory = 1 << 20

// File is one file of a tar, whole and hashed.
type File struct {
	Path string
	ID   content.ID
	Size int64
	io.ReaderAt
	file *os.File // nil: in memory
}

// spool reads a file of the tar and hashes it on the way.
func spool(path string, size int64, r io.Reader, temp string) (*File, error) {
	f := &File{Path: path, Size: size}
	hash := sha256.New()
	if size <= inMemory {
		b := make([]byte, size)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, cutOff(path, err)
		}
		hash.Write(b)
		f.ReaderAt = bytes.NewReader(b)
	} else {
		w, err := os.CreateTemp(temp, "edgerouter-deploy-*")
		if err != nil {
			return nil, fmt.Errorf("a temporary file for %s: %w", path, err)
		}
		f.file, f.ReaderAt = w, w
		os.Remove(w.Name()) // it goes away by itself, however this process ends
		kept := &keeping{w: w}
		n, err := io.Copy(io.MultiWriter(kept, hash), r)
		switch {
		case kept.err != nil:
			err = fmt.Errorf("keeping %s, %d bytes, until it is sent: %w (TMPDIR names the folder)", path, size, kept.err)
		case err != nil:
			err = cutOff(path, err)
		case n != size:
			err = cutOff(path, io.ErrUnexpectedEOF)
		}
		if err != nil {
			f.close()
			return nil, err
		}
	}
	hash.Sum(f.ID[:0])
	return f, nil
}

// keeping tells failures of the disk from those of the tar.
type keeping struct {
	w   io.Writer
	err error
}

func (k *keeping) Write(p []byte) (n int, err error) {
	n, k.err = k.w.Write(p)
	return n, k.err
}

func cutOff(path string, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it breaks off in %s", ErrTar, path)
	}
	return fmt.Errorf("reading %s: %w", path, err)
}

func (f *File) close() {
	if f.file != nil {
		f.file.Close()
	}
}
