package middleware

import (
	"bytes"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/molecule-man/go-brrr"
)

// The effort of each coding was chosen for answers that are made as they are
// asked for: where more of it gains a tenth or less in size. The window of 128 KiB
// bounds the memory of an encoder, which a slow stream holds for as long as it
// lasts: about 0.8 MiB for br, 1.1 MiB for gzip, 1.7 MiB for zstd.
const (
	gzipLevel    = 5
	brotliLevel  = 4
	windowBits   = 17
	encodeBuffer = 32 << 10
)

// encoder is what the three have in common.
type encoder interface {
	io.WriteCloser
	// Flush writes out all that was written so far.
	Flush() error
	Reset(w io.Writer)
}

// compressor is an encoder with the buffers around it, from a pool.
type compressor struct {
	encoder
	coding coding
	in     [encodeBuffer]byte
	out    bytes.Buffer
}

var compressors = [codings]sync.Pool{
	gzipCoding: {New: func() any {
		w, err := gzip.NewWriterLevel(nil, gzipLevel)
		return newCompressor(gzipCoding, w, err)
	}},
	brotliCoding: {New: func() any {
		w, err := brrr.NewWriterOptions(nil, brotliLevel, brrr.WriterOptions{LGWin: windowBits})
		return newCompressor(brotliCoding, w, err)
	}},
	zstdCoding: {New: func() any {
		// One at a time, so that it starts no goroutines. RFC 9659 allows a window
		// of 8 MiB.
		w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true),
			zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithWindowSize(1<<windowBits))
		return newCompressor(zstdCoding, w, err)
	}},
}

// newCompressor returns nil for options that an encoder does not take, which a
// test would show.
func newCompressor(c coding, e encoder, err error) *compressor {
	if err != nil {
		return nil
	}
	return &compressor{encoder: e, coding: c}
}

// getCompressor returns a compressor that writes to its own out.
func getCompressor(c coding) *compressor {
	z := compressors[c].Get().(*compressor)
	z.out.Reset()
	z.Reset(&z.out)
	return z
}

// keptOutput is up to which size the buffer of a compressor is worth keeping.
const keptOutput = 256 << 10

// put gives it back; nothing of it must be used any more.
func (z *compressor) put() {
	if z.out.Cap() > keptOutput {
		z.out = bytes.Buffer{}
	}
	z.Reset(nil)
	compressors[z.coding].Put(z)
}

// all compresses a whole body; the result is valid until put.
func (z *compressor) all(body []byte) ([]byte, error) {
	if _, err := z.Write(body); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return z.out.Bytes(), nil
}

// compressedStream is a body that is compressed as it is read. Whatever one read
// of the body gave is flushed before the next, so that nothing that has come is
// held back.
type compressedStream struct {
	stream
	z      *compressor
	err    error // of the body, or io.EOF; told when out is empty
	closed bool
}

// Read compresses what one read of the body gives.
func (s *compressedStream) Read(p []byte) (int, error) {
	if s.closed {
		return 0, io.ErrClosedPipe
	}
	for idle := 0; ; idle++ {
		if s.z.out.Len() > 0 {
			return s.z.out.Read(p)
		}
		switch {
		case s.err != nil:
			return 0, s.err
		case len(p) == 0:
			return 0, nil
		case idle == 100:
			return 0, io.ErrNoProgress
		}
		s.fill()
	}
}

func (s *compressedStream) fill() {
	s.z.out.Reset()
	n, err := s.stream.Read(s.z.in[:])
	if n > 0 {
		if _, werr := s.z.Write(s.z.in[:n]); werr != nil {
			s.err = werr
			return
		}
	}
	switch {
	case err == io.EOF:
		if s.err = s.z.Close(); s.err == nil {
			s.err = io.EOF
		}
	case err != nil:
		// The body broke off: no end is written that would make it look whole.
		s.z.Flush()
		s.err = err
	case n > 0:
		s.err = s.z.Flush()
	}
}

// Close gives the compressor back and closes the body.
func (s *compressedStream) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	s.z.put()
	s.z = nil
	return s.stream.Close()
}
