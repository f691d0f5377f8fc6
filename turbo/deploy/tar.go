package deploy

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/klauspost/compress/zstd"

	"edgerouter/internal/bucket"
	"edgerouter/turbo/content"
)

// ErrTar is in the chain of errors that say what is wrong with a tar.
var ErrTar = errors.New("the tar cannot be deployed")

// permanent says whether trying again is of no use.
func permanent(err error) bool {
	return errors.Is(err, bucket.ErrDenied) || errors.Is(err, bucket.ErrNotFound)
}

// maxWindow bounds what a zstd stream may have us keep in memory.
const maxWindow = 128 << 20

// uncompressed finds the compression of a tar by its first bytes.
func uncompressed(r io.Reader) (io.Reader, func(), error) {
	in := bufio.NewReaderSize(r, 64<<10)
	first, err := in.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, fmt.Errorf("reading the tar: %w", err)
	}
	switch {
	case len(first) == 0:
		return nil, nil, fmt.Errorf("%w: it is empty", ErrTar)
	case bytes.HasPrefix(first, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: its gzip: %w", ErrTar, err)
		}
		return z, func() { z.Close() }, nil
	case bytes.Equal(first, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, fmt.Errorf("%w: its zstd: %w", ErrTar, err)
		}
		return z, z.Close, nil
	case bytes.HasPrefix(first, []byte("PK\x03\x04")):
		return nil, nil, fmt.Errorf("%w: it is a zip; make a tar of its files", ErrTar)
	}
	return in, func() {}, nil
}

// readTar calls each for every file. What is not a file or a folder is refused,
// and so are names that would be read in more than one way.
func readTar(r io.Reader, each func(path string, size int64, r io.Reader) error) error {
	in, end, err := uncompressed(r)
	if err != nil {
		return err
	}
	defer end()
	tail := &zeroTail{r: in}
	t := tar.NewReader(tail)
	seen := map[string]bool{}
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrTar, err)
		}
		switch h.Typeflag {
		case tar.TypeReg:
		case tar.TypeDir, tar.TypeXGlobalHeader:
			continue
		case tar.TypeSymlink, tar.TypeLink:
			return fmt.Errorf("%w: %q is a link to %q; a site is made of files (tar --dereference follows links)", ErrTar, h.Name, h.Linkname)
		default:
			return fmt.Errorf("%w: %q is no file", ErrTar, h.Name)
		}
		name, err := sitePath(h.Name)
		if err != nil {
			return fmt.Errorf("%w: %q: %w", ErrTar, h.Name, err)
		}
		if seen[name] {
			return fmt.Errorf("%w: %q is in it twice", ErrTar, h.Name)
		}
		seen[name] = true
		if err := each(name, h.Size, t); err != nil {
			return err
		}
	}
	// A tar that was cut off between two files looks like one that ends there.
	if tail.zeros < 1024 {
		return fmt.Errorf("%w: it has no end: it was cut off", ErrTar)
	}
	// The rest is padding, and the checksum of the compression.
	if _, err := io.Copy(io.Discard, in); err != nil {
		return fmt.Errorf("%w: %w", ErrTar, err)
	}
	return nil
}

var errAbsolute = errors.New("an absolute path")

// sitePath is the path in the site of a name in a tar: "./" goes, "/" comes
// before it.
func sitePath(name string) (string, error) {
	if strings.HasPrefix(name, "/") {
		return "", errAbsolute
	}
	for {
		rest, ok := strings.CutPrefix(name, "./")
		if !ok {
			break
		}
		name = rest
	}
	p := "/" + name
	if err := content.CheckPath(p); err != nil {
		return "", err
	}
	return path.Clean(p), nil
}

// zeroTail counts the zero bytes at the end of what was read: a tar ends in two
// blocks of them.
type zeroTail struct {
	r     io.Reader
	zeros int
}

func (z *zeroTail) Read(p []byte) (int, error) {
	n, err := z.r.Read(p)
	if trimmed := len(bytes.TrimRight(p[:n], "\x00")); trimmed > 0 {
		z.zeros = n - trimmed
	} else {
		z.zeros += n
	}
	return n, err
}
