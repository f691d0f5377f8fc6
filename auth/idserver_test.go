package auth

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// idServer is an id server with real keys.
type idServer struct {
	*httptest.Server

	mu      sync.Mutex
	keys    map[string]ed25519.PrivateKey
	fetches int
	down    bool
	body    string // instead of the keys
}

func startIDServer(t testing.TB) *idServer {
	s := &idServer{keys: map[string]ed25519.PrivateKey{}}
	s.add(t, "one")
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if r.URL.Path != "/.well-known/jwks.json" {
			http.NotFound(w, r)
			return
		}
		s.fetches++
		if s.down {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		if s.body != "" {
			_, _ = w.Write([]byte(s.body))
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

func (s *idServer) add(t testing.TB, id string) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[id] = key
}

func (s *idServer) set(f func(s *idServer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

func (s *idServer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetches
}

// claims of a good token, to be changed.
func claims(user string) jwt.MapClaims {
	now := time.Now()
	return jwt.MapClaims{"sub": user, "aud": "prod", "iat": now.Add(-time.Minute).Unix(), "exp": now.Add(time.Hour).Unix()}
}

// sign makes a token with one of the server's keys.
func (s *idServer) sign(t testing.TB, kid string, c jwt.MapClaims) string {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	return signWith(t, s.keys[kid], kid, c)
}

func signWith(t testing.TB, key any, kid string, c jwt.MapClaims) string {
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
