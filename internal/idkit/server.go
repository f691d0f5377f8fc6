// Package idkit is what tests sign in at: an id server of function61's kind and an
// OpenID provider, both with real keys, on loopback ports of their own.
package idkit

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// IDServer is an id server. Browsers that it is told to send back somewhere are
// signed in as User for Audience.
type IDServer struct {
	*httptest.Server
	User, Audience string

	mu      sync.Mutex
	keys    map[string]ed25519.PrivateKey
	fetches int
	Down    bool   // no keys are to be had; change it with Set, as Body
	Body    string // instead of the keys
}

// StartIDServer starts a server that has the key "one" and ends with the test.
func StartIDServer(t testing.TB) *IDServer {
	s := &IDServer{User: "joonas", Audience: "prod", keys: map[string]ed25519.PrivateKey{}}
	s.Add(t, "one")
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if next, err := url.Parse(r.URL.Query().Get("next")); r.URL.Path == "/" && err == nil && next.Host != "" {
			c := Claims(s.User)
			c["aud"] = s.Audience
			q := next.Query()
			q.Set("token", Sign(t, s.keys["one"], "one", c))
			next.RawQuery = q.Encode()
			http.Redirect(w, r, next.String(), http.StatusFound)
			return
		}
		if r.URL.Path != "/.well-known/jwks.json" {
			http.NotFound(w, r)
			return
		}
		s.fetches++
		if s.Down {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		if s.Body != "" {
			_, _ = w.Write([]byte(s.Body))
			return
		}
		type key map[string]string
		set := []key{{"kty": "RSA", "kid": "other", "n": "AQAB", "e": "AQAB"}}
		for id, k := range s.keys {
			set = append(set, key{"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": id,
				"x": base64.RawURLEncoding.EncodeToString(k.Public().(ed25519.PublicKey))})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": set})
	}))
	t.Cleanup(s.Close)
	return s
}

// Add gives the server another key.
func (s *IDServer) Add(t testing.TB, id string) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[id] = key
}

// Set changes how the server behaves.
func (s *IDServer) Set(f func(s *IDServer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

// Fetches tells how often the keys were asked for.
func (s *IDServer) Fetches() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetches
}

// Claims of a good token, to be changed.
func Claims(user string) jwt.MapClaims {
	now := time.Now()
	return jwt.MapClaims{"sub": user, "aud": "prod", "iat": now.Add(-time.Minute).Unix(), "exp": now.Add(time.Hour).Unix()}
}

// Sign makes a token with one of the server's keys.
func (s *IDServer) Sign(t testing.TB, kid string, c jwt.MapClaims) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	return Sign(t, s.keys[kid], kid, c)
}

// Public is the public half of one of the server's keys.
func (s *IDServer) Public(kid string) ed25519.PublicKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[kid].Public().(ed25519.PublicKey)
}

// Key is one of the server's keys.
func (s *IDServer) Key(kid string) ed25519.PrivateKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys[kid]
}

// Sign makes a token: signed with an Ed25519 key, with HMAC when key is []byte, and
// not at all when it is nil.
func Sign(t testing.TB, key any, kid string, c jwt.MapClaims) string {
	t.Helper()
	var method jwt.SigningMethod = jwt.SigningMethodEdDSA
	switch key.(type) {
	case []byte:
		method = jwt.SigningMethodHS256
	case nil:
		method, key = jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType
	}
	token := jwt.NewWithClaims(method, c)
	if kid != "" {
		token.Header["kid"] = kid
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
