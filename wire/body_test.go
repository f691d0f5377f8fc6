package wire

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// readerOf returns a Reader with a small buffer over src.
func readerOf(src io.Reader) *Reader {
	rd := &Reader{}
	rd.Reset(src)
	rd.Acquire()
	return rd
}

// eachWay reads in with readers that hand it out in different pieces.
func eachWay(in string, f func(way string, src io.Reader)) {
	f("at once", strings.NewReader(in))
	f("by the byte", iotest.OneByteReader(strings.NewReader(in)))
	f("in halves", iotest.HalfReader(strings.NewReader(in)))
	f("with the error", iotest.DataErrReader(strings.NewReader(in)))
}

func TestChunkedBody(t *testing.T) {
	for name, c := range map[string]struct {
		in, want, trailers, rest string
	}{
		"empty":              {"0\r\n\r\n", "", "", ""},
		"one chunk":          {"5\r\nhello\r\n0\r\n\r\nGET", "hello", "", "GET"},
		"chunks":             {"1\r\na\r\n00002\r\nbc\r\nA\r\n0123456789\r\n0\r\n\r\n", "abc0123456789", "", ""},
		"hex in both cases":  {"a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n", "01234567890123456789a", "", ""},
		"CRLF and 0 in data": {"9\r\n\r\n0\r\n\r\n0\r\r\n0\r\n\r\nX", "\r\n0\r\n\r\n0\r", "", "X"},
		"extension":          {"5;a=b;c\r\nhello\r\n0;last\r\n\r\n", "hello", "", ""},
		"quoted extension":   {"5;a=\"b c\"\r\nhello\r\n0\r\n\r\n", "hello", "", ""},
		"zeros":              {"000\r\n\r\nX", "", "", "X"},
		"trailers":           {"1\r\na\r\n0\r\nX-Sum:  1 \r\nY:\r\n\r\nGET", "a", "X-Sum: 1\r\nY: \r\n", "GET"},
		"forbidden trailers": {"0\r\nContent-Length: 3\r\nHost: x\r\nX-Sum: 1\r\nAuthorization: y\r\nX-Forwarded-For: z\r\nTransfer-Encoding: chunked\r\n\r\n", "", "X-Sum: 1\r\n", ""},
	} {
		eachWay(c.in, func(way string, src io.Reader) {
			rd := readerOf(src)
			var b Body
			b.SetChunked(rd)
			got, err := io.ReadAll(&b)
			if err != nil || string(got) != c.want || string(b.Trailers()) != c.trailers {
				t.Errorf("%s, %s: %q, trailers %q, %v", name, way, got, b.Trailers(), err)
			}
			if !b.Done() || b.Total() != int64(len(c.want)) {
				t.Errorf("%s, %s: done %v, total %d", name, way, b.Done(), b.Total())
			}
			if rest, _ := io.ReadAll(rd); string(rest) != c.rest {
				t.Errorf("%s, %s: %q is left, not %q", name, way, rest, c.rest)
			}
		})
	}
}

