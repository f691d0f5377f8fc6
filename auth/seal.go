package auth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// sealer puts values into cookies that only nodes with the same key can read or
// make: AES-256-GCM (NIST SP 800-38D) with a random nonce of 96 bits.
type sealer struct{ aead cipher.AEAD }

// newSealer derives a key for a purpose (RFC 5869), so that what was sealed for
// one application is worth nothing to another. key has 32 bytes or more.
func newSealer(key []byte, purpose string) (*sealer, error) {
	if len(key) < 32 {
		return nil, fmt.Errorf("the session key has %d bytes, want at least 32", len(key))
	}
	derived, err := hkdf.Key(sha256.New, key, nil, "edgerouter "+purpose, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	return &sealer{aead}, err
}

// seal returns v as text that fits into a cookie. kind keeps apart what the same
// key is used for.
func (s *sealer) seal(kind string, v any) (string, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(plain)+s.aead.Overhead())
	_, _ = rand.Read(nonce) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nonce, nonce, plain, []byte(kind))), nil
}

var errNotSealed = errors.New("it was not sealed here")

// open reads what seal made.
func (s *sealer) open(kind string, text []byte, v any) error {
	sealed := make([]byte, base64.RawURLEncoding.DecodedLen(len(text)))
	n, err := base64.RawURLEncoding.Decode(sealed, text)
	if err != nil || n < s.aead.NonceSize() {
		return errNotSealed
	}
	nonce, box := sealed[:s.aead.NonceSize()], sealed[s.aead.NonceSize():n]
	plain, err := s.aead.Open(nil, nonce, box, []byte(kind))
	if err != nil {
		return errNotSealed
	}
	return json.Unmarshal(plain, v)
}
