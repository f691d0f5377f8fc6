package certbus

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"strings"
	"testing"
	"time"

	"edgerouter/bus"
)

func TestSealAndOpen(t *testing.T) {
	key := clientKey(t)
	for _, plain := range [][]byte{[]byte("x"), bytes.Repeat([]byte("secret"), 1000)} {
		sealed, err := Seal(plain, &key.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		if len(plain) > 16 && bytes.Contains(sealed, plain) {
			t.Error("it is not encrypted")
		}
		again, err := Seal(plain, &key.PublicKey)
		if err != nil || bytes.Equal(sealed, again) {
			t.Error("two ciphertexts are the same")
		}
		if got, err := Open(sealed, key); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("Open: %q %v", got, err)
		}
	}
}

func TestFingerprint(t *testing.T) {
	key := clientKey(t)
	if got, want := Fingerprint(&key.PublicKey), "SHA256:59Fu3a58OYq+UoD8zR5mRHAOvqdKPZjauiRQm8bXUVo"; got != want {
		t.Errorf("%s, want %s as the test data has it", got, want)
	}
}

func TestKeyForms(t *testing.T) {
	key := clientKey(t)
	public := &key.PublicKey
	pkix, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"ssh":              MarshalPublic(public, "me@here"),
		"ssh, no comment":  MarshalPublic(public, ""),
		"PUBLIC KEY":       string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pkix})),
		"RSA PUBLIC KEY":   string(pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(public)})),
		"ssh and line end": MarshalPublic(public, "") + "\n",
	} {
		if got, err := ParsePublic([]byte(text)); err != nil || !got.Equal(public) {
			t.Errorf("%s: %v", name, err)
		}
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile("testdata/client-privkey.pem")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"base64":          MarshalClientKey(key),
		"base64 in lines": MarshalClientKey(key)[:100] + "\n" + MarshalClientKey(key)[100:] + "\n",
		"PEM":             string(file),
		"PKCS #8":         string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})),
	} {
		if got, err := ParseClientKey(text); err != nil || !got.Equal(key) {
			t.Errorf("%s: %v", name, err)
		}
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"empty": "", "junk": "not a key!", "base64 of junk": "bm90IGEga2V5", "PEM of junk": "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n",
		"a public key": MarshalPublic(&small.PublicKey, ""),
	} {
		if _, err := ParseClientKey(text); err == nil || strings.Contains(err.Error(), "AAAA") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever is in an event, opening it ends with a key or an error.
func FuzzOpen(f *testing.F) {
	key := clientKey(f)
	sealed, err := Seal([]byte("-----BEGIN PRIVATE KEY-----"), &key.PublicKey)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add(sealed[:len(sealed)-1])
	f.Add([]byte{0xff, 0xff})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, in []byte) {
		if plain, err := Open(in, key); err == nil && len(plain) == 0 {
			t.Error("nothing was opened, and no error")
		}
	})
}

// A public key that can be read is written as one that reads the same.
func FuzzParsePublic(f *testing.F) {
	f.Add(MarshalPublic(&clientKey(f).PublicKey, "me"))
	f.Add("ssh-rsa AAAA")
	f.Add("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAB")
	f.Add("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
	f.Fuzz(func(t *testing.T, in string) {
		key, err := ParsePublic([]byte(in))
		if err != nil {
			return
		}
		if again, err := ParsePublic([]byte(MarshalPublic(key, ""))); err != nil || !again.Equal(key) {
			t.Errorf("%v", err)
		}
	})
}

// Whatever an event says, applying it ends with a state that can be saved,
// restored and handed on.
func FuzzApply(f *testing.F) {
	f.Add(`{"Id":"c1","Domains":["a"],"PrivateKeyDekFingerprint":"SHA256:59Fu3a58OYq+UoD8zR5mRHAOvqdKPZjauiRQm8bXUVo","PrivateKeyCiphertext":"AAAA"}`, "CertificateObtained")
	f.Add(`{"Id":"c1"}`, "CertificateRemoved")
	f.Add(`{"Id":5}`, "CertificateObtained")
	for _, i := range testItems(f) {
		for _, e := range i.Events {
			f.Add(e[bytes.IndexByte([]byte(e), '{'):], "CertificateObtained")
		}
	}
	key := clientKey(f)
	f.Fuzz(func(t *testing.T, data, typ string) { applyAny(t, key, data, typ) })
}

func applyAny(t *testing.T, key *rsa.PrivateKey, data, typ string) {
	s := &state{keys: keyring{Fingerprint(&key.PublicKey): key}}
	if err := s.Restore(nil); err != nil {
		t.Fatal(err)
	}
	for version := range int64(2) {
		s.Apply(bus.Entry{Cursor: bus.Cursor{Stream: stream, Version: version}, Events: []string{"2026-11-01T12:12:00.000Z " + typ + "    " + data}})
		for _, o := range s.pending() {
			o.open(s.keys)
		}
		s.collect(time.Now())
	}
	saved, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if err := (&state{keys: s.keys}).Restore(saved); err != nil {
		t.Fatal(err)
	}
}
