package certbus

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"edgerouter/bus"
	"edgerouter/certs"
)

// The event types of the stream.
const (
	TypeObtained      = "CertificateObtained"
	TypeRemoved       = "CertificateRemoved"
	TypeConfigUpdated = "ConfigUpdated" // is for CertBus itself
)

// The reasons of a CertificateObtained.
const (
	ReasonNew     = "new"
	ReasonRenewal = "renewal"
)

// Obtained is what CertificateObtained carries.
type Obtained struct {
	ID            string `json:"Id"`
	Reason        string
	Domains       []string
	Expires       time.Time
	CertPemBundle string
	// PrivateKeyDekFingerprint names the RSA key that the private key is encrypted
	// for; PrivateKeyCiphertext is base64 of what Seal makes.
	PrivateKeyDekFingerprint string
	PrivateKeyCiphertext     string
	ChallengeType            string
}

// Removed is what CertificateRemoved carries.
type Removed struct {
	ID string `json:"Id"`
}

// maxID bounds an Id; CertBus's own have 11 bytes.
const maxID = 256

func parseObtained(data json.RawMessage) (Obtained, error) {
	var o Obtained
	if err := json.Unmarshal(data, &o); err != nil {
		return o, fmt.Errorf("the event is malformed: %s", jsonTrouble(err))
	}
	return o, checkID(o.ID)
}

func parseRemoved(data json.RawMessage) (Removed, error) {
	var r Removed
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("the event is malformed: %s", jsonTrouble(err))
	}
	return r, checkID(r.ID)
}

func checkID(id string) error {
	if id == "" || len(id) > maxID || strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("the Id %.40q is empty, too long or not printable", id)
	}
	return nil
}

// jsonTrouble is a decoding error without the input.
func jsonTrouble(err error) string {
	var t *json.UnmarshalTypeError
	if errors.As(err, &t) {
		return fmt.Sprintf("the field %s is a %s", t.Field, t.Value)
	}
	var at *time.ParseError
	if errors.As(err, &at) {
		return "the field Expires is not a time"
	}
	return "it is not the JSON object that it should be"
}

// decrypt makes the certificate that an event tells of.
func (o *Obtained) decrypt(keys keyring) (*certs.Certificate, error) {
	key := keys[o.PrivateKeyDekFingerprint]
	sealed, err := base64.StdEncoding.DecodeString(o.PrivateKeyCiphertext)
	if err != nil {
		return nil, errors.New("PrivateKeyCiphertext is not base64")
	}
	plain, err := Open(sealed, key)
	if err != nil {
		return nil, err
	}
	private, err := certs.ParsePEM(plain)
	clear(plain)
	if err != nil || private.Key == nil {
		return nil, errors.New("what was decrypted is not a private key in PEM form: the ciphertext is damaged")
	}
	public, err := certs.ParsePEM([]byte(o.CertPemBundle))
	if err != nil {
		return nil, fmt.Errorf("CertPemBundle: %w", err)
	}
	return certs.New(public.Chain, private.Key)
}

// line makes an event line of now.
func line(now time.Time, typ string, data any) (string, error) {
	e, err := bus.NewEvent(now, typ, data)
	return e.Line(), err
}