func TestChunkedBodyRefused(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for name, c := range map[string]struct {
		in   string
		data string // that may be read before
		want error
	}{
		"no size":                  {"\r\nhello\r\n0\r\n\r\n", "", errChunk},
		"sign":                     {"+5\r\nhello\r\n0\r\n\r\n", "", errChunk},
		"minus":                    {"-5\r\nhello\r\n0\r\n\r\n", "", errChunk},
		"0x":                       {"0x5\r\nhello\r\n0\r\n\r\n", "", errChunk},
		"junk after the size":      {"5x\r\nhello\r\n0\r\n\r\n", "", errChunk},
		"space after the size":     {"5 \r\nhello\r\n0\r\n\r\n", "", errChunk},
		"space before extension":   {"5 ;a\r\nhello\r\n0\r\n\r\n", "", errChunk},
		"space before the size":    {" 5\r\nhello\r\n0\r\n\r\n", "", errChunk},
		"underscore":               {"1_0\r\n0123456789abcdef\r\n0\r\n\r\n", "", errChunk},
		"16 digits":                {"0000000000000005\r\nhello\r\n0\r\n\r\n", "", errChunk},
		"overflow":                 {"FFFFFFFFFFFFFFFF\r\nhello", "", errChunk},
		"bare LF after the size":   {"5\nhello\r\n0\r\n\r\n", "", errChunk},
		"bare LF after the data":   {"5\r\nhello\n0\r\n\r\n", "hello", errChunk},
		"no CRLF after the data":   {"5\r\nhelloworld\r\n0\r\n\r\n", "hello", errChunk},
		"bare CR in extension":     {"5;a\rb\r\nhello\r\n0\r\n\r\n", "", errChunk},
		"NUL in extension":         {"5;a\x00\r\nhello\r\n0\r\n\r\n", "", errChunk},
		"long extension":           {"5;" + long + "\r\nhello\r\n0\r\n\r\n", "", errChunk},
		"many extensions":          {strings.Repeat("1;"+long[:900]+"\r\na\r\n", 6) + "0\r\n\r\n", "aaaa", errExtension},
		"line without an end":      {long, "", errChunk},
		"trailer without a colon":  {"0\r\nX\r\n\r\n", "", errTrailer},
		"trailer with a space":     {"0\r\nX : y\r\n\r\n", "", errTrailer},
		"trailer with a fold":      {"0\r\nX: y\r\n z\r\n\r\n", "", errTrailer},
		"trailer with a control":   {"0\r\nX: \x01\r\n\r\n", "", errTrailer},
		"trailer with bare LF":     {"0\r\nX: y\n\r\n", "", errChunk},
		"large trailers":           {"0\r\n" + strings.Repeat("X: "+long+"\r\n", 4) + "\r\n", "", errTrailer},
		"cut off in the data":      {"5\r\nhel", "hel", io.ErrUnexpectedEOF},
		"cut off after the data":   {"5\r\nhello", "hello", io.ErrUnexpectedEOF},
		"cut off after a chunk":    {"5\r\nhello\r\n", "hello", io.ErrUnexpectedEOF},
		"cut off in the size":      {"5", "", io.ErrUnexpectedEOF},
		"cut off before the end":   {"0\r\n", "", io.ErrUnexpectedEOF},
		"cut off in the trailers":  {"0\r\nX: y\r\n", "", io.ErrUnexpectedEOF},
		"cut off before all of it": {"", "", io.ErrUnexpectedEOF},
	} {
		eachWay(c.in, func(way string, src io.Reader) {
			var b Body
			b.SetChunked(readerOf(src))
			got, err := io.ReadAll(&b)
			if !errors.Is(err, c.want) || string(got) != c.data {
				t.Errorf("%s, %s: %q, %v, not %q, %v", name, way, got, err, c.data, c.want)
			}
			// Nothing behind the fault is read, whoever asks.
			if n, again := b.Read(make([]byte, 10)); n != 0 || again != err || b.Done() {
				t.Errorf("%s, %s: read on after the error: %d, %v", name, way, n, again)
			}
		})
	}
}

