package upstream

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"strings"
)

// hashSource says what of a request chooses its peer under the hash policy.
type hashSource uint8

const (
	hashClientIP hashSource = iota // also when hash_on is empty
	hashHeader
	hashCookie
	hashPath
)

// hashOn is hash_on, parsed. Name is the field or cookie for hashHeader and
// hashCookie, else empty.
type hashOn struct {
	Source hashSource
	Name   string
}

// parseHashOn reads client_ip, header:NAME, cookie:NAME or path.
func parseHashOn(s string) (hashOn, error) {
	switch s {
	case "", "client_ip":
		return hashOn{Source: hashClientIP}, nil
	case "path":
		return hashOn{Source: hashPath}, nil
	}
	kind, name, _ := strings.Cut(s, ":")
	on := hashOn{Name: name}
	switch kind {
	case "header":
		on.Source = hashHeader
	case "cookie":
		on.Source = hashCookie
	default:
		return hashOn{}, fmt.Errorf("hash_on: %q is none of client_ip, header:NAME, cookie:NAME, path", s)
	}
	if !isToken(name) {
		return hashOn{}, fmt.Errorf("hash_on: %q: %q is not a name of a %s", s, name, kind)
	}
	return on, nil
}

// isToken tells whether s is a token of RFC 9110, 5.6.2: what field names and
// cookie names are made of.
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// Odd constants with well-mixed bits: the fractions of the square roots of 2
// and 3 times 2^64, made odd.
const (
	hashA = 0x6a09e667f3bcc909
	hashB = 0xbb67ae8584caa73b
)

// fold multiplies to 128 bits and folds the halves: every bit of a and b moves
// about half of the bits of the result.
func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// hashBytes is a fast hash with no seed: the same bytes choose the same peer
// after a restart and on another instance. It does not withstand someone who
// looks for collisions, who could as well send the same key twice.
func hashBytes(b []byte) uint64 {
	h := uint64(len(b))*hashB ^ hashA
	for len(b) > 8 {
		h = fold(h^binary.LittleEndian.Uint64(b), hashB) ^ bits.RotateLeft64(h, 23)
		b = b[8:]
	}
	var last uint64
	for i, c := range b {
		last |= uint64(c) << (8 * i)
	}
	return fold(fold(h^last, hashB)^hashA, hashA)
}

// rendezvous is the lot that a peer draws for a request: uniform, and
// independent of what the others draw.
func rendezvous(request, peer uint64) uint64 {
	return fold(fold(request^peer, hashA)^hashB, hashB^request)
}
