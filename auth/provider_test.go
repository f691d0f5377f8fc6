package auth

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// provider is an OpenID provider that signs everybody in at once.
type provider struct {
	*httptest.Server
	key *rsa.PrivateKey

	mu     sync.Mutex
	down   bool
	claims jwt.MapClaims            // of the next id_token, over the usual ones
	signer any                      // instead of key
	codes  map[string]authorization // not yet exchanged
	secret string
}

type authorization struct{ challenge, redirect, nonce string }

func startProvider(t testing.TB) *provider {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{key: key, codes: map[string]authorization{}, secret: "s3cret"}
	mux := http.NewServeMux()
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.down {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(p.Close)
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
			"end_session_endpoint": "https://id.example/logout", "id_token_signing_alg_values_supported": []string{"RS256"},
		})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, r *http.Request) {
		b := base64.RawURLEncoding
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]string{
			"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "k",
			"n": b.EncodeToString(key.N.Bytes()), "e": b.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
		}}})
	})
	mux.HandleFunc("/token", p.token)
	return p
}

// authorize is what the browser does at the provider: it gets a code and goes back.
func (p *provider) authorize(t testing.TB, location string) (back *url.URL) {
	t.Helper()
	u, err := url.Parse(location)
	if err != nil || u.Path != "/authorize" || u.Scheme+"://"+u.Host != p.URL {
		t.Fatalf("sent to %s, %v", location, err)
	}
	q := u.Query()
	if q.Get("client_id") != "edge" || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" {
		t.Fatalf("asked for %s", u.RawQuery)
	}
	code := rand.Text()
	p.mu.Lock()
	p.codes[code] = authorization{q.Get("code_challenge"), q.Get("redirect_uri"), q.Get("nonce")}
	p.mu.Unlock()
	back, err = url.Parse(q.Get("redirect_uri"))
	if err != nil {
		t.Fatal(err)
	}
	back.RawQuery = url.Values{"code": {code}, "state": {q.Get("state")}}.Encode()
	return back
}

// token exchanges a code; p.mu is held.
func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	user, password, _ := r.BasicAuth()
	if user == "" {
		user, password = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	a, ok := p.codes[r.PostForm.Get("code")]
	delete(p.codes, r.PostForm.Get("code"))
	sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	if !ok || user != "edge" || password != p.secret || a.redirect != r.PostForm.Get("redirect_uri") || a.challenge != base64.RawURLEncoding.EncodeToString(sum[:]) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant","error_description":"you sent ` + password + `"}`))
		return
	}
	c := jwt.MapClaims{"iss": p.URL, "aud": "edge", "sub": "42", "nonce": a.nonce, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
		"email": "ann@corp.example", "email_verified": true, "groups": []string{"ops", "dev"}}
	for k, v := range p.claims {
		if v == nil {
			delete(c, k)
			continue
		}
		c[k] = v
	}
	var key any = p.key
	method := jwt.SigningMethod(jwt.SigningMethodRS256)
	if p.signer != nil {
		key = p.signer
		if _, ok := key.([]byte); ok {
			method = jwt.SigningMethodHS256
		}
	}
	token := jwt.NewWithClaims(method, c)
	token.Header["kid"] = "k"
	text, _ := token.SignedString(key)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": text})
}
