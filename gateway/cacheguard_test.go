package gateway_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/rs/zerolog"

	"edgerouter/app"
	"edgerouter/auth"
	"edgerouter/gateway"
	"edgerouter/httpcache"
	"edgerouter/internal/idkit"
	"edgerouter/internal/testkit"
	"edgerouter/metrics"
	"edgerouter/server"
	"edgerouter/turbo"
	"edgerouter/turbo/cache"
	"edgerouter/turbo/store"
	"edgerouter/upstream"
)

// cacheGuard is a node whose peers are behind caching, with a TLS listener that
// asks for client certificates.
type cacheGuard struct {
	*guardRig
	tls     *tls.Config // of clients
	certs   map[string]tls.Certificate
	ca      string // file of what signed them
	control atomic.Value
	asked   atomic.Int64
}

func startCacheGuard(t *testing.T) *cacheGuard {
	r := &cacheGuard{guardRig: &guardRig{live: &live{log: &strings.Builder{}}}, certs: map[string]tls.Certificate{}}
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	r.key, r.openid = key, idkit.StartProvider(t)
	r.id = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]string{
			"kty": "OKP", "crv": "Ed25519", "kid": "one", "x": base64.RawURLEncoding.EncodeToString(public)}}})
	}))
	t.Cleanup(r.id.Close)
	r.asks = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Pass") == "" {
			w.WriteHeader(http.StatusForbidden)
		}
		w.Header().Set("Remote-User", req.Header.Get("Pass"))
	}))
	t.Cleanup(r.asks.Close)
	r.backend = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Cache-Control", r.control.Load().(string))
		fmt.Fprintf(w, "page %d for %s%s%s%s", r.asked.Add(1), req.Header.Get("X-Auth-User"), req.Header.Get("Remote-User"),
			req.Header.Get("X-User"), req.Header.Get("X-Client-Cert-Subject"))
	}))
	t.Cleanup(r.backend.Close)
	r.makeCerts(t, "ann", "bob")

	st, err := store.OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	tiers, err := cache.Open(cache.Options{Dir: t.TempDir(), Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	engine := turbo.New(st, tiers, zerolog.Nop())
	t.Cleanup(func() { engine.Close(); tiers.Close() })
	kinds := gateway.Standard{
		Upstream: upstream.Deps{Log: zerolog.Nop(), Stats: &upstream.Stats{}}, Turbo: engine, CacheStats: &httpcache.Stats{},
		Auth:   auth.V0Deps{Resolve: func(s app.Secret) (string, error) { return string(s), nil }},
		SignIn: auth.SignInDeps{Client: http.DefaultClient, SessionKey: make([]byte, 32)}, IDServerURL: r.id.URL,
	}
	r.Gateway = gateway.New(gateway.Options{Builders: kinds.Builders(), Middlewares: kinds.Middlewares(), Metrics: metrics.NewSet(), Log: zerolog.New(r.live.log), Grace: time.Millisecond})
	serving, client := testkit.TLS(t, "a.example.com")
	serving.ClientAuth, r.tls = tls.RequestClientCert, client
	srv := server.New(server.Config{Lookup: r.Lookup, Unmatched: nothing{}, Log: zerolog.Nop(), TLS: serving})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = ln.Addr().String()
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(ln, true) }()
	t.Cleanup(func() { srv.Shutdown(t.Context(), 0); <-done; r.Close() })
	return r
}

// makeCerts makes certificates of users that are their own authorities.
func (r *cacheGuard) makeCerts(t *testing.T, users ...string) {
	var all []byte
	for _, user := range users {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: user}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, IsCA: true, BasicConstraintsValid: true,
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		r.certs[user] = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
		all = append(all, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	r.ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(r.ca, all, 0o600); err != nil {
		t.Fatal(err)
	}
}

// get asks for a page, as a user or as nobody, with the fields of a head.
func (r *cacheGuard) get(t *testing.T, user, target, head string) (status int, body string, h http.Header) {
	t.Helper()
	conf := r.tls.Clone()
	if cert, ok := r.certs[user]; ok {
		conf.Certificates = []tls.Certificate{cert}
	}
	c, err := tls.Dial("tcp", r.addr, conf)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a.example.com\r\nConnection: close\r\n%s\r\n", target, head)
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data), resp.Header
}

