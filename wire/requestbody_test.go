package wire

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// interrupting ends every second read, and gives a byte at the others.
type interrupting struct {
	in  string
	due bool
}

func (i *interrupting) Read(p []byte) (int, error) {
	if i.due = !i.due; i.due {
		return 0, ErrInterrupted
	}
	if len(i.in) == 0 {
		return 0, io.EOF
	}
	p[0], i.in = i.in[0], i.in[1:]
	return 1, nil
}

// bodyOf begins the body of a request whose head was read.
func bodyOf(head string, src io.Reader) (*Exchange, *RequestBody) {
	x := &Exchange{}
	if _, err := x.Head.Parse([]byte("POST / HTTP/1.1\r\nHost: a\r\n"+head+"\r\n\r\n"), &DefaultLimits); err != nil {
		panic(err)
	}
	x.In.Reset(src)
	x.In.Acquire()
	x.Begin(Now())
	return x, &x.Body
}

// TestInterruptedBody: whatever moment a read is ended at, the next one goes on
// there, and what follows the body stays where it is.
func TestInterruptedBody(t *testing.T) {
	const next = "GET / HTTP/1.1"
	for name, c := range map[string]struct{ head, in, want, trailers string }{
		"length":   {"Content-Length: 11", "hello world", "hello world", ""},
		"chunks":   {"Transfer-Encoding: chunked", "5;a=b\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world", ""},
		"trailers": {"Transfer-Encoding: chunked", "b\r\nhello world\r\n0;x\r\nA: 5\r\n5: x\r\n\r\n", "hello world", "A: 5\r\n5: x\r\n"},
	} {
		x, b := bodyOf(c.head, &interrupting{in: c.in + next})
		var got strings.Builder
		p := make([]byte, 3)
		for reads := 0; ; reads++ {
			n, err := b.Read(p)
			got.Write(p[:n])
			if err == io.EOF {
				break
			}
			if err != nil && err != ErrInterrupted || reads > 1000 {
				t.Fatalf("%s: %v after %q", name, err, got.String())
			}
			if b.Err() != nil || b.Lost() {
				t.Fatalf("%s: %v, lost %v", name, b.Err(), b.Lost())
			}
		}
		if got.String() != c.want || string(b.Trailers()) != c.trailers || !b.Done() || b.Total() != int64(len(c.want)) {
			t.Errorf("%s: %q, trailers %q, done %v, %d bytes", name, got.String(), b.Trailers(), b.Done(), b.Total())
		}
		var rest strings.Builder
		for err := error(nil); err != io.EOF; {
			var n int
			n, err = x.In.Read(p)
			rest.Write(p[:n])
		}
		if rest.String() != next {
			t.Errorf("%s: %q follows", name, rest.String())
		}
	}
}

// TestLeft: how much is to come is known at any moment, and only what was read
// lowers it.
func TestLeft(t *testing.T) {
	_, b := bodyOf("Content-Length: 5", strings.NewReader("helloGET"))
	p := make([]byte, 2)
	for _, want := range []int64{5, 3, 1, 0, 0} {
		if left, known := b.Left(); left != want || !known || b.Done() != (want == 0) {
			t.Errorf("%d, %v, done %v; want %d", left, known, b.Done(), want)
		}
		b.Read(p)
	}
	_, b = bodyOf("Transfer-Encoding: chunked", strings.NewReader("5\r\nhello\r\n0\r\n\r\n"))
	if _, known := b.Left(); known || b.Done() {
		t.Error("a chunked body's length is known")
	}
	if _, err := io.ReadAll(b); err != nil || !b.Done() {
		t.Errorf("%v, done %v", err, b.Done())
	}
	_, b = bodyOf("A: b", strings.NewReader("x"))
	if !b.Done() {
		t.Error("a request without a body has one")
	}
}

// TestLimitedBody: beyond the limit a reader is refused, and nobody takes a part
// for the whole; the rest can still be thrown away.
func TestLimitedBody(t *testing.T) {
	over := &Error{Status: 413}
	for _, head := range []string{"Content-Length: 10", "Transfer-Encoding: chunked"} {
		in := "0123456789"
		if head[0] == 'T' {
			in = "a\r\n0123456789\r\n0\r\n\r\n"
		}
		_, b := bodyOf(head, strings.NewReader(in))
		b.Limit(20, &Error{Status: 400})
		b.Limit(9, over)
		b.Limit(30, &Error{Status: 400})
		got, err := io.ReadAll(b)
		if err != error(over) || len(got) > 9 || b.Err() != error(over) || b.Lost() {
			t.Errorf("%s: %q, %v, lost %v", head, got, err, b.Lost())
		}
		if _, err := b.Read(make([]byte, 10)); err != error(over) {
			t.Errorf("%s: reading on gives %v", head, err)
		}
		p := make([]byte, 4)
		for err = nil; err == nil; {
			_, err = b.Discard(p)
		}
		if err != io.EOF || !b.Done() || !errors.Is(b.Err(), over) {
			t.Errorf("%s: throwing away ended with %v, done %v", head, err, b.Done())
		}

		_, b = bodyOf(head, strings.NewReader(in))
		b.Limit(10, over)
		if got, err := io.ReadAll(b); err != nil || len(got) != 10 {
			t.Errorf("%s: at the limit: %q, %v", head, got, err)
		}
	}
}
