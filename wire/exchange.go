package wire

import (
	"io"
	"net/netip"
	"sync/atomic"

	"github.com/valyala/fasthttp"
)

// Client is the client's side of an Exchange, implemented by the server's
// connection.
type Client interface {
	// Write sends bytes of the response, within the server's write time-out.
	Write(p []byte) (int, error)
	// StopReading makes a Read of the request's body that waits return at once
	// with ErrInterrupted, and all later ones until the response is complete. Any
	// goroutine may call it.
	StopReading()
	// Tunnel lifts time-outs and limits for a connection that speaks another
	// protocol from here on, and returns it.
	Tunnel() io.ReadWriteCloser
}

// Canceler is what a client that goes away cancels.
type Canceler interface{ Cancel() }

// Exchange is one request on a client's HTTP/1.1 connection and the response to
// it, as bytes. A handler finds it by From and may answer by Respond instead of
// filling in ctx.Response. It is valid until the handler returns.
type Exchange struct {
	Head RequestHead
	// Target is what goes to a backend: the raw target after strip_path_prefix.
	Target []byte
	// Forward holds the field lines that this proxy adds: X-Forwarded-*,
	// X-Real-Ip and X-Request-Id.
	Forward []byte
	// RequestID is the value of X-Request-Id in Forward.
	RequestID []byte
	// Owned are the names of request fields that handlers have made this proxy's
	// (Own): no trailer of the request may have one.
	Owned []string
	// ResponseRules are what handlers will do to the response, outermost first: the
	// interim responses that come before it go by them too.
	ResponseRules [][]FieldRule
	// Body is the request's body; read it through ReadBody.
	Body RequestBody
	// In is what the client's bytes come through.
	In Reader
	// Client writes to the client's connection.
	Client Client
	// Scratch is memory for building messages that lives as long as the
	// connection is busy; whoever grows it stores it back.
	Scratch []byte

	// Date is the Date of the response that is in ctx, which drops that field (its
	// own server makes one); empty: it has none, and gets that of now.
	Date []byte

	// Status is the status that was sent, 0 as long as none was.
	Status int
	// Sent counts the bytes of the response.
	Sent int64
	// Responded: a handler wrote the response itself.
	Responded bool
	// Close: the connection ends after this response.
	Close bool
	// Broken: the response was cut; the connection must end at once, and not cleanly.
	Broken bool
	// Began is when the request's head was there, Ended when the response was
	// complete; readings of Now. Whoever knows the end earlier than the server
	// sets it, else it stays 0.
	Began, Ended int64
	// ClientIP is who the request is from, after trusted proxies were considered.
	ClientIP netip.Addr

	awaitsContinue bool
	authorized     bool     // see Authorize
	keyed          []string // see KeyField
	left           atomic.Bool
	cancel         atomic.Pointer[Canceler]
}

// Carrier is a connection that has an Exchange.
type Carrier interface{ Exchange() *Exchange }

// From returns the exchange of a request, or nil for one that did not come over
// HTTP/1.1.
func From(ctx *fasthttp.RequestCtx) *Exchange {
	if c, ok := ctx.Conn().(Carrier); ok {
		return c.Exchange()
	}
	return nil
}

// Begin prepares the exchange for a request whose head has been parsed.
func (x *Exchange) Begin(now int64) {
	x.Target = x.Head.Target
	x.Status, x.Sent, x.Began, x.Ended = 0, 0, now, 0
	x.Forward, x.RequestID, x.Date = nil, nil, x.Date[:0]
	x.Responded, x.Broken = false, false
	x.Owned, x.ResponseRules = x.Owned[:0], x.ResponseRules[:0]
	x.authorized, x.keyed = false, x.keyed[:0]
	x.left.Store(false)
	x.Close = x.Head.Close
	x.awaitsContinue = x.Head.Continue
	x.Body.begin(&x.Head, &x.In)
}

// Release gives memory up that only a busy connection needs. Head and Body must
// not be used until the next Begin.
func (x *Exchange) Release() {
	x.In.Release()
	x.Head = RequestHead{}
	x.Body.release()
	x.Scratch, x.Target, x.Forward, x.RequestID, x.Date = nil, nil, nil, nil, nil
	x.Owned, x.ResponseRules, x.keyed = nil, nil, nil
}

// AwaitsContinue tells whether the client still waits for 100 (Continue).
func (x *Exchange) AwaitsContinue() bool { return x.awaitsContinue }

// ReadBody reads the request's body; the first call sends 100 (Continue) to a
// client that waits for it.
func (x *Exchange) ReadBody(p []byte) (int, error) {
	if err := x.Proceed(); err != nil {
		return 0, err
	}
	return x.Body.Read(p)
}

var continueLine = []byte("HTTP/1.1 100 Continue\r\n\r\n")

// Proceed sends 100 (Continue) now, if the client waits for it.
func (x *Exchange) Proceed() error {
	if !x.awaitsContinue {
		return nil
	}
	x.awaitsContinue = false
	_, err := x.Client.Write(continueLine)
	return err
}

// Interim sends a 1xx response other than 101. HTTP/1.0 clients are spared it
// (RFC 9110 section 15.2).
func (x *Exchange) Interim(head []byte) error {
	if x.Head.Minor == 0 {
		return nil
	}
	_, err := x.Client.Write(head)
	return err
}

// Respond sends the first bytes of the response: head, and body as far as it is
// there.
func (x *Exchange) Respond(status int, p []byte) error {
	x.Status, x.Responded = status, true
	return x.Write(p)
}

// Write sends further bytes of the response. After an error the exchange is
// broken.
func (x *Exchange) Write(p []byte) error {
	n, err := x.Client.Write(p)
	x.Sent += int64(n)
	if err != nil {
		x.Broken = true
	}
	return err
}

// keepLimit is how much of a body that nobody reads is thrown away to keep the
// connection, where its length is known beforehand. A client that is told that
// the connection ends can spare itself the rest.
const keepLimit = 256 << 10

// Settle decides, when the head of the final response is written, whether the
// connection ends after it, and returns Close. aside tells that the request's
// body may still be read while the response goes out.
func (x *Exchange) Settle(status int, aside bool) bool {
	if x.awaitsContinue {
		// The client may send the body now or never: where its next request
		// begins cannot be known.
		x.Close = true
	}
	if left, known := x.Body.Left(); known && left > keepLimit && (!aside || status >= 300) {
		x.Close = true
	}
	return x.Close
}

// AppendConnection appends the Connection field of a response that Settle was
// asked about, none where HTTP's default says the same.
func (x *Exchange) AppendConnection(dst []byte) []byte {
	switch {
	case x.Close:
		return append(dst, "Connection: close\r\n"...)
	case x.Head.Minor == 0:
		return append(dst, "Connection: keep-alive\r\n"...)
	}
	return dst
}

// OnGone says what to cancel when the client goes away. c must stay the same
// pointer until Finish.
func (x *Exchange) OnGone(c *Canceler) { x.cancel.Store(c) }

// Finish takes back what OnGone said. It tells false when the client has gone
// and Cancel was called: what it was called on must not be used again.
func (x *Exchange) Finish(c *Canceler) bool { return x.cancel.CompareAndSwap(c, nil) }

// Gone cancels what is under way for a client that went away, and tells whether
// there was something.
func (x *Exchange) Gone() bool {
	c := x.cancel.Swap(nil)
	if c != nil {
		x.left.Store(true)
		(*c).Cancel()
	}
	return c != nil
}

// Left reports whether something was canceled because the client went away.
func (x *Exchange) Left() bool { return x.left.Load() }
