package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
)

// A sealed value is one byte with the format, a random nonce and AES-256-GCM of
// the value with its key as additional data, so that one value cannot be put in
// the place of another.
const (
	formatByte = 1
	keyInfo    = "edgerouter vault 1"
	// MinSecret is how many bytes a secret has at least.
	MinSecret = 16
)

type box struct{ aead cipher.AEAD }

// newBox makes the encryption key of a secret (HKDF, RFC 5869). The secret has to
// be a random one, not a password.
func newBox(secret []byte) (box, error) {
	if len(secret) < MinSecret {
		return box{}, fmt.Errorf("the cluster secret (--bus-secret-file) has %d bytes and needs at least %d; openssl rand -hex 32 makes one", len(secret), MinSecret)
	}
	key, err := hkdf.Key(sha256.New, secret, nil, keyInfo, 32)
	if err != nil {
		return box{}, fmt.Errorf("making the key of the vault: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return box{}, fmt.Errorf("making the key of the vault: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return box{}, fmt.Errorf("making the key of the vault: %w", err)
	}
	return box{aead}, nil
}

func (b box) seal(name string, value []byte) []byte {
	nonce := make([]byte, b.aead.NonceSize())
	rand.Read(nonce) // never fails: crypto/rand ends the process instead
	out := append([]byte{formatByte}, nonce...)
	return b.aead.Seal(out, nonce, value, []byte(name))
}

var errCut = errors.New("the ciphertext is cut off, or of a later format")

func (b box) open(name string, sealed []byte) ([]byte, error) {
	n := 1 + b.aead.NonceSize()
	if len(sealed) < n+b.aead.Overhead() || sealed[0] != formatByte {
		return nil, errCut
	}
	value, err := b.aead.Open(nil, sealed[1:n], sealed[n:], []byte(name))
	if err != nil {
		return nil, ErrSecret
	}
	return value, nil
}
