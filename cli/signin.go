package cli

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"time"
)

// signInClient asks the servers that know the users. They are few and seldom
// asked, so connections are not kept for long.
func signInClient() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.IdleConnTimeout = 10 * time.Second
	return &http.Client{Transport: t, Timeout: 10 * time.Second}
}

// sessionKey makes the key of the sessions of auth_oidc. Nodes that serve the same
// clients have it in common when they share the secret of the event bus, or else
// the admin token.
func sessionKey(adminToken []byte, busSecretFile string) ([]byte, error) {
	secret := adminToken
	if busSecretFile != "" {
		text, err := os.ReadFile(busSecretFile)
		if err != nil {
			return nil, fmt.Errorf("--bus-secret-file: %w", err)
		}
		secret = bytes.TrimSpace(text)
	}
	h := hmac.New(sha256.New, secret)
	h.Write([]byte("edgerouter sessions"))
	return h.Sum(nil), nil
}
