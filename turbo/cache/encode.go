package cache

import (
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/molecule-man/go-brrr"
)

// Encoding is a content coding.
type Encoding uint8

// The encodings.
const (
	Identity Encoding = iota
	Gzip
	Brotli
	Zstd
	Encodings = 4 // how many there are
)

var names = [Encodings]string{"identity", "gzip", "br", "zstd"}
var suffixes = [Encodings]string{"", "gz", "br", "zstd"}

// String is the coding's name in Content-Encoding.
func (e Encoding) String() string { return names[e] }

// Suffix is what ETags and file names add for the encoding: gz, br, zstd.
func (e Encoding) Suffix() string { return suffixes[e] }

// fileSuffix is that of the disk copy; what was made quickly is told apart.
func (e Encoding) fileSuffix(quick bool) string {
	if quick {
		return "." + suffixes[e] + "-quick"
	}
	return "." + suffixes[e]
}

// Sizes from which on compression gets less thorough, and is not done at all:
// the best level of brotli takes about 2 s of processor time for a megabyte.
const (
	thorough  = 1 << 20
	ordinary  = 16 << 20
	mostCoded = 256 << 20
	// window bounds what decoders need (RFC 9659: 8 MB).
	window = 8 << 20
)

// compressor writes the encoding of what is written to it.
func compressor(w io.Writer, e Encoding, size int64, quick bool) (io.WriteCloser, error) {
	switch e {
	case Gzip:
		level := 9
		if quick {
			level = 2
		}
		return gzip.NewWriterLevel(w, level)
	case Brotli:
		level := 11
		switch {
		case quick:
			level = 3
		case size > ordinary:
			level = 6
		case size > thorough:
			level = 9
		}
		return brrr.NewWriterOptions(w, level, brrr.WriterOptions{SizeHint: uint(size)})
	case Zstd:
		level := zstd.SpeedBestCompression
		switch {
		case quick:
			level = zstd.SpeedFastest
		case size > ordinary:
			level = zstd.SpeedBetterCompression
		}
		return zstd.NewWriter(w, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window))
	}
	return nil, fmt.Errorf("no compressor for %s", e)
}

// decompressor reads back what compressor wrote.
func decompressor(r io.Reader, e Encoding) (io.Reader, func(), error) {
	switch e {
	case Gzip:
		z, err := gzip.NewReader(r)
		return z, func() {}, err
	case Brotli:
		return brrr.NewReader(r), func() {}, nil
	case Zstd:
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(window))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return nil, nil, fmt.Errorf("no decompressor for %s", e)
}
