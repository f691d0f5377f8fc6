package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

const compressAll = `[{"kind": "compress"}]`

var page = strings.Repeat("<p>What repeats itself becomes small.</p>\n", 100)

// site answers each path with another kind of body.
func site(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/html")
	switch r.URL.Path {
	case "/etag":
		h.Set("ETag", `"v1"`)
		h.Set("Accept-Ranges", "bytes")
		if strings.Contains(r.Header.Get("If-None-Match"), `"v1"`) {
			w.WriteHeader(304)
			return
		}
	case "/part":
		h.Set("Content-Range", "bytes 0-99/1000")
		w.WriteHeader(206)
		io.WriteString(w, page[:100])
		return
	case "/nothing":
		w.WriteHeader(204)
		return
	case "/encoded":
		h.Set("Content-Encoding", "gzip")
	case "/no-transform":
		h.Set("Cache-Control", "public, no-transform")
	case "/image":
		h.Set("Content-Type", "image/png")
	case "/small":
		io.WriteString(w, "small")
		return
	case "/vary":
		h.Set("Vary", "Cookie")
	case "/stream":
		w.(http.Flusher).Flush()
	}
	if r.Method == "HEAD" {
		h.Set("Content-Length", fmt.Sprint(len(page)))
		return
	}
	io.WriteString(w, page)
}

func TestMiddlewareCompress(t *testing.T) {
	e := newMiddlewareEdge(t, compressAll, httpOrigin(t, site))
	for _, tt := range []struct {
		method, path, accept string
		code                 int
		coding, vary, etag   string
		fields               []string
	}{
		{"GET", "/", "gzip", 200, "gzip", "Accept-Encoding", "", nil},
		{"GET", "/", "gzip, br", 200, "br", "Accept-Encoding", "", nil},
		{"GET", "/", "gzip, br, zstd", 200, "zstd", "Accept-Encoding", "", nil},
		{"GET", "/", "gzip, br;q=0.5, zstd;q=0", 200, "gzip", "Accept-Encoding", "", nil},
		{"GET", "/stream", "br", 200, "br", "Accept-Encoding", "", nil},
		{"GET", "/", "", 200, "", "Accept-Encoding", "", nil},
		{"GET", "/", "identity", 200, "", "Accept-Encoding", "", nil},
		{"GET", "/", "gzip", 200, "", "Accept-Encoding", "", []string{"Cache-Control: no-transform"}},
		{"HEAD", "/", "gzip", 200, "gzip", "Accept-Encoding", "", nil},
		{"GET", "/etag", "gzip", 200, "gzip", "Accept-Encoding", `W/"v1"`, nil},
		{"GET", "/etag", "", 200, "", "Accept-Encoding", `"v1"`, nil},
		{"GET", "/etag", "gzip", 304, "", "Accept-Encoding", `W/"v1"`, []string{`If-None-Match: W/"v1"`}},
		{"GET", "/part", "gzip", 206, "", "", "", []string{"Range: bytes=0-99"}},
		{"GET", "/nothing", "gzip", 204, "", "", "", nil},
		{"GET", "/encoded", "gzip, br", 200, "gzip", "", "", nil}, // as it came
		{"GET", "/no-transform", "gzip", 200, "", "", "", nil},
		{"GET", "/image", "gzip", 200, "", "", "", nil},
		{"GET", "/small", "gzip", 200, "", "", "", nil},
		{"GET", "/vary", "gzip", 200, "gzip", "Cookie, Accept-Encoding", "", nil},
	} {
		name := fmt.Sprint(tt.method, " ", tt.path, " ", tt.accept, " ", tt.fields)
		fields := tt.fields
		if tt.accept != "" {
			fields = append(fields, "Accept-Encoding: "+tt.accept)
		}
		resp, body := e.ask(tt.method, tt.path, fields...)
		h := resp.Header
		if resp.StatusCode != tt.code || h.Get("Content-Encoding") != tt.coding || strings.Join(h.Values("Vary"), ", ") != tt.vary || h.Get("ETag") != tt.etag {
			t.Errorf("%s: %d %v", name, resp.StatusCode, h)
			continue
		}
		if tt.method == "HEAD" || tt.code != 200 || tt.path == "/encoded" || tt.path == "/small" {
			if tt.method == "HEAD" && h.Get("Content-Length") != "" {
				t.Errorf("%s: Content-Length %s of the body before it is compressed", name, h.Get("Content-Length"))
			}
			continue
		}
		plain, err := io.ReadAll(decoder(t, tt.coding, strings.NewReader(body)))
		if err != nil || string(plain) != page {
			t.Errorf("%s: %d bytes of %d, %v", name, len(plain), len(page), err)
		}
		if tt.coding != "" && (len(body) > len(page)/5 || h.Get("Accept-Ranges") != "") {
			t.Errorf("%s: %d bytes became %d, %v", name, len(page), len(body), h)
		}
	}
}

// TestMiddlewareCompressEvents: an event is at the client before the next one is
// sent, whatever stands around.
func TestMiddlewareCompressEvents(t *testing.T) {
	for _, coding := range []string{"gzip", "br", "zstd"} {
		t.Run(coding, func(t *testing.T) {
			next := make(chan struct{})
			e := newMiddlewareEdge(t, `[{"kind": "in_flight", "in_flight_opts": {"amount": 5}}, {"kind": "retry", "retry_opts": {"attempts": 1}},
				{"kind": "headers", "headers_opts": {"response": {"X-A": "b"}}}, {"kind": "compress"}]`,
				httpOrigin(t, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", "text/event-stream")
					w.(http.Flusher).Flush()
					for i := 0; ; i++ {
						select {
						case _, more := <-next:
							if !more {
								return
							}
						case <-r.Context().Done():
							return
						}
						fmt.Fprintf(w, "data: %d\n\n", i)
						w.(http.Flusher).Flush()
					}
				}))
			c := e.dial()
			c.send("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: " + coding + "\r\n\r\n")
			resp := c.head("GET") // before the first event
			if resp.Header.Get("Content-Encoding") != coding || resp.Header.Get("X-A") != "b" {
				t.Fatal(resp.Header)
			}
			var events *bufio.Reader
			var took []time.Duration
			for i := range 20 {
				began := time.Now()
				next <- struct{}{}
				if events == nil {
					events = bufio.NewReader(decoder(t, coding, resp.Body))
				}
				line, err := events.ReadString('\n')
				if want := fmt.Sprintf("data: %d\n", i); err != nil || line != want {
					t.Fatalf("event %d: %q, %v", i, line, err)
				}
				events.ReadString('\n')
				took = append(took, time.Since(began))
			}
			close(next)
			slices.Sort(took)
			t.Logf("half of the events took %v, the slowest %v", took[10], took[19])
		})
	}
}