func TestExtensionsThatDataPaysFor(t *testing.T) {
	chunk := "400;signature=0123456789abcdef0123456789abcdef\r\n" + strings.Repeat("d", 1024) + "\r\n"
	var b Body
	b.SetChunked(readerOf(strings.NewReader(strings.Repeat(chunk, 200) + "0\r\n\r\n")))
	if n, err := io.Copy(io.Discard, &b); err != nil || n != 200<<10 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestOtherBodies(t *testing.T) {
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		in   io.Reader
		set  func(*Body, *Reader)
		want string
		err  error
	}{
		"zero value":        {strings.NewReader("x"), func(b *Body, _ *Reader) {}, "", nil},
		"none":              {strings.NewReader("x"), func(b *Body, _ *Reader) { b.SetNone() }, "", nil},
		"length":            {strings.NewReader("hello world"), func(b *Body, rd *Reader) { b.SetLength(rd, 5) }, "hello", nil},
		"length 0":          {strings.NewReader("x"), func(b *Body, rd *Reader) { b.SetLength(rd, 0) }, "", nil},
		"length cut off":    {strings.NewReader("hel"), func(b *Body, rd *Reader) { b.SetLength(rd, 5) }, "hel", io.ErrUnexpectedEOF},
		"until close":       {strings.NewReader("hello"), func(b *Body, rd *Reader) { b.SetUntilClose(rd) }, "hello", nil},
		"until close, nope": {io.MultiReader(strings.NewReader("hel"), iotest.ErrReader(boom)), func(b *Body, rd *Reader) { b.SetUntilClose(rd) }, "hel", boom},
		"length, nope":      {io.MultiReader(strings.NewReader("hel"), iotest.ErrReader(boom)), func(b *Body, rd *Reader) { b.SetLength(rd, 5) }, "hel", boom},
		"chunks, nope":      {io.MultiReader(strings.NewReader("5\r\nhel"), iotest.ErrReader(boom)), func(b *Body, rd *Reader) { b.SetChunked(rd) }, "hel", boom},
	} {
		t.Run(name, func(t *testing.T) {
			var b Body
			c.set(&b, readerOf(c.in))
			got, err := io.ReadAll(&b)
			if string(got) != c.want || err != c.err {
				t.Errorf("%q, %v, not %q, %v", got, err, c.want, c.err)
			}
		})
	}
}

// TestReadGathersChunks: a flood of one-byte chunks must not become a flood of
// one-byte writes to the other side.
func TestReadGathersChunks(t *testing.T) {
	var b Body
	b.SetChunked(readerOf(strings.NewReader(strings.Repeat("1\r\na\r\n", 500) + "0\r\n\r\nGET")))
	p := make([]byte, 1000)
	n, err := b.Read(p)
	if n != 500 || err != nil || !b.Done() {
		t.Errorf("one Read gave %d bytes, done %v, %v", n, b.Done(), err)
	}
	if _, err := b.Read(p); err != io.EOF {
		t.Errorf("then %v", err)
	}
}

// TestReadDoesNotWaitForMore: what is there goes on at once, as the events of a
// stream must.
func TestReadDoesNotWaitForMore(t *testing.T) {
	for _, sent := range []string{
		"5\r\nhello", "5\r\nhello\r", "5\r\nhello\r\n", "5\r\nhello\r\n4", "5\r\nhello\r\n4\r\n", "5\r\nhello\r\n0", "5\r\nhello\r\n0\r\n",
		"5\r\nhello\r\n0\r\nX: y\r\n", "9\r\nhello",
	} {
		src := &once{data: sent}
		var b Body
		b.SetChunked(readerOf(src))
		p := make([]byte, 100)
		if n, err := b.Read(p); string(p[:n]) != "hello" || err != nil {
			t.Errorf("%q gave %q, %v", sent, p[:n], err)
		}
		if src.reads != 1 {
			t.Errorf("%q: the connection was read %d times", sent, src.reads)
		}
	}
}

// once hands its data out in one piece and would block after that.
type once struct {
	data  string
	reads int
}

func (o *once) Read(p []byte) (int, error) {
	o.reads++
	n := copy(p, o.data)
	o.data = o.data[n:]
	return n, nil
}

func TestTryEnd(t *testing.T) {
	const body = "5\r\nhello"
	for rest, want := range map[string]bool{
		"\r\n0\r\n\r\n": true, "\r\n0\r\n\r\nHTTP/1.1": true,
		"": false, "\r\n0\r\n": false, "\r\n0\r\n\r": false, "\r\n0\r\nX: y\r\n\r\n": false, "\r\n1\r\na\r\n": false,
	} {
		var b Body
		src := &once{data: body + rest}
		b.SetChunked(readerOf(src))
		if b.TryEnd() {
			t.Errorf("%q: at its end before it was read", rest)
		}
		// The buffer is just as long as the chunk, so Read cannot look further.
		if n, err := b.Read(make([]byte, 5)); n != 5 || err != nil {
			t.Fatalf("%q: %d, %v", rest, n, err)
		}
		if got := b.TryEnd(); got != want || b.Done() != want || src.reads != 1 {
			t.Errorf("%q: %v, done %v, %d reads", rest, got, b.Done(), src.reads)
		}
	}
}
