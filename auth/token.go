package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
)

// MaxToken is the longest token in bytes.
const MaxToken = 1000

// Token is a shared secret in the form that it is compared in. It does not hold
// the secret itself, so that printing one gives nothing away.
type Token struct{ sum [sha256.Size]byte }

// NewToken returns the Token of a secret. An empty one would admit everybody
// who sends an empty password and is an error, as is one over MaxToken.
func NewToken(secret []byte) (Token, error) {
	if len(secret) == 0 {
		return Token{}, errors.New("the token is empty")
	}
	if len(secret) > MaxToken {
		return Token{}, fmt.Errorf("the token has %d bytes, more than %d", len(secret), MaxToken)
	}
	return Token{sum: sha256.Sum256(secret)}, nil
}

// Matches reports whether presented is the secret. Both are hashed first, so the
// time it takes depends on the length of what was presented and on nothing else.
func (t *Token) Matches(presented []byte) bool {
	sum := sha256.Sum256(presented)
	return subtle.ConstantTimeCompare(sum[:], t.sum[:]) == 1
}
