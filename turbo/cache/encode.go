package cache

import (
	"fmt"
	"io"
	"sync"

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
	// smallWindow is brotli's for small files, in bits: its buffer is twice as large,
	// and 8 MB otherwise.
	smallWindow = 18
)

// effort is how thoroughly an encoding is made.
type effort uint8

const (
	// quick is for the first use. It goes in pieces, with room for others in between:
	// with one processor, nothing else runs during a piece.
	quick effort = iota
	// best takes 70 to 100 times as long for brotli and up to 40 times for the others,
	// in one piece, for files that are 4 to 14% smaller. With more than one processor
	// the others answer meanwhile; with one it is left out.
	best
)

// piece is what is compressed at a time when it is to be quick: 0.03 to 0.1 ms of
// work, and twice to four times that when it is not in the processor's caches. Ending
// a block after each makes files of 16 to 100 KB 2 to 4% larger.
const piece = 4 << 10

// encoder is a compressor that can end a block.
type encoder interface {
	io.WriteCloser
	Flush() error
}

// compressors keep what compressing took: 1 to 5 MB for each encoding of a file of
// any size, which the garbage collector would be busy with when a version comes.
type compressors struct {
	gzip [best + 1]sync.Pool
	zstd [best + 1][len(windows)]sync.Pool
}

// lent is a compressor that goes back when it is closed without an error.
type lent struct {
	encoder
	from *sync.Pool
}

func (l lent) Close() error {
	err := l.encoder.Close()
	if err == nil {
		l.from.Put(l.encoder)
	}
	return err
}

// borrow takes a compressor of the pool, or makes one.
func borrow(w io.Writer, from *sync.Pool, make func() (encoder, error)) (encoder, error) {
	if z, ok := from.Get().(interface {
		encoder
		Reset(io.Writer)
	}); ok {
		z.Reset(w)
		return lent{z, from}, nil
	}
	z, err := make()
	return lent{z, from}, err
}

// to writes the encoding of what is written to it.
func (c *compressors) to(w io.Writer, e Encoding, size int64, how effort) (encoder, error) {
	switch e {
	case Gzip:
		level := 9
		if how == quick {
			level = 6
		}
		return borrow(w, &c.gzip[how], func() (encoder, error) { return gzip.NewWriterLevel(w, level) })
	case Brotli:
		level := 11
		switch {
		case how == quick:
			level = 5
		case size > ordinary:
			level = 6
		case size > thorough:
			level = 9
		}
		o := brrr.WriterOptions{SizeHint: uint(size)}
		if size < 1<<smallWindow {
			o.LGWin = smallWindow
		}
		return brrr.NewWriterOptions(w, level, o)
	case Zstd:
		if size > ordinary {
			how = quick
		}
		level := [...]zstd.EncoderLevel{quick: zstd.SpeedBetterCompression, best: zstd.SpeedBestCompression}[how]
		at := windowOf(size)
		return borrow(w, &c.zstd[how][at], func() (encoder, error) {
			return zstd.NewWriter(w, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(windows[at]), zstd.WithLowerEncoderMem(true))
		})
	}
	return nil, fmt.Errorf("no compressor for %s", e)
}

// windows are those of zstd, by which its encoder takes memory.
var windows = [...]int{64 << 10, 1 << 20, window}

// windowOf is the smallest window that holds a file, or the largest one.
func windowOf(size int64) int {
	at := 0
	for at < len(windows)-1 && int64(windows[at]) < size {
		at++
	}
	return at
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
