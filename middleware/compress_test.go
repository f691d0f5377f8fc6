package middleware

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/molecule-man/go-brrr"
	"github.com/valyala/fasthttp"

	"edgerouter/app"
)

// decoding reads what a coding made.
func decoding(t testing.TB, c string, r io.Reader) io.Reader {
	t.Helper()
	var err error
	switch c {
	case "gzip":
		r, err = gzip.NewReader(r)
	case "br":
		r = brrr.NewReader(r)
	case "zstd":
		var d *zstd.Decoder
		if d, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(8<<20)); err == nil {
			t.Cleanup(d.Close)
			r = d
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func decoded(t testing.TB, c string, b []byte) string {
	t.Helper()
	out, err := io.ReadAll(decoding(t, c, bytes.NewReader(b)))
	if err != nil {
		t.Fatalf("%s: %v", c, err)
	}
	return string(out)
}

var longText = strings.Repeat("Compression is for what repeats itself. ", 100)

func TestCompress(t *testing.T) {
	type fields = []string
	for _, c := range []struct {
		name     string
		opts     app.CompressOpts
		method   string
		request  fields
		status   int
		response fields
		body     string
		coding   string // "" for none
		vary     string
		more     fields // that the answer has then; "Name:" that it has not
	}{
		{name: "zstd before br before gzip", request: fields{"Accept-Encoding: gzip, br, zstd"}, coding: "zstd", vary: "Accept-Encoding"},
		{name: "br", request: fields{"Accept-Encoding: gzip, br"}, coding: "br", vary: "Accept-Encoding"},
		{name: "gzip", request: fields{"Accept-Encoding: gzip"}, coding: "gzip", vary: "Accept-Encoding"},
		{name: "several fields", request: fields{"Accept-Encoding: x", "Accept-Encoding: gzip"}, coding: "gzip", vary: "Accept-Encoding"},
		{name: "other order", opts: app.CompressOpts{Encodings: []string{"gzip", "zstd"}}, request: fields{"Accept-Encoding: br, zstd, gzip"}, coding: "gzip", vary: "Accept-Encoding"},
		{name: "not accepted", vary: "Accept-Encoding"},
		{name: "identity", request: fields{"Accept-Encoding: identity"}, vary: "Accept-Encoding"},

		{name: "small", request: fields{"Accept-Encoding: gzip"}, body: "small"},
		{name: "at the bound", opts: app.CompressOpts{MinResponseBody: app.Size(len(longText))}, request: fields{"Accept-Encoding: gzip"}, coding: "gzip", vary: "Accept-Encoding"},
		{name: "below the bound", opts: app.CompressOpts{MinResponseBody: app.Size(len(longText) + 1)}, request: fields{"Accept-Encoding: gzip"}},
		{name: "not smaller", request: fields{"Accept-Encoding: gzip"}, body: noise(2000), vary: "Accept-Encoding"},
		{name: "image", request: fields{"Accept-Encoding: gzip"}, response: fields{"Content-Type: image/png"}},
		{name: "no type", request: fields{"Accept-Encoding: gzip"}, response: fields{"Content-Type: "}},
		{name: "only others", opts: app.CompressOpts{IncludedTypes: []string{"text/css"}}, request: fields{"Accept-Encoding: gzip"}},
		{name: "only this", opts: app.CompressOpts{IncludedTypes: []string{"IMAGE/*"}}, request: fields{"Accept-Encoding: gzip"}, response: fields{"Content-Type: image/png"}, coding: "gzip", vary: "Accept-Encoding"},
		{name: "not this", opts: app.CompressOpts{ExcludedTypes: []string{"text/html"}}, request: fields{"Accept-Encoding: gzip"}},

		{name: "encoded", request: fields{"Accept-Encoding: gzip"}, response: fields{"Content-Encoding: br"}, more: fields{"Content-Encoding: br"}},
		{name: "identity by name", request: fields{"Accept-Encoding: gzip"}, response: fields{"Content-Encoding: identity"}, coding: "gzip", vary: "Accept-Encoding"},
		{name: "no-transform", request: fields{"Accept-Encoding: gzip"}, response: fields{"Cache-Control: public, No-Transform"}},
		{name: "no-transform asked for", request: fields{"Accept-Encoding: gzip", "Cache-Control: no-transform"}, vary: "Accept-Encoding"},
		{name: "partial", request: fields{"Accept-Encoding: gzip"}, status: 206, response: fields{"Content-Range: bytes 0-1/2"}},
		{name: "a range that is no 206", request: fields{"Accept-Encoding: gzip"}, response: fields{"Content-Range: bytes */2"}, status: 416},
		{name: "no content", request: fields{"Accept-Encoding: gzip"}, status: 204},
		{name: "an error", request: fields{"Accept-Encoding: gzip"}, status: 500, coding: "gzip", vary: "Accept-Encoding"},

		{name: "fields", request: fields{"Accept-Encoding: gzip"},
			response: fields{`ETag: "abc"`, "Accept-Ranges: bytes", "Content-MD5: x", "Digest: x", "Content-Digest: x", "Repr-Digest: x", "Vary: Origin", "X-Kept: 1"},
			coding:   "gzip", vary: "Origin, Accept-Encoding",
			more: fields{`ETag: W/"abc"`, "Accept-Ranges:", "Content-Md5:", "Digest:", "Content-Digest:", "Repr-Digest:", "X-Kept: 1"}},
		{name: "fields of a client that takes none", response: fields{`ETag: "abc"`, "Accept-Ranges: bytes"}, vary: "Accept-Encoding", more: fields{`ETag: "abc"`, "Accept-Ranges: bytes"}},
		{name: "weak already", request: fields{"Accept-Encoding: gzip"}, response: fields{`ETag: W/"abc"`}, coding: "gzip", vary: "Accept-Encoding", more: fields{`ETag: W/"abc"`}},
		{name: "varies already", request: fields{"Accept-Encoding: gzip"}, response: fields{"Vary: Origin, accept-ENCODING"}, coding: "gzip", vary: "Origin, accept-ENCODING"},
		{name: "varies in all", request: fields{"Accept-Encoding: gzip"}, response: fields{"Vary: *"}, coding: "gzip", vary: "*"},
		{name: "varies twice", request: fields{"Accept-Encoding: gzip"}, response: fields{"Vary: A", "Vary: B"}, coding: "gzip", vary: "A|B|Accept-Encoding"},

		{name: "not modified", status: 304, response: fields{`ETag: "abc"`}, request: fields{`If-None-Match: "x", W/"abc"`}, vary: "Accept-Encoding", more: fields{`ETag: W/"abc"`}},
		{name: "not modified, strong", status: 304, response: fields{`ETag: "abc"`}, request: fields{`If-None-Match: "abc"`}, vary: "Accept-Encoding", more: fields{`ETag: "abc"`}},
		{name: "not modified, not to be touched", status: 304, response: fields{`ETag: "abc"`, "Cache-Control: no-transform"}, request: fields{`If-None-Match: W/"abc"`}, more: fields{`ETag: "abc"`}},
	} {
		for _, how := range []string{"whole", "stream", "stream of known length"} {
			body := c.body
			if body == "" {
				body = longText
			}
			none := c.status == 204 || c.status == 304
			if none && how != "whole" || how == "stream" && (strings.Contains(c.name, "small") || strings.Contains(c.name, "bound")) || how != "whole" && c.name == "not smaller" {
				continue
			}
			original := &closingStream{Reader: strings.NewReader(body)}
			w := must(t)(NewCompress(c.opts, Deps{}))
			ctx := request("GET", "/", c.request...)
			w(func(ctx *fasthttp.RequestCtx) {
				h := &ctx.Response.Header
				h.SetNoDefaultContentType(true)
				h.Set("Content-Type", "text/html; charset=utf-8")
				for _, f := range c.response {
					name, value, _ := strings.Cut(f, ": ")
					h.Add(name, value)
				}
				if c.status != 0 {
					ctx.SetStatusCode(c.status)
				}
				switch {
				case none:
				case how == "whole":
					ctx.SetBodyString(body)
				case how == "stream":
					ctx.Response.SetBodyStream(original, -1)
				default:
					ctx.Response.SetBodyStream(original, len(body))
				}
			})(ctx)
			name := c.name + ", " + how
			h := &ctx.Response.Header
			got, err := io.ReadAll(bodyOf(&ctx.Response))
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			switch {
			case none:
			case c.coding != "":
				if string(h.ContentEncoding()) != c.coding || len(got) >= len(body) || decoded(t, c.coding, got) != body {
					t.Errorf("%s: Content-Encoding %q, %d bytes of %d", name, h.ContentEncoding(), len(got), len(body))
				}
				if how != "whole" && h.ContentLength() != -1 {
					t.Errorf("%s: Content-Length %d", name, h.ContentLength())
				}
			case string(got) != body:
				t.Errorf("%s: Content-Encoding %q and another body", name, h.ContentEncoding())
			case how == "stream of known length" && h.ContentLength() != len(body):
				t.Errorf("%s: Content-Length %d", name, h.ContentLength())
			}
			if v := all(h.PeekAll("Vary")); v != c.vary {
				t.Errorf("%s: Vary %q, want %q", name, v, c.vary)
			}
			for _, f := range c.more {
				field, value, _ := strings.Cut(f, ":")
				if v := all(h.PeekAll(field)); v != strings.TrimSpace(value) {
					t.Errorf("%s: %s %q, want %q", name, field, v, value)
				}
			}
			ctx.Response.CloseBodyStream()
			ctx.Response.Reset()
			if how != "whole" && original.closed != 1 {
				t.Errorf("%s: closed %d times", name, original.closed)
			}
		}
	}
}

func bodyOf(resp *fasthttp.Response) io.Reader {
	if resp.IsBodyStream() {
		return resp.BodyStream()
	}
	return bytes.NewReader(resp.Body())
}

// noise is what no coding makes smaller.
func noise(n int) string {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

func TestCompressHead(t *testing.T) {
	w := must(t)(NewCompress(app.CompressOpts{}, Deps{}))
	for _, c := range []struct {
		length, want int
		encoding     string
	}{{5000, -1, "gzip"}, {10, 10, ""}, {0, -1, "gzip"}} {
		ctx := request("HEAD", "/", "Accept-Encoding: gzip")
		w(func(ctx *fasthttp.RequestCtx) {
			ctx.SetContentType("text/html")
			ctx.Response.Header.Set("Etag", `"a"`)
			if c.length > 0 {
				ctx.Response.Header.SetContentLength(c.length)
			}
		})(ctx)
		h := &ctx.Response.Header
		if h.ContentLength() != c.want || string(h.ContentEncoding()) != c.encoding || len(ctx.Response.Body()) > 0 {
			t.Errorf("length %d: Content-Length %d, Content-Encoding %q, %d bytes", c.length, h.ContentLength(), h.ContentEncoding(), len(ctx.Response.Body()))
		}
	}
}

// TestCompressedStream has bodies of all sizes come in pieces of all sizes, end
// in all ways, and be read in pieces of all sizes.
func TestCompressedStream(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	broken := errors.New("broken off")
	text := strings.Repeat(longText+noise(1000), 50)
	for round := range 300 {
		c := coding(1 + r.IntN(3))
		body := text[:r.IntN(len(text))>>r.IntN(18)]
		var src io.Reader = strings.NewReader(body)
		switch r.IntN(4) {
		case 0:
			src = iotest.DataErrReader(src) // the end with the last bytes
		case 1:
			src = iotest.HalfReader(src)
		case 2:
			src = &pieces{src, r}
		}
		fails := r.IntN(3) == 0
		if fails {
			src = io.MultiReader(src, iotest.ErrReader(broken))
		}
		original := &closingStream{Reader: src}
		s := &compressedStream{stream: stream{original}, z: getCompressor(c)}
		got, err := io.ReadAll(&pieces{s, r})
		if fails {
			if err != broken {
				t.Fatalf("round %d: %v instead of the body's error", round, err)
			}
			partial, err := io.ReadAll(decoding(t, c.String(), bytes.NewReader(got)))
			if err == nil && len(body) > 0 || !strings.HasPrefix(body, string(partial)) {
				t.Fatalf("round %d: %v; a body that broke off looks whole, %d of %d bytes", round, err, len(partial), len(body))
			}
		} else if err != nil || decoded(t, c.String(), got) != body {
			t.Fatalf("round %d: %v, or another body, of %d bytes", round, err, len(body))
		}
		s.Close()
		s.Close()
		if _, err := s.Read(make([]byte, 1)); err == nil || err == io.EOF || original.closed != 1 {
			t.Fatalf("round %d: read after close: %v; closed %d times", round, err, original.closed)
		}
	}
}

// pieces reads a random number of bytes at a time, and sometimes none.
type pieces struct {
	io.Reader
	r *rand.Rand
}

func (p *pieces) Read(b []byte) (int, error) {
	n := p.r.IntN(len(b) + 1)
	if p.r.IntN(3) == 0 {
		n = min(n, 10)
	}
	return p.Reader.Read(b[:n])
}

// TestCompressedStreamHoldsNothingBack: all that was read of the body can be
// decoded before more of it is there.
func TestCompressedStreamHoldsNothingBack(t *testing.T) {
	for c := gzipCoding; c < codings; c++ {
		in, out := io.Pipe()
		s := &compressedStream{stream: stream{in}, z: getCompressor(c)}
		encoded, sink := io.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, err := io.Copy(sink, s)
			sink.CloseWithError(err)
		}()
		var d io.Reader
		for i, piece := range []string{"data: 1\n\n", "data: two\n\n", strings.Repeat("x", 5000), "\n"} {
			go io.WriteString(out, piece)
			if i == 0 {
				d = decoding(t, c.String(), encoded)
			}
			got := make([]byte, len(piece))
			if _, err := io.ReadFull(d, got); err != nil || string(got) != piece {
				t.Fatalf("%v: piece %d: %v", c, i, err)
			}
		}
		out.Close()
		if rest, err := io.ReadAll(d); err != nil || len(rest) > 0 {
			t.Fatalf("%v: at the end: %v, %q", c, err, rest)
		}
		io.Copy(io.Discard, encoded) // decoders may stop before the end
		<-done
		s.Close()
	}
}

// TestNoProgress: a body that gives nothing for ever is an error.
func TestNoProgress(t *testing.T) {
	s := &compressedStream{stream: stream{nothing{}}, z: getCompressor(gzipCoding)}
	defer s.Close()
	if _, err := s.Read(make([]byte, 10)); err != io.ErrNoProgress {
		t.Error(err)
	}
}

type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, nil }

func TestCompressErrors(t *testing.T) {
	for _, c := range []struct {
		opts app.CompressOpts
		want string
	}{
		{app.CompressOpts{Encodings: []string{"gzip", "deflate"}}, `compress_opts.encodings[1]: "deflate" is none of`},
		{app.CompressOpts{Encodings: []string{"identity"}}, `compress_opts.encodings[0]`},
		{app.CompressOpts{Encodings: []string{""}}, `compress_opts.encodings[0]`},
		{app.CompressOpts{IncludedTypes: []string{"html"}}, `compress_opts.included_types[0]: "html" is not a media type`},
		{app.CompressOpts{ExcludedTypes: []string{"text/html; charset=x"}}, `compress_opts.excluded_types[0]`},
		{app.CompressOpts{IncludedTypes: []string{"a/b"}, ExcludedTypes: []string{"a/b"}}, "compress_opts.excluded_types: given beside"},
		{app.CompressOpts{MinResponseBody: -1}, "compress_opts.min_response_body"},
	} {
		_, err := NewCompress(c.opts, Deps{})
		refused(t, err, c.want)
	}
}

// TestCompressAllocations: what goes through as it is costs nothing.
func TestCompressAllocations(t *testing.T) {
	w := must(t)(NewCompress(app.CompressOpts{}, Deps{}))
	body := []byte(longText)
	for _, c := range []struct {
		name, accept string
		most         float64
	}{{"as it is", "identity", 0}, {"gzip", "gzip", 0}, {"br", "br", 2}, {"zstd", "zstd", 2}} {
		t.Run(c.name, func(t *testing.T) {
			ctx := request("GET", "/", "Accept-Encoding: "+c.accept)
			h := w(func(ctx *fasthttp.RequestCtx) {
				ctx.SetContentType("text/html")
				ctx.Response.SetBody(body)
			})
			allocates(t, c.most, func() {
				ctx.Response.Reset()
				h(ctx)
			})
		})
	}
}

func BenchmarkCompress(b *testing.B) {
	w, err := NewCompress(app.CompressOpts{}, Deps{})
	if err != nil {
		b.Fatal(err)
	}
	body := []byte(strings.Repeat(longText+noise(200), 3))
	for _, c := range []string{"gzip", "br", "zstd"} {
		b.Run(c, func(b *testing.B) {
			ctx := request("GET", "/", "Accept-Encoding: "+c)
			h := w(func(ctx *fasthttp.RequestCtx) {
				ctx.SetContentType("text/html")
				ctx.Response.SetBody(body)
			})
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				ctx.Response.Reset()
				h(ctx)
			}
		})
	}
}
