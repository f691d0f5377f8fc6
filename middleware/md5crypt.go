package middleware

import (
	"crypto/md5"
	"crypto/subtle"
	"fmt"
	"strings"
)

// md5Hash is a password hashed by the MD5-based crypt of FreeBSD ($1$) or its
// variant of Apache ($apr1$). It is weak by today's measure, and what htpasswd
// wrote for twenty years.
type md5Hash struct {
	magic, salt string
	sum         string // in crypt's base 64
}

const (
	magicApache  = "$apr1$"
	magicFreeBSD = "$1$"
	md5SumLength = 22
)

// crypt64 are the digits of crypt's base 64.
const crypt64 = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// parseMD5 reads "MAGIC SALT $ SUM" without the spaces.
func parseMD5(magic, hash string) (*md5Hash, error) {
	salt, sum, ok := strings.Cut(strings.TrimPrefix(hash, magic), "$")
	switch {
	case !ok || len(sum) != md5SumLength || strings.Trim(sum, crypt64) != "":
		return nil, fmt.Errorf("not a whole %s hash", strings.Trim(magic, "$"))
	case len(salt) > 8:
		return nil, fmt.Errorf("the salt of a %s hash has 8 characters at most", strings.Trim(magic, "$"))
	}
	return &md5Hash{magic, salt, sum}, nil
}

// verify tells whether it is the hash of password.
func (h *md5Hash) verify(password []byte) bool {
	sum := md5Crypt(password, h.magic, h.salt)
	return subtle.ConstantTimeCompare(sum[:], []byte(h.sum)) == 1
}

// md5Crypt hashes a password as Poul-Henning Kamp's crypt does.
func md5Crypt(password []byte, magic, salt string) [md5SumLength]byte {
	var sum [md5.Size]byte
	h := md5.New()

	h.Write(password)
	h.Write([]byte(salt))
	h.Write(password)
	h.Sum(sum[:0])
	h.Reset()

	h.Write(password)
	h.Write([]byte(magic))
	h.Write([]byte(salt))
	for left := len(password); left > 0; left -= md5.Size {
		h.Write(sum[:min(left, md5.Size)])
	}
	for n := len(password); n > 0; n >>= 1 {
		if n&1 != 0 {
			h.Write([]byte{0})
		} else {
			h.Write(password[:1])
		}
	}
	h.Sum(sum[:0])

	for round := range 1000 {
		h.Reset()
		odd := round%2 == 1
		if odd {
			h.Write(password)
		} else {
			h.Write(sum[:])
		}
		if round%3 != 0 {
			h.Write([]byte(salt))
		}
		if round%7 != 0 {
			h.Write(password)
		}
		if odd {
			h.Write(sum[:])
		} else {
			h.Write(password)
		}
		h.Sum(sum[:0])
	}
	return encodeMD5(sum)
}

// encodeMD5 writes the sum in crypt's order and digits: three bytes, taken from
// places six apart, are four digits, the lowest first.
func encodeMD5(sum [md5.Size]byte) (out [md5SumLength]byte) {
	at := 0
	put := func(v uint32, digits int) {
		for range digits {
			out[at] = crypt64[v&0x3f]
			v >>= 6
			at++
		}
	}
	for i := range 5 {
		third := i + 12
		if i == 4 {
			third = 5
		}
		put(uint32(sum[i])<<16|uint32(sum[i+6])<<8|uint32(sum[third]), 4)
	}
	put(uint32(sum[11]), 2)
	return out
}
