package certbus

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// What a sealed private key looks like: two bytes with the length of the next
// part, little-endian; the AES key, encrypted with RSA-OAEP and SHA-256; the IV;
// the PEM text, encrypted with AES-256 in counter mode. Nothing in it says
// whether it was changed on its way: that shows when the key does not fit the
// certificate.
const (
	lengthSize = 2
	aesKeySize = 32
	ivSize     = aes.BlockSize
	// minBits is what a key must have at least; crypto/rsa asks for as much.
	minBits = 1024
)

// ErrSeal is what Open's errors wrap.
var ErrSeal = errors.New("the private key cannot be decrypted")

// Seal encrypts the PEM text of a private key for the owner of to.
func Seal(plain []byte, to *rsa.PublicKey) ([]byte, error) {
	var key [aesKeySize]byte
	var iv [ivSize]byte
	rand.Read(key[:]) // never fails: crypto/rand ends the process instead
	rand.Read(iv[:])
	wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, to, key[:], nil)
	if err != nil {
		return nil, fmt.Errorf("encrypting for %s: %w", Fingerprint(to), err)
	}
	out := binary.LittleEndian.AppendUint16(nil, uint16(len(wrapped)))
	out = append(out, wrapped...)
	out = append(out, iv[:]...)
	return append(out, counterMode(key[:], iv[:], plain)...), nil
}

// Open decrypts what Seal or function61's certbus made. Errors never repeat
// the input.
func Open(sealed []byte, key *rsa.PrivateKey) ([]byte, error) {
	if len(sealed) < lengthSize {
		return nil, fmt.Errorf("%w: the ciphertext is cut off: it has %d bytes", ErrSeal, len(sealed))
	}
	n := int(binary.LittleEndian.Uint16(sealed))
	rest := sealed[lengthSize:]
	if len(rest) <= n+ivSize {
		return nil, fmt.Errorf("%w: the ciphertext is cut off: it has %d bytes where more than %d were to come", ErrSeal, len(rest), n+ivSize)
	}
	aesKey, err := rsa.DecryptOAEP(sha256.New(), nil, key, rest[:n], nil)
	if err != nil || len(aesKey) != aesKeySize {
		return nil, fmt.Errorf("%w with the key %s: it was made for another one, or is damaged", ErrSeal, Fingerprint(&key.PublicKey))
	}
	return counterMode(aesKey, rest[n:n+ivSize], rest[n+ivSize:]), nil
}

func counterMode(key, iv, in []byte) []byte {
	block, _ := aes.NewCipher(key) // fails for other lengths only
	out := make([]byte, len(in))
	cipher.NewCTR(block, iv).XORKeyStream(out, in)
	return out
}

// Fingerprint names a public key as ssh-keygen does: "SHA256:" and base64
// without padding of the SHA-256 of its wire form (RFC 4253 section 6.6).
func Fingerprint(key *rsa.PublicKey) string {
	sum := sha256.Sum256(wireForm(key))
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

const sshRSA = "ssh-rsa"

func wireForm(key *rsa.PublicKey) []byte {
	var b []byte
	field := func(v []byte) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
		b = append(b, v...)
	}
	field([]byte(sshRSA))
	field(mpint(big.NewInt(int64(key.E))))
	field(mpint(key.N))
	return b
}

// mpint is a positive number as RFC 4251 section 5 writes it: with a zero byte
// before a first bit that is set.
func mpint(n *big.Int) []byte {
	v := n.Bytes()
	if len(v) > 0 && v[0] >= 0x80 {
		v = append([]byte{0}, v...)
	}
	return v
}

// MarshalPublic writes a public key in the one line that ssh-keygen makes of it.
func MarshalPublic(key *rsa.PublicKey, comment string) string {
	return strings.TrimSpace(sshRSA + " " + base64.StdEncoding.EncodeToString(wireForm(key)) + " " + comment)
}

// ParsePublic reads a public key: a line "ssh-rsa AAAA...", or PEM (PUBLIC KEY or
// RSA PUBLIC KEY).
func ParsePublic(text []byte) (*rsa.PublicKey, error) {
	if block, _ := pem.Decode(text); block != nil {
		if key, err := x509.ParsePKCS1PublicKey(block.Bytes); err == nil {
			return checkPublic(key)
		}
		any, err := x509.ParsePKIXPublicKey(block.Bytes)
		if key, ok := any.(*rsa.PublicKey); err == nil && ok {
			return checkPublic(key)
		}
		return nil, fmt.Errorf("the PEM block %q holds no RSA public key", block.Type)
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 || fields[0] != sshRSA {
		return nil, errors.New(`it is neither a line "ssh-rsa AAAA..." nor a PEM public key; edgerouter cert keygen makes one`)
	}
	wire, err := base64.StdEncoding.DecodeString(fields[1])
	if err != nil {
		return nil, errors.New("what follows ssh-rsa is not base64")
	}
	var parts [3][]byte
	for i := range parts {
		if len(wire) < 4 || uint32(len(wire)-4) < binary.BigEndian.Uint32(wire) {
			return nil, errors.New("the ssh-rsa key is cut off")
		}
		n := 4 + int(binary.BigEndian.Uint32(wire))
		parts[i], wire = wire[4:n], wire[n:]
	}
	e := new(big.Int).SetBytes(parts[1])
	if string(parts[0]) != sshRSA || len(wire) > 0 || !e.IsInt64() || e.Int64() > 1<<31-1 || e.Int64() < 3 {
		return nil, errors.New("it is not an ssh-rsa key")
	}
	return checkPublic(&rsa.PublicKey{N: new(big.Int).SetBytes(parts[2]), E: int(e.Int64())})
}

func checkPublic(key *rsa.PublicKey) (*rsa.PublicKey, error) {
	if bits := key.N.BitLen(); bits < minBits || bits > 16384 {
		return nil, fmt.Errorf("an RSA key of %d bits cannot be used", bits)
	}
	return key, nil
}

// ParseClientKey reads the client's private key: PEM with PKCS #1 or PKCS #8, or
// base64 of that, as CERTBUS_CLIENT_PRIVKEY has it. Errors never repeat the input.
func ParseClientKey(text string) (*rsa.PrivateKey, error) {
	raw := []byte(strings.TrimSpace(text))
	if !bytes.Contains(raw, []byte("-----BEGIN ")) {
		decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(raw)), ""))
		if err != nil {
			return nil, errors.New("it is neither PEM nor base64 of PEM; edgerouter cert keygen makes one")
		}
		raw = decoded
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, errors.New("there is no PEM block in it; edgerouter cert keygen makes one")
	}
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		any, pkcs8Err := x509.ParsePKCS8PrivateKey(block.Bytes)
		rsaKey, ok := any.(*rsa.PrivateKey)
		if pkcs8Err != nil || !ok {
			return nil, fmt.Errorf("the PEM block %q holds no RSA private key", block.Type)
		}
		key = rsaKey
	}
	_, err = checkPublic(&key.PublicKey)
	return key, err
}

// NewClientKey makes a key of 3072 bits.
func NewClientKey() (*rsa.PrivateKey, error) {
	key, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		return nil, fmt.Errorf("making an RSA key: %w", err)
	}
	return key, nil
}

// MarshalClientKey writes a key as CERTBUS_CLIENT_PRIVKEY has it: base64 of PEM
// with PKCS #1.
func MarshalClientKey(key *rsa.PrivateKey) string {
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{
		Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key),
	}))
}
