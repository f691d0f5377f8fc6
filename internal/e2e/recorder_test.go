package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// message is a request as net/http reads it, in a form that can be compared.
type message struct {
	Method, URI, Host, Body string
	Header, Trailer         http.Header
	Chunked                 bool
	Length                  int64
}

// recorder is an origin that keeps the requests that reach it, parsed again from
// its bytes by net/http.
type recorder struct {
	url string
	mu  sync.Mutex
	got []message
	bad []string // connections on which something else came: the bytes, and what is wrong with them
}

func newRecorder(t testing.TB) *recorder {
	r := &recorder{}
	r.url = rawOrigin(t, r.serve)
	return r
}

func (r *recorder) serve(c net.Conn) {
	var seen bytes.Buffer
	in := bufio.NewReader(io.TeeReader(c, &seen))
	for {
		if _, err := in.Peek(1); err != nil {
			return
		}
		m, err := readMessage(in)
		if err == nil && in.Buffered() > 0 {
			err = fmt.Errorf("%d bytes follow the request", in.Buffered())
		}
		r.mu.Lock()
		if err != nil {
			r.bad = append(r.bad, fmt.Sprintf("%v in %q", err, seen.Bytes()))
		} else {
			r.got = append(r.got, m)
		}
		r.mu.Unlock()
		if err != nil {
			return
		}
		seen.Reset()
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	}
}

// take returns what has come since the last call.
func (r *recorder) take() (got []message, bad []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	got, bad = r.got, r.bad
	r.got, r.bad = nil, nil
	return got, bad
}

// readMessage reads one request with net/http, body and trailers included.
func readMessage(in *bufio.Reader) (message, error) {
	req, err := http.ReadRequest(in)
	if err != nil {
		return message{}, err
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return message{}, err
	}
	m := message{
		Method: req.Method, URI: req.RequestURI, Host: req.Host, Body: string(body), Header: req.Header, Trailer: req.Trailer,
		Chunked: slices.Contains(req.TransferEncoding, "chunked"), Length: req.ContentLength,
	}
	if m.Chunked {
		m.Length = -1
	}
	return m, nil
}

// proxied is what an honest proxy makes of a client's request, as net/http read
// it: the same one, in origin-form, without the fields of the connection and with
// those that the proxy adds.
func proxied(m message) message {
	if rest, ok := cutScheme(m.URI); ok {
		_, path, _ := strings.Cut(rest, "/")
		switch {
		case strings.Contains(rest, "/") && !strings.Contains(rest[:strings.Index(rest, "/")], "?"):
			m.URI = "/" + path
		case strings.Contains(rest, "?"):
			m.URI = "/" + rest[strings.Index(rest, "?"):]
		case m.Method == "OPTIONS":
			m.URI = "*"
		default:
			m.URI = "/"
		}
	}
	h := m.Header.Clone()
	for _, list := range m.Header["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			switch name = http.CanonicalHeaderKey(strings.TrimSpace(name)); name {
			case "Content-Length", "Te", "Upgrade", "Expect":
			default:
				h.Del(name)
			}
		}
	}
	trailers := false
	for _, te := range m.Header["Te"] {
		for coding := range strings.SplitSeq(te, ",") {
			trailers = trailers || strings.EqualFold(strings.TrimSpace(coding), "trailers")
		}
	}
	upgrade := m.Header.Get("Upgrade") != "" && !m.Chunked && m.Length <= 0 && !strings.EqualFold(m.Header.Get("Upgrade"), "h2c")
	asked := false
	for _, list := range m.Header["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			asked = asked || strings.EqualFold(strings.TrimSpace(name), "upgrade")
		}
	}
	for name := range h {
		plain := strings.ReplaceAll(name, "_", "-")
		switch {
		case name == "Connection", name == "Keep-Alive", name == "Te", name == "Upgrade", name == "Expect", name == "Forwarded",
			strings.HasPrefix(name, "Proxy-") && name != "Proxy-",
			strings.HasPrefix(strings.ToLower(plain), "x-forwarded-") && len(plain) > len("x-forwarded-"),
			strings.EqualFold(plain, "X-Real-Ip"), strings.EqualFold(plain, "X-Request-Id"):
			delete(h, name)
		}
	}
	switch {
	case upgrade && asked:
		values := m.Header["Upgrade"]
		h["Connection"], h["Upgrade"] = []string{"Upgrade"}, []string{values[len(values)-1]}
	case trailers:
		h["Connection"], h["Te"] = []string{"TE"}, []string{"trailers"}
	}
	h["X-Forwarded-For"] = []string{"127.0.0.1"}
	h["X-Real-Ip"] = []string{"127.0.0.1"}
	h["X-Forwarded-Proto"] = []string{"http"}
	if m.Host != "" {
		h["X-Forwarded-Host"] = []string{m.Host}
	}
	m.Header = h
	m.Trailer = m.Trailer.Clone()
	for name := range m.Trailer {
		if forbiddenTrailer[name] || strings.HasPrefix(strings.ReplaceAll(name, "_", "-"), "X-Forwarded-") || strings.HasPrefix(name, "Proxy-") {
			delete(m.Trailer, name)
		}
	}
	return m
}

// forbiddenTrailer has the fields that must not stand in a trailer section
// (RFC 9110 section 6.5.1), or that only the head of a request may have.
var forbiddenTrailer = map[string]bool{}

func init() {
	for _, name := range strings.Fields(`Host Content-Length Transfer-Encoding Connection Upgrade Te Expect Keep-Alive Trailer
		Cookie Content-Type Forwarded X-Real-Ip X-Request-Id X_real_ip X_request_id
		Authorization Set-Cookie Cache-Control Content-Encoding Content-Range Max-Forwards Age Expires Location Retry-After
		Vary Www-Authenticate Range If-Match If-None-Match If-Modified-Since If-Unmodified-Since If-Range Alt-Svc`) {
		forbiddenTrailer[name] = true
	}
}

func cutScheme(uri string) (rest string, ok bool) {
	for _, scheme := range []string{"http://", "https://"} {
		if len(uri) >= len(scheme) && strings.EqualFold(uri[:len(scheme)], scheme) {
			return uri[len(scheme):], true
		}
	}
	return uri, false
}

// normal removes what may differ without meaning: the request id, whose form is
// checked, and the empty maps.
func normal(m message) (message, error) {
	if id := m.Header["X-Request-Id"]; len(id) != 1 || len(id[0]) != 32 {
		return m, fmt.Errorf("the request id is %q", id)
	}
	m.Header = m.Header.Clone()
	delete(m.Header, "X-Request-Id")
	if len(m.Trailer) == 0 {
		m.Trailer = nil
	}
	return m, nil
}
