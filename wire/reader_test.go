package wire

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// TestHeadStaysWhileTheBodyIsRead: the slices of a head are valid whatever is
// read behind it, and however the buffer grows.
func TestHeadStaysWhileTheBodyIsRead(t *testing.T) {
	for _, pad := range []int{0, 10, BufferSize / 2, BufferSize - 60, BufferSize - 40, BufferSize + 100, 3 * BufferSize} {
		head := "POST /path HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", pad) + "\r\nTransfer-Encoding: chunked\r\n\r\n"
		line := "3;" + strings.Repeat("e", 500) + "\r\nabc\r\n"
		trailer := "X-T: " + strings.Repeat("t", 6000) + "\r\n"
		src := iotest.HalfReader(strings.NewReader(head + strings.Repeat(line, 8) + "0\r\n" + trailer + "\r\n" + "GET / HTTP/1.1\r\n\r\n"))
		rd := readerOf(src)
		var h RequestHead
		for {
			n, err := h.Parse(rd.Buffered(), &DefaultLimits)
			if err == nil {
				rd.Consume(n)
				break
			}
			if err != ErrMore {
				t.Fatal(err)
			}
			if _, err := rd.Fill(); err != nil {
				t.Fatal(err)
			}
		}
		var b Body
		b.SetChunked(rd)
		got, err := io.ReadAll(&b)
		if string(got) != strings.Repeat("abc", 8) || err != nil || len(b.Trailers()) != len(trailer) {
			t.Fatalf("pad %d: body %q, %d bytes of trailers, %v", pad, got, len(b.Trailers()), err)
		}
		if string(h.Raw) != head || string(h.Target) != "/path" || len(h.Get("x")) != pad {
			t.Errorf("pad %d: the head has changed", pad)
		}
		if rd.Recycle(); true {
			rest, _ := io.ReadAll(rd)
			if string(rest) != "GET / HTTP/1.1\r\n\r\n" {
				t.Errorf("pad %d: %q is left", pad, rest)
			}
		}
	}
}

func TestPipelinedRequestsStay(t *testing.T) {
	var in strings.Builder
	for i := range 300 {
		in.WriteString("GET /" + strings.Repeat("a", i) + " HTTP/1.1\r\nHost: a\r\n\r\n")
	}
	rd := readerOf(strings.NewReader(in.String()))
	var h RequestHead
	for i := 0; i < 300; {
		n, err := h.Parse(rd.Buffered(), &DefaultLimits)
		if err == ErrMore {
			if _, err := rd.Fill(); err != nil {
				t.Fatalf("request %d: %v", i, err)
			}
			continue
		}
		if err != nil || len(h.Target) != i+1 {
			t.Fatalf("request %d: %q, %v", i, h.Target, err)
		}
		rd.Consume(n)
		rd.Recycle()
		i++
	}
	if len(rd.buf) > 3*BufferSize {
		t.Errorf("the buffer has grown to %d bytes", len(rd.buf))
	}
}

func TestPrepend(t *testing.T) {
	rd := &Reader{}
	rd.Reset(strings.NewReader("old head" + "body"))
	rd.AcquireLarge()
	if _, err := rd.Fill(); err != nil {
		t.Fatal(err)
	}
	rd.Consume(len("old head"))
	if got := rd.Prepend(bytes.Repeat([]byte("h"), Headroom+9)); got != nil {
		t.Errorf("%d bytes were put before the body", len(got)-4)
	}
	head := strings.Repeat("h", Headroom+8)
	if got := string(rd.Prepend([]byte(head))); got != head+"body" {
		t.Errorf("got %q", got)
	}
	rd.Truncate(2)
	if got := string(rd.Buffered()); got != "bo" || rd.Len() != 2 || rd.Empty() {
		t.Errorf("truncated to %q", got)
	}
	rd.Release()
	if rd.Len() != 0 || !rd.Empty() {
		t.Error("a released reader has bytes")
	}
}

func TestUnreadComesFirst(t *testing.T) {
	rd := readerOf(strings.NewReader("ET /"))
	rd.Unread('G')
	if _, err := rd.Fill(); err != nil {
		t.Fatal(err)
	}
	if got := string(rd.Buffered()); got != "GET /" {
		t.Errorf("got %q", got)
	}
}

func TestGrownBufferIsForOneMessage(t *testing.T) {
	rd := readerOf(strings.NewReader(strings.Repeat("x", 3*BufferSize)))
	for rd.Len() < 3*BufferSize {
		if _, err := rd.Fill(); err != nil {
			t.Fatal(err)
		}
	}
	rd.Skip(rd.Len())
	rd.Recycle()
	if len(rd.buf) != BufferSize {
		t.Errorf("%d bytes are kept", len(rd.buf))
	}
}

func TestNoProgressIsAnError(t *testing.T) {
	rd := readerOf(&once{})
	if _, err := rd.Fill(); err != io.ErrNoProgress {
		t.Errorf("got %v", err)
	}
}
