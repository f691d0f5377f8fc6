package gateway_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"edgerouter/app"
	"edgerouter/gateway"
	"edgerouter/wire"
)

// spellings are names that some application takes for name.
func spellings(name string) []string {
	with := func(c string) string { return strings.ReplaceAll(name, "-", c) }
	return []string{with("_"), with("."), strings.ToUpper(with("_")), strings.Replace(name, "-", "_", 1), with("~"), strings.ToLower(name)}
}

// TestNamesThatAreOwned: what the edge or a middleware of any kind says in a field
// a client cannot say, under no name that an application could take for it, in
// the head and in the trailers.
func TestNamesThatAreOwned(t *testing.T) {
	r := startGuards(t)
	var got http.Header
	var trailers http.Header
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		buf := make([]byte, 100)
		for {
			if _, err := req.Body.Read(buf); err != nil {
				break
			}
		}
		got, trailers = req.Header, req.Trailer
	}))
	t.Cleanup(backend.Close)
	asks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { w.Header().Set("X-Role", "guest") }))
	t.Cleanup(asks.Close)
	users := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(users, []byte("joonas:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n"), 0o600); err != nil { // "secret"
		t.Fatal(err)
	}
	const login = "Authorization: Basic am9vbmFzOnNlY3JldA==\r\n"
	edge := []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix", "X-Forwarded-Port", "X-Forwarded-Server",
		"X-Real-Ip", "X-Request-Id", "X-Client-Cert-Subject", "Transfer-Encoding", "Content-Length", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization"}
	options := func(kind, opts string) string { return fmt.Sprintf(`{"kind":%q,"%s_opts":{%s}}`, kind, kind, opts) }
	// Kinds that set no field of the request; the client_certificate's are the edge's.
	nothing := []app.MiddlewareKind{app.MiddlewareRedirectScheme, app.MiddlewareRedirectRegex, app.MiddlewareAllowedIPs, app.MiddlewareRateLimit,
		app.MiddlewareInFlight, app.MiddlewareRetry, app.MiddlewareCompress, app.MiddlewareMaxRequestBody, app.MiddlewareClientCertificate, app.MiddlewareAddPrefix}
	cases := map[app.MiddlewareKind]struct {
		middleware, lines string
		owned             []string
	}{
		"":                        {},
		app.MiddlewareHeaders:     {options("headers", `"request":{"X-Tenant":"one","X-Gone":""}`), "", []string{"X-Tenant", "X-Gone"}},
		app.MiddlewareStripPrefix: {options("strip_prefix", `"prefixes":["/in"]`), "", []string{"X-Forwarded-Prefix"}},
		app.MiddlewareReplacePath: {options("replace_path", `"path":"/other"`), "", []string{"X-Replaced-Path"}},
		app.MiddlewareBasicAuth:   {options("basic_auth", `"users_file":"`+users+`","header_field":"X-User-Name","remove_header":true`), login, []string{"X-User-Name"}},
		app.MiddlewareForwardAuth: {options("forward_auth", `"address":"`+asks.URL+`","auth_response_headers":["X-Role","X-Not-Given"]`), "", []string{"X-Role", "X-Not-Given"}},
		app.MiddlewareAuthForward: {options("auth_forward", `"address":"`+asks.URL+`","auth_response_headers":["X-Role"]`), "", []string{"X-Role"}},
		app.MiddlewareAuthV0:      {options("auth_v0", r.options("auth_v0")), "", nil},
		app.MiddlewareAuthSSO:     {options("auth_sso", r.options("auth_sso")), "", []string{"X-Auth-User"}},
		app.MiddlewareAuthOIDC:    {options("auth_oidc", r.options("auth_oidc")), "", []string{"X-Auth-User"}},
		app.MiddlewareChain:       {options("chain", `"middlewares":[`+options("headers", `"request":{"X-Tenant":"one"}`)+`]`), "", []string{"X-Tenant"}},
	}
	for kind := range (gateway.Standard{}).Middlewares() {
		if _, is := cases[kind]; !is && !slices.Contains(nothing, kind) {
			t.Errorf("kind %s: say here which fields it sets", kind)
		}
	}
	for kind, c := range cases {
		r.apply(t, `{"id":"a","frontends":[{"kind":"hostname","hostname":"a.example.com","allow_insecure_http":true}],"middlewares":[`+c.middleware+`],
			"backend":{"kind":"peer_set","peer_set_opts":{"addrs":["`+backend.URL+`"],"request_trailers":true,"headers_to_origin":{"X-Origin-Key":"k"}}}}`)
		if c.lines == "" && kind != "" {
			c.lines = r.credentials(t, string(kind))
		}
		for _, name := range append(append(slices.Clone(edge), "X-Origin-Key"), c.owned...) {
			head := "POST /in/x HTTP/1.1\r\nHost: a.example.com\r\nConnection: close\r\nX_Own_Field: mine\r\nTransfer-Encoding: chunked\r\n" + c.lines
			tail := "5\r\nhello\r\n0\r\nX_Own_Trailer: mine\r\n"
			for _, spelt := range spellings(name) {
				if !strings.EqualFold(spelt, name) || !slices.Contains(edge, name) { // this client is a trusted proxy
					head += spelt + ": evil\r\n"
				}
				tail += spelt + ": evil\r\n"
			}
			if answer := r.raw(t, head+"\r\n"+tail+"\r\n"); !strings.HasPrefix(answer, "HTTP/1.1 200 ") {
				t.Fatalf("%s, %s: %s", kind, name, answer)
			}
			for k, values := range got {
				if wire.SameName(k, name) && (!strings.EqualFold(k, name) || slices.Contains(values, "evil") || len(values) != 1) {
					t.Errorf("%s: the peer got %s: %q for %s", kind, k, values, name)
				}
			}
			for k := range trailers {
				if wire.SameName(k, name) {
					t.Errorf("%s: the peer got the trailer %s for %s", kind, k, name)
				}
			}
			if got.Get("X_own_field") != "mine" || trailers.Get("X_own_trailer") != "mine" || got.Get("X-Origin-Key") != "k" {
				t.Errorf("%s: the client's own are lost, or the edge's: %v, %v", kind, got, trailers)
			}
		}
	}
}

