package idkit

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Provider is an OpenID provider that signs everybody in at once, as
// ann@corp.example with the subject 42, for the client "edge" with the secret
// "s3cret".
type Provider struct {
	*httptest.Server
	key *rsa.PrivateKey

	mu     sync.Mutex
	codes  map[string]authorization // not yet exchanged
	behave Behaviour
}

// Behaviour is what a test may change in a Provider.
type Behaviour struct {
	Down   bool
	Claims jwt.MapClaims // of id_tokens, over the usual ones; nil takes one away
	Signer any           // instead of the provider's key
	Secret string        // of the client
	KeyID  string        // of the provider's key
	// UserInfo is what the userinfo endpoint says; nil: there is no such endpoint.
	UserInfo map[string]any
}

type authorization struct{ challenge, redirect, nonce string }

// firstKey is the key that providers begin with. To make one takes a good part of
// a second on a busy machine, and tests have many providers.
var firstKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// StartProvider starts a provider that ends with the test.
func StartProvider(t testing.TB) *Provider {
	key, err := firstKey()
	if err != nil {
		t.Fatal(err)
	}
	p := &Provider{key: key, codes: map[string]authorization{}, behave: Behaviour{Secret: "s3cret", KeyID: "k"}}
	mux := http.NewServeMux()
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.behave.Down {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(p.Close)
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, r *http.Request) {
		more := map[string]any{}
		if p.behave.UserInfo != nil {
			more["userinfo_endpoint"] = p.URL + "/userinfo"
		}
		for k, v := range map[string]any{
			"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
			"end_session_endpoint": "https://id.example/logout", "id_token_signing_alg_values_supported": []string{"RS256"},
		} {
			more[k] = v
		}
		_ = json.NewEncoder(w).Encode(more)
	})
	mux.HandleFunc("/userinfo", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer a" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(p.behave.UserInfo)
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, r *http.Request) {
		b := base64.RawURLEncoding
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]string{
			"kty": "RSA", "alg": "RS256", "use": "sig", "kid": p.behave.KeyID,
			"n": b.EncodeToString(p.key.N.Bytes()), "e": b.EncodeToString(big.NewInt(int64(p.key.E)).Bytes()),
		}}})
	})
	mux.HandleFunc("/token", p.token)
	mux.HandleFunc("/authorize", func(w http.ResponseWriter, r *http.Request) {
		back, err := p.authorize(r.URL.Query())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		http.Redirect(w, r, back.String(), http.StatusFound)
	})
	return p
}

// Set changes how the provider behaves.
func (p *Provider) Set(change func(b *Behaviour)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.behave)
}

// Rotate gives the provider another key with another id.
func (p *Provider) Rotate(t testing.TB) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p.Set(func(b *Behaviour) { b.KeyID += "k"; p.key = key })
}

// Authorize is what a browser that is sent to location does at the provider: it
// gets a code and goes back.
func (p *Provider) Authorize(t testing.TB, location string) (back *url.URL) {
	t.Helper()
	u, err := url.Parse(location)
	if err != nil || u.Path != "/authorize" || u.Scheme+"://"+u.Host != p.URL {
		t.Fatalf("sent to %s, %v", location, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if back, err = p.authorize(u.Query()); err != nil {
		t.Fatal(err)
	}
	return back
}

// authorize makes a code; p.mu is held.
func (p *Provider) authorize(q url.Values) (*url.URL, error) {
	if q.Get("client_id") != "edge" || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" {
		return nil, fmt.Errorf("asked for %s", q.Encode())
	}
	code := rand.Text()
	p.codes[code] = authorization{q.Get("code_challenge"), q.Get("redirect_uri"), q.Get("nonce")}
	back, err := url.Parse(q.Get("redirect_uri"))
	if err != nil {
		return nil, err
	}
	back.RawQuery = url.Values{"code": {code}, "state": {q.Get("state")}}.Encode()
	return back, nil
}

// token exchanges a code; p.mu is held.
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	user, password, _ := r.BasicAuth()
	if user == "" {
		user, password = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	a, ok := p.codes[r.PostForm.Get("code")]
	delete(p.codes, r.PostForm.Get("code"))
	sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	if !ok || user != "edge" || password != p.behave.Secret || a.redirect != r.PostForm.Get("redirect_uri") || a.challenge != base64.RawURLEncoding.EncodeToString(sum[:]) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant","error_description":"you sent ` + password + `"}`))
		return
	}
	c := jwt.MapClaims{"iss": p.URL, "aud": "edge", "sub": "42", "nonce": a.nonce, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
		"email": "ann@corp.example", "email_verified": true, "groups": []string{"ops", "dev"}}
	for k, v := range p.behave.Claims {
		if v == nil {
			delete(c, k)
			continue
		}
		c[k] = v
	}
	var key any = p.key
	method := jwt.SigningMethod(jwt.SigningMethodRS256)
	if p.behave.Signer != nil {
		key = p.behave.Signer
		if _, ok := key.([]byte); ok {
			method = jwt.SigningMethodHS256
		} else if key == jwt.UnsafeAllowNoneSignatureType {
			method = jwt.SigningMethodNone
		}
	}
	token := jwt.NewWithClaims(method, c)
	token.Header["kid"] = p.behave.KeyID
	text, _ := token.SignedString(key)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": text})
}
