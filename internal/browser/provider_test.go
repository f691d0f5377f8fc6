package browser

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// identity is an OpenID provider and a function61 id server with real keys. Each
// shows a page with a button, and signs in whom it is told to.
type identity struct {
	*httptest.Server
	rsa     *rsa.PrivateKey
	ed25519 ed25519.PrivateKey

	mu    sync.Mutex
	codes map[string]url.Values // what was asked for, by code
}

const clientSecret = "known-to-both"

func startIdentity(t *testing.T) *identity {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &identity{rsa: key, ed25519: ed, codes: map[string]url.Values{}}
	mux := http.NewServeMux()
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	mux.HandleFunc("/oidc/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]any{
			"issuer": p.URL + "/oidc", "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
			"end_session_endpoint": p.URL + "/goodbye", "id_token_signing_alg_values_supported": []string{"RS256"},
		})
	})
	b := base64.RawURLEncoding.EncodeToString
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]any{"keys": []any{map[string]string{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "r", "n": b(key.N.Bytes()), "e": b(big.NewInt(int64(key.E)).Bytes())}}})
	})
	mux.HandleFunc("/id/.well-known/jwks.json", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]any{"keys": []any{map[string]string{"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": "e", "x": b(ed.Public().(ed25519.PublicKey))}}})
	})
	mux.HandleFunc("/authorize", func(w http.ResponseWriter, r *http.Request) {
		code := rand.Text()
		p.mu.Lock()
		p.codes[code] = r.URL.Query()
		p.mu.Unlock()
		signInPage(w, r.URL.Query().Get("redirect_uri"), url.Values{"code": {code}, "state": {r.URL.Query().Get("state")}})
	})
	mux.HandleFunc("/id", func(w http.ResponseWriter, r *http.Request) {
		next, err := url.Parse(r.URL.Query().Get("next"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		query := next.Query()
		query.Set("token", sign(jwt.SigningMethodEdDSA, p.ed25519, "e", jwt.MapClaims{"sub": "2", "aud": "edge", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}))
		next.RawQuery = ""
		signInPage(w, next.String(), query)
	})
	goodbye := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<!doctype html><title>x</title>goodbye") }
	mux.HandleFunc("/goodbye", goodbye)
	mux.HandleFunc("/id/logout", goodbye)
	mux.HandleFunc("/token", p.token)
	return p
}

// signInPage has a button that leads back.
func signInPage(w http.ResponseWriter, back string, query url.Values) {
	w.Header().Set("Content-Type", "text/html")
	fmt.Fprintf(w, `<!doctype html><title>sign in</title><form action="%s">`, html.EscapeString(back))
	for name, values := range query {
		fmt.Fprintf(w, `<input type="hidden" name="%s" value="%s">`, html.EscapeString(name), html.EscapeString(values[0]))
	}
	fmt.Fprint(w, `<button id="in">Sign in as ann</button></form>`)
}

func (p *identity) token(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	user, password, _ := r.BasicAuth()
	if user == "" {
		user, password = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	p.mu.Lock()
	asked := p.codes[r.PostForm.Get("code")]
	delete(p.codes, r.PostForm.Get("code"))
	p.mu.Unlock()
	sum := sha256.Sum256([]byte(r.PostForm.Get("code_verifier")))
	if user != "edge" || password != clientSecret || asked == nil || asked.Get("redirect_uri") != r.PostForm.Get("redirect_uri") ||
		asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(sum[:]) {
		w.WriteHeader(http.StatusBadRequest)
		writeJSON(w, map[string]string{"error": "invalid_grant"})
		return
	}
	writeJSON(w, map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": sign(jwt.SigningMethodRS256, p.rsa, "r", jwt.MapClaims{
		"iss": p.URL + "/oidc", "aud": "edge", "sub": "42", "nonce": asked.Get("nonce"), "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
		"email": "ann@corp.example", "email_verified": true,
	})})
}

func sign(method jwt.SigningMethod, key any, id string, c jwt.MapClaims) string {
	token := jwt.NewWithClaims(method, c)
	token.Header["kid"] = id
	text, _ := token.SignedString(key)
	return text
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
