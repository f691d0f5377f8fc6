package certs

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// maxChain bounds how many certificates a PEM file may hold; real chains have
// two to four.
const maxChain = 32

// Material is what a PEM file holds.
type Material struct {
	Chain []*x509.Certificate // in the order of the file
	Key   crypto.PrivateKey   // nil when there is none
}

// ParsePEM reads certificates and at most one private key (RFC 7468: PKCS #8,
// PKCS #1 or SEC 1; not encrypted) out of PEM blocks in any order. Blocks of
// other types, such as DH or EC parameters, are passed over. Errors never repeat
// the input.
func ParsePEM(data []byte) (Material, error) {
	var m Material
	n := 0
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		n++
		switch block.Type {
		case "CERTIFICATE":
			if len(m.Chain) == maxChain {
				return Material{}, fmt.Errorf("there are more than %d certificates", maxChain)
			}
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return Material{}, fmt.Errorf("PEM block %d is not a readable certificate: %w", n, err)
			}
			m.Chain = append(m.Chain, cert)
		case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY":
			if m.Key != nil {
				return Material{}, errors.New("there is more than one private key")
			}
			key, err := parseKey(block)
			if err != nil {
				return Material{}, fmt.Errorf("PEM block %d: %w", n, err)
			}
			m.Key = key
		case "ENCRYPTED PRIVATE KEY":
			return Material{}, fmt.Errorf("PEM block %d is an encrypted private key: write it without a passphrase", n)
		}
	}
	// What cannot be decoded is passed over by package pem, and would be missed.
	if begun := bytes.Count(data, []byte("-----BEGIN ")); begun > n {
		return Material{}, fmt.Errorf("%d of %d PEM blocks cannot be read: the file is cut off or damaged", begun-n, begun)
	}
	if len(m.Chain) == 0 && m.Key == nil {
		return Material{}, errors.New("there is no certificate and no private key in PEM form")
	}
	return m, nil
}

func parseKey(block *pem.Block) (crypto.PrivateKey, error) {
	if block.Headers["DEK-Info"] != "" {
		return nil, errors.New("the private key is encrypted: write it without a passphrase")
	}
	// The type line is often wrong in the wild, so each form is tried.
	if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	return nil, fmt.Errorf("the private key (%s) is not in a form that can be read: PKCS #8, PKCS #1 or SEC 1, with RSA, ECDSA or Ed25519", block.Type)
}
