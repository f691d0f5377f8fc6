package load

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestHandshakes(t *testing.T) {
	for _, resume := range []bool{false, true} {
		var full, resumed atomic.Int64
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.TLS.DidResume {
				resumed.Add(1)
			} else {
				full.Add(1)
			}
			io.WriteString(w, "hello")
		}))
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.StartTLS()
		pool := x509.NewCertPool()
		pool.AddCert(s.Certificate())
		res, err := RunHandshakes(t.Context(), Config{
			Target: addrOf(t, s), TLS: &tls.Config{RootCAs: pool, ServerName: "example.com", MinVersion: tls.VersionTLS13},
			Requests: get("/", "Connection: close"), Length: 5, Connections: 3, MaxRequests: 20, Duration: 20 * time.Second,
		}, resume)
		s.Close()
		if err != nil {
			t.Fatal(err)
		}
		if res.Errors.Total() != 0 || res.Requests < 18 || res.Latency.TotalCount() != res.Requests {
			t.Errorf("resume %v:\n%s", resume, res)
		}
		if resume && (full.Load() > 3 || resumed.Load() == 0) {
			t.Errorf("resumed %d, full %d; want a full one for each of 3 workers", resumed.Load(), full.Load())
		}
		if !resume && resumed.Load() != 0 {
			t.Errorf("%d were resumed", resumed.Load())
		}
	}
}

func TestHandshakeErrors(t *testing.T) {
	plain := rawServer(t, func(conn net.Conn) { io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n") })
	res, err := RunHandshakes(t.Context(), Config{Target: plain, TLS: &tls.Config{ServerName: "a"}, Requests: get("/"), MaxRequests: 2, Duration: 20 * time.Second}, false)
	if err != nil {
		t.Fatal(err)
	}
	if res.Errors[ErrConnect] == 0 || res.Requests != 0 || !strings.Contains(res.FirstError, "connect") {
		t.Errorf("%s", res)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(404) }))
	s.TLS = &tls.Config{SessionTicketsDisabled: true}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	cfg := Config{Target: addrOf(t, s), TLS: &tls.Config{InsecureSkipVerify: true}, Requests: get("/", "Connection: close"), Status: 404, Length: -1, MaxRequests: 3, Duration: 20 * time.Second}
	if res, err = RunHandshakes(t.Context(), cfg, true); err != nil || res.Errors[ErrConnect] == 0 || !strings.Contains(res.FirstError, "resumed") {
		t.Errorf("a server that does not resume: %v\n%s", err, res)
	}
}