// aGuard is one way to say who may enter.
type aGuard struct {
	name, kind, opts string
	head             func(user string) string
	byCert           bool
	tells            bool // the peer who it is
}

func (r *cacheGuard) guards(t *testing.T) []aGuard {
	basic := func(user string) string {
		return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":test")) + "\r\n"
	}
	const users = `"users":["ann:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=","bob:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M="]`
	pass := func(user string) string { return "Pass: " + user + "\r\n" }
	sso := func(user string) string { return r.token(t, user) }
	sessions := map[string]string{}
	oidc := func(user string) string {
		if sessions[user] == "" {
			r.openid.Set(func(b *idkit.Behaviour) { b.Claims = jwt.MapClaims{"email": user + "@corp.example", "sub": user} })
			_, _, h := r.get(t, "", "/start", "Accept: text/html\r\n")
			pending, _, _ := strings.Cut(h.Get("Set-Cookie"), ";")
			back := r.openid.Authorize(t, h.Get("Location")).RequestURI()
			_, _, h = r.get(t, "", back, "Accept: text/html\r\nCookie: "+pending+"\r\n")
			for _, line := range h.Values("Set-Cookie") {
				if c, err := http.ParseSetCookie(line); err == nil && c.MaxAge > 0 {
					sessions[user] = c.Name + "=" + c.Value
				}
			}
			if sessions[user] == "" {
				t.Fatalf("no session for %s: %v", user, h)
			}
		}
		return "Cookie: " + sessions[user] + "\r\n"
	}
	none := func(string) string { return "" }
	return []aGuard{
		{"basic_auth", "basic_auth", users, basic, false, false},
		{"basic_auth that removes", "basic_auth", users + `,"remove_header":true`, basic, false, false},
		{"basic_auth that tells", "basic_auth", users + `,"remove_header":true,"header_field":"X-User"`, basic, false, true},
		{"forward_auth", "forward_auth", `"address":"` + r.asks.URL + `"`, pass, false, false},
		{"forward_auth that tells", "forward_auth", `"address":"` + r.asks.URL + `","auth_response_headers":["Remote-User"]`, pass, false, true},
		{"auth_forward", "auth_forward", `"address":"` + r.asks.URL + `"`, pass, false, false},
		{"auth_v0", "auth_v0", `"bearer_token":"sesame"`, func(string) string { return "Authorization: Bearer sesame\r\n" }, false, false},
		{"auth_sso, cookie", "auth_sso", `"allowed_user_ids":["ann","bob"],"audience":"prod"`, func(u string) string { return "Cookie: auth=" + sso(u) + "\r\n" }, false, true},
		{"auth_sso, bearer", "auth_sso", `"allowed_user_ids":["ann","bob"],"audience":"prod"`, func(u string) string { return "Authorization: Bearer " + sso(u) + "\r\n" }, false, true},
		{"auth_oidc", "auth_oidc", `"issuer":"` + r.openid.URL + `","client_id":"edge","client_secret":"s3cret","allowed":{"domains":["corp.example"]}`, oidc, false, true},
		{"client_certificate", "client_certificate", fmt.Sprintf(`"ca_file":%q`, r.ca), none, true, true},
		{"client_certificate, optional", "client_certificate", fmt.Sprintf(`"ca_file":%q,"optional":true`, r.ca), none, true, true},
	}
}

