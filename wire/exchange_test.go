package wire

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// fakeClient records what an exchange sends.
type fakeClient struct {
	sent strings.Builder
	err  error
}

func (f *fakeClient) Write(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return f.sent.Write(p)
}
func (f *fakeClient) StopReading()               {}
func (f *fakeClient) Tunnel() io.ReadWriteCloser { return nil }

func exchangeOf(t *testing.T, in string) (*Exchange, *fakeClient) {
	t.Helper()
	f := &fakeClient{}
	x := &Exchange{Client: f}
	x.In.Reset(strings.NewReader(in))
	x.In.Acquire()
	if _, err := x.In.Fill(); err != nil {
		t.Fatal(err)
	}
	n, err := x.Head.Parse(x.In.Buffered(), &DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	x.In.Consume(n)
	x.Begin(Now())
	return x, f
}

func TestContinueIsSentOnceAndOnlyWhenTheBodyIsWanted(t *testing.T) {
	x, f := exchangeOf(t, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello")
	if !x.AwaitsContinue() || f.sent.Len() != 0 {
		t.Fatalf("awaits %v, sent %q", x.AwaitsContinue(), f.sent.String())
	}
	p := make([]byte, 3)
	for _, want := range []string{"hel", "lo"} {
		if n, err := x.ReadBody(p); err != nil || string(p[:n]) != want {
			t.Fatalf("read %q, %v", p[:n], err)
		}
	}
	if got := f.sent.String(); got != "HTTP/1.1 100 Continue\r\n\r\n" || x.AwaitsContinue() {
		t.Errorf("sent %q", got)
	}
	if x.Sent != 0 || x.Status != 0 {
		t.Errorf("an interim response counts as one: %d bytes, status %d", x.Sent, x.Status)
	}
}

func TestBodyFailsWhenContinueCannotBeSent(t *testing.T) {
	x, f := exchangeOf(t, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
	f.err = errors.New("gone")
	if _, err := x.ReadBody(make([]byte, 5)); err != f.err {
		t.Errorf("got %v", err)
	}
}

func TestInterimIsNotForHTTP10(t *testing.T) {
	x, f := exchangeOf(t, "GET / HTTP/1.0\r\n\r\n")
	if err := x.Interim([]byte("HTTP/1.1 103 Early Hints\r\n\r\n")); err != nil || f.sent.Len() != 0 {
		t.Errorf("sent %q, %v", f.sent.String(), err)
	}
	x, f = exchangeOf(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if err := x.Interim([]byte("HTTP/1.1 103 Early Hints\r\n\r\n")); err != nil || f.sent.Len() == 0 {
		t.Errorf("sent %q, %v", f.sent.String(), err)
	}
}

func TestWriteErrorBreaksTheExchange(t *testing.T) {
	x, f := exchangeOf(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if err := x.Respond(200, []byte("HTTP/1.1 ")); err != nil || x.Broken || x.Sent != 9 || x.Status != 200 || !x.Responded {
		t.Fatalf("%v, broken %v, sent %d", err, x.Broken, x.Sent)
	}
	f.err = errors.New("gone")
	if err := x.Write([]byte("200")); err != f.err || !x.Broken {
		t.Errorf("%v, broken %v", err, x.Broken)
	}
}

type countingCanceler struct{ n int }

func (c *countingCanceler) Cancel() { c.n++ }

func TestGoneAndFinishAgree(t *testing.T) {
	var x Exchange
	count := &countingCanceler{}
	var c Canceler = count
	if x.Gone() {
		t.Error("gone, with nothing under way")
	}
	x.OnGone(&c)
	if !x.Finish(&c) || x.Gone() || count.n != 0 {
		t.Errorf("what was finished was cancelled %d times", count.n)
	}
	x.OnGone(&c)
	if !x.Gone() || x.Gone() || x.Finish(&c) || count.n != 1 {
		t.Errorf("cancelled %d times", count.n)
	}
}

func TestReleaseGivesMemoryBack(t *testing.T) {
	x, _ := exchangeOf(t, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n")
	if _, err := x.ReadBody(make([]byte, 10)); err != io.EOF || len(x.Body.Trailers()) == 0 {
		t.Fatal(err)
	}
	x.Scratch = make([]byte, 100)
	x.Release()
	if x.Scratch != nil || x.Head.Fields != nil || x.Body.Trailers() != nil || x.In.buf != nil {
		t.Error("something is kept")
	}
}
