package certbus

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"edgerouter/bus"
	"edgerouter/certs"
)

// Put is what Writer.Put writes.
type Put struct {
	// ID of the certificate's timeline. Empty: that of the certificate in the
	// stream with the same names and key fingerprint, or a new one.
	ID string
	// Cert holds the chain, leaf first, and Key the private key; PEM.
	Cert, Key []byte
	// For is whom the private key is encrypted for.
	For *rsa.PublicKey
}

// Writer appends to a CertBus stream.
type Writer struct {
	Log    bus.Log
	Stream string
	// Now is the time of the events.
	Now func() time.Time
}

// attempts is how often an append is tried again that another writer came before.
const attempts = 10

// ErrNoSuchID is returned by Remove for an Id that the stream does not have.
var ErrNoSuchID = errors.New("there is no certificate with this Id")

// Listed is a certificate of the stream, whoever its key is for.
type Listed struct {
	ID          string    `json:"id"`
	Domains     []string  `json:"domains"`
	Expires     time.Time `json:"expires"`
	Serial      string    `json:"serial,omitempty"` // empty: the certificate cannot be read
	Fingerprint string    `json:"key_fingerprint"`  // of the key that it is encrypted for
}

// Put checks a certificate with its key and appends it; what was appended is
// returned. Nothing is appended that a node would refuse.
func (w Writer) Put(ctx context.Context, p Put) (Obtained, error) {
	o, err := w.prepare(p)
	if err != nil {
		return o, err
	}
	err = w.update(ctx, func(current map[string]*Obtained) (string, any, error) {
		o.Reason = ReasonNew
		o.ID = p.ID
		if o.ID == "" {
			o.ID = sameNames(current, &o)
		}
		if current[o.ID] != nil {
			o.Reason = ReasonRenewal
		}
		if o.ID == "" {
			o.ID = newID()
		}
		return TypeObtained, o, nil
	})
	return o, err
}

func (w Writer) prepare(p Put) (o Obtained, err error) {
	if p.ID != "" {
		if err := checkID(p.ID); err != nil {
			return o, err
		}
	}
	public, err := certs.ParsePEM(p.Cert)
	if err != nil {
		return o, fmt.Errorf("the certificate: %w", err)
	}
	private, err := certs.ParsePEM(p.Key)
	if err != nil {
		return o, fmt.Errorf("the private key: %w", err)
	}
	if private.Key == nil {
		return o, errors.New("the private key: there is none in the file")
	}
	c, err := certs.New(public.Chain, private.Key)
	if err != nil {
		return o, err
	}
	if now := w.Now(); c.Expired(now) {
		return o, errors.New(c.Complaints(now)[0])
	}
	sealed, err := Seal(keyBlock(p.Key), p.For)
	if err != nil {
		return o, err
	}
	return Obtained{
		Domains: c.Names, Expires: c.TLS.Leaf.NotAfter.UTC(), CertPemBundle: bundle(public.Chain),
		PrivateKeyDekFingerprint: Fingerprint(p.For), PrivateKeyCiphertext: base64.StdEncoding.EncodeToString(sealed),
		ChallengeType: "manual",
	}, nil
}

// keyBlock is the PEM block with the private key, as it was.
func keyBlock(text []byte) []byte {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return pem.EncodeToMemory(block)
		}
	}
	return nil
}

func bundle(chain []*x509.Certificate) string {
	var b strings.Builder
	for _, c := range chain {
		pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	return b.String()
}

// Remove appends the removal of an Id.
func (w Writer) Remove(ctx context.Context, id string) error {
	return w.update(ctx, func(current map[string]*Obtained) (string, any, error) {
		if current[id] == nil {
			return "", nil, fmt.Errorf("%w: %.40q; edgerouter cert ls --stream lists them", ErrNoSuchID, id)
		}
		return TypeRemoved, Removed{ID: id}, nil
	})
}

// List returns the certificates of the stream by Id.
func (w Writer) List(ctx context.Context) ([]Listed, error) {
	current, _, err := w.read(ctx)
	if err != nil {
		return nil, err
	}
	out := []Listed{}
	for _, id := range slices.Sorted(maps.Keys(current)) {
		o := current[id]
		l := Listed{ID: id, Domains: o.Domains, Expires: o.Expires, Fingerprint: o.PrivateKeyDekFingerprint}
		if m, err := certs.ParsePEM([]byte(o.CertPemBundle)); err == nil && len(m.Chain) > 0 {
			l.Serial, l.Expires = m.Chain[0].SerialNumber.String(), m.Chain[0].NotAfter
		}
		out = append(out, l)
	}
	return out, nil
}

// update appends the event that change makes of what the stream has, and tries
// again when another writer came before.
func (w Writer) update(ctx context.Context, change func(map[string]*Obtained) (typ string, data any, err error)) error {
	for try := 1; ; try++ {
		current, at, err := w.read(ctx)
		if err != nil {
			return err
		}
		typ, data, err := change(current)
		if err != nil {
			return err
		}
		text, err := line(w.Now(), typ, data)
		if err != nil {
			return err
		}
		_, err = w.Log.AppendAfter(ctx, at, text)
		if !errors.Is(err, bus.ErrConflict) || try == attempts {
			if err != nil {
				return fmt.Errorf("appending %s to %s: %w", typ, w.Stream, err)
			}
			return nil
		}
	}
}

// read adds the stream up.
func (w Writer) read(ctx context.Context) (map[string]*Obtained, bus.Cursor, error) {
	const page = 500
	current, at := map[string]*Obtained{}, bus.Start(w.Stream)
	for {
		entries, err := w.Log.Read(ctx, at, page)
		if err != nil {
			return nil, at, fmt.Errorf("reading %s: %w", w.Stream, err)
		}
		for _, e := range entries {
			at = e.Cursor
			for _, text := range e.Events {
				event, err := bus.ParseEvent(text)
				if err != nil {
					continue
				}
				switch event.Type {
				case TypeObtained:
					if o, err := parseObtained(event.Data); err == nil {
						current[o.ID] = &o
					}
				case TypeRemoved:
					if r, err := parseRemoved(event.Data); err == nil {
						delete(current, r.ID)
					}
				}
			}
		}
		if len(entries) < page {
			return current, at, nil
		}
	}
}

// sameNames finds the Id with the same names for the same key; empty: none.
func sameNames(current map[string]*Obtained, o *Obtained) string {
	want := slices.Sorted(slices.Values(o.Domains))
	for _, id := range slices.Sorted(maps.Keys(current)) {
		c := current[id]
		if c.PrivateKeyDekFingerprint == o.PrivateKeyDekFingerprint && slices.Equal(want, slices.Sorted(slices.Values(c.Domains))) {
			return id
		}
	}
	return ""
}

// newID makes an Id as CertBus's own are: eight random bytes.
func newID() string {
	var b [8]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	b[0] &= 0x7f    // so that no Id begins with "-" and is taken for a flag
	return base64.RawURLEncoding.EncodeToString(b[:])
}
