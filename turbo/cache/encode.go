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

// effort is how thoroughly an encoding is made.
type effort uint8

const (
	quick effort = iota // at first use
	// good is what can be made in short pieces. With one processor, nothing else
	// runs during a piece: the best level of brotli takes 2 to 200 ms for each.
	good
	// best takes up to sixty times as long as good for files that are 5 to 10%
	// smaller; with more than one processor, the others answer meanwhile.
	best
)

// piece is what is compressed at a time where there is to be room for others in
// between: 0.1 to 0.4 ms of work. Ending a block after each makes files of 16 to
// 100 KB 0.3 to 2% larger.
const piece = 8 << 10

// encoder is a compressor that can end a block.
type encoder interface {
	io.WriteCloser
	Flush() error
}

// compressor writes the encoding of what is written to it.
func compressor(w io.Writer, e Encoding, size int64, how effort) (encoder, error) {
	switch e {
	case Gzip:
		level := 9
		if how == quick {
			level = 2
		}
		return gzip.NewWriterLevel(w, level)
	case Brotli:
		level := 11
		switch {
		case how == quick:
			level = 3
		case size > ordinary:
			level = 6
		case size > thorough || how == good:
			level = 9
		}
		return brrr.NewWriterOptions(w, level, brrr.WriterOptions{SizeHint: uint(size)})
	case Zstd:
		level := zstd.SpeedBestCompression
		switch {
		case how == quick:
			level = zstd.SpeedFastest
		case size > ordinary || how == good:
			level = zstd.SpeedBetterCompression
		}
		return zstd.NewWriter(w, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(windowOf(size)), zstd.WithLowerEncoderMem(true))
	}
	return nil, fmt.Errorf("no compressor for %s", e)
}

// windowOf is the smallest window that holds a file: encoders take memory by it,
// which with many small files is what the garbage collector is busy with.
func windowOf(size int64) int {
	n := zstd.MinWindowSize
	for int64(n) < size && n < window {
		n *= 2
	}
	return n
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