// TestRequestTrailers: dropped but for gRPC and where an application asks for them.
func TestRequestTrailers(t *testing.T) {
	r := startGuards(t)
	var trailers http.Header
	var announced string
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		buf := make([]byte, 100)
		for {
			if _, err := req.Body.Read(buf); err != nil {
				break
			}
		}
		trailers, announced = req.Trailer, req.Header.Get("Trailer")
	}))
	t.Cleanup(backend.Close)
	for _, middlewares := range []string{"", `{"kind":"headers","headers_opts":{"request":{"X-A":"b"}}}`, `{"kind":"max_request_body","max_request_body_opts":{"bytes":1000}}`} {
		for _, tt := range []struct {
			asked, mediaType string
			want             bool
		}{
			{"false", "text/plain", false}, {"true", "text/plain", true}, {"false", "application/grpc", true}, {"false", "application/grpc+proto", true},
			{"false", "Application/GRPC;x=y", true}, {"false", "application/grpcx", false}, {"false", "text/application/grpc", false},
		} {
			r.apply(t, `{"id":"a","frontends":[{"kind":"hostname","hostname":"a.example.com","allow_insecure_http":true}],"middlewares":[`+middlewares+`],
				"backend":{"kind":"peer_set","peer_set_opts":{"addrs":["`+backend.URL+`"],"request_trailers":`+tt.asked+`}}}`)
			answer := r.raw(t, "POST / HTTP/1.1\r\nHost: a.example.com\r\nConnection: close\r\nContent-Type: "+tt.mediaType+
				"\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n")
			if got := trailers.Get("X-Sum") == "1"; !strings.HasPrefix(answer, "HTTP/1.1 200 ") || got != tt.want || !tt.want && announced != "" {
				t.Errorf("%s, %q, middlewares %s: trailers %v, announced %q: %s", tt.asked, tt.mediaType, middlewares, trailers, announced, answer)
			}
		}
	}
}