// around are middlewares that admit nobody by who it is, with options under which
// a request passes.
var around = map[string]string{
	"headers":          `"request":{"Authorization":"","Cookie":"","X-Const":"1"},"response":{"X":"y"}`,
	"strip_prefix":     `"prefixes":["/p"]`,
	"add_prefix":       `"prefix":"/p"`,
	"replace_path":     `"path":"/other"`,
	"redirect_scheme":  `"scheme":"https"`,
	"redirect_regex":   `"regexp":"nowhere","replacement":"else"`,
	"allowed_ips":      `"ranges":["127.0.0.0/8"]`,
	"rate_limit":       `"average":1000000,"burst":1000000`,
	"in_flight":        `"amount":1000`,
	"retry":            `"attempts":1`,
	"compress":         `"min_response_body":1`,
	"max_request_body": `"bytes":1`,
	"chain":            `"middlewares":[{"kind":"compress"}]`,
}

// TestCacheBehindGuards: whoever a guard admitted is authorized in the sense of RFC
// 9111 section 3.5, in any order of middlewares: what does not say that it is for
// all is for one user. And what says so is still made from the fields that the
// guard set.
func TestCacheBehindGuards(t *testing.T) {
	r := startCacheGuard(t)
	guards := r.guards(t)
	for kind := range (gateway.Standard{}).Middlewares() {
		_, harmless := around[string(kind)]
		for _, g := range guards {
			harmless = harmless || g.kind == string(kind)
		}
		if !harmless {
			t.Errorf("%s is neither among the guards nor among the others: does it admit a client as somebody?", kind)
		}
	}
	around[""] = ""
	n := 0
	for _, g := range guards {
		guard := fmt.Sprintf(`{"kind":%q,"%s_opts":{%s}}`, g.kind, g.kind, g.opts)
		for kind, opts := range around {
			other := fmt.Sprintf(`{"kind":%q,"%s_opts":{%s}}`, kind, kind, opts)
			orders := []string{guard + "," + other, other + "," + guard}
			switch kind {
			case "headers":
				orders = orders[:1] // before the guard it would take the credentials away
			case "":
				orders = []string{guard}
			case "replace_path", "add_prefix":
				if strings.HasPrefix(g.kind, "auth_oidc") {
					orders = orders[:1] // its own paths would be others
				}
			}
			for _, order := range orders {
				n++
				r.apply(t, fmt.Sprintf(`{"id":"a","frontends":[{"kind":"hostname","hostname":"a.example.com"}],"middlewares":[%s],
					"backend":{"kind":"peer_set","peer_set_opts":{"addrs":[%q],"caching":true,"headers_to_origin":{"X-N":"%d"}}}}`, order, r.backend.URL, n))
				r.tryCache(t, g, order)
			}
		}
	}
}

func (r *cacheGuard) tryCache(t *testing.T, g aGuard, order string) {
	t.Helper()
	get := func(user, target string) (string, bool) {
		t.Helper()
		before := r.asked.Load()
		as := ""
		if g.byCert {
			as = user
		}
		status, body, _ := r.get(t, as, target, g.head(user))
		if status != 200 {
			t.Fatalf("%s: %s gets %d %s", order, user, status, body)
		}
		return body, r.asked.Load() != before
	}
	r.control.Store("max-age=60")
	for _, user := range []string{"ann", "bob", "ann"} {
		if body, asked := get(user, "/mine"); !asked {
			t.Errorf("%s: %s is answered from the cache: %s", order, user, body)
		}
	}
	r.control.Store("public, max-age=60")
	get("ann", "/all")
	if _, asked := get("ann", "/all"); asked {
		t.Errorf("%s: what is public is not stored", order)
	}
	body, asked := get("bob", "/all")
	if g.tells && (!asked || !strings.Contains(body, "bob")) || !g.tells && asked {
		t.Errorf("%s: bob gets %q, asked %v", order, body, asked)
	}
	// One that nobody let in, with what is stored for others.
	before := r.asked.Load()
	status, body, _ := r.get(t, "", "/all", "")
	if status == 200 && (!strings.Contains(order, "optional") || strings.Contains(body, "ann") || r.asked.Load() == before) {
		t.Errorf("%s: nobody gets %q", order, body)
	}
}
