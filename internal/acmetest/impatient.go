package acmetest

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync/atomic"
	"testing"
)

// impatient stands before a CA and changes nothing but when renewal information is
// to be asked for again: pebble says every six hours. The CA makes its URLs of the
// Host that it is asked for, and so they lead here.
func impatient(t testing.TB, ca, certFile, keyFile string, transport http.RoundTripper, asked *atomic.Int64) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: &httputil.ReverseProxy{
		Transport: transport,
		Rewrite:   func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "https", ca },
		ModifyResponse: func(resp *http.Response) error {
			if strings.Contains(resp.Request.URL.Path, "/renewalInfo/") {
				resp.Header.Set("Retry-After", "1")
				asked.Add(1)
			}
			return nil
		},
	}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.ServeTLS(ln, certFile, keyFile)
	}()
	t.Cleanup(func() { server.Close(); <-done })
	return ln.Addr().String()
}
