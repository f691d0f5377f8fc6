package auth

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

const (
	// keysAgain is the least time between two fetches of a key set: an unknown
	// key id in a forged token must not make us ask for each request.
	keysAgain = time.Minute
	// keysRetry is the same as long as there is no set at all.
	keysRetry   = 5 * time.Second
	keysTimeout = 5 * time.Second
	maxKeySet   = 1 << 20 // bytes
)

// ErrNoKeys is wrapped by errors about a key set that could not be fetched; it
// says nothing about the token.
var ErrNoKeys = errors.New("the keys that tokens are checked with could not be fetched")

// Keys are the Ed25519 keys of a JSON Web Key Set (RFC 7517, RFC 8037), fetched
// when first needed and kept. A key id that is not among them makes the set
// fetched again, at most once a minute; what was good stays when that fails. It
// is safe for concurrent use.
type Keys struct {
	url    string
	client *http.Client
	now    func() time.Time
	log    zerolog.Logger

	mu      sync.Mutex // held during a fetch: others wait for its result
	known   map[string]ed25519.PublicKey
	fetched time.Time // the last attempt
	err     error     // of the last attempt
}

// NewKeys returns the keys at a URL. Nothing is fetched before Find; fetches that
// fail are logged.
func NewKeys(url string, client *http.Client, now func() time.Time, log zerolog.Logger) *Keys {
	return &Keys{url: url, client: client, now: now, log: log}
}

// Find returns the keys that a token with this key id may be signed with: the one
// of that id, or all when it has none. An error wraps ErrNoKeys when there is no
// telling because no set could be fetched.
func (k *Keys) Find(ctx context.Context, id string) ([]ed25519.PublicKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	found := k.find(id)
	if len(found) == 0 && k.mayFetch() {
		k.fetch(ctx)
		found = k.find(id)
	}
	switch {
	case len(found) > 0:
		return found, nil
	case k.known == nil:
		return nil, fmt.Errorf("%w from %s: %w", ErrNoKeys, k.url, k.err)
	}
	return nil, fmt.Errorf("no key %.40q at %s", id, k.url)
}

func (k *Keys) mayFetch() bool {
	since := k.now().Sub(k.fetched)
	return since >= keysAgain || k.known == nil && since >= keysRetry
}

func (k *Keys) find(id string) []ed25519.PublicKey {
	if id != "" {
		if key, ok := k.known[id]; ok {
			return []ed25519.PublicKey{key}
		}
		return nil
	}
	all := make([]ed25519.PublicKey, 0, len(k.known))
	for _, key := range k.known {
		all = append(all, key)
	}
	return all
}

// fetch brings the set up to date. The requests that wait for it are not the
// reason to give it up when the first of them goes away.
func (k *Keys) fetch(ctx context.Context) {
	k.fetched = k.now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keysTimeout)
	defer cancel()
	var known map[string]ed25519.PublicKey
	data, err := get(ctx, k.client, k.url)
	if err == nil {
		known, err = parseKeys(data)
	}
	if k.err = err; err != nil {
		k.log.Error().Err(err).Str("url", k.url).Bool("have_keys", k.known != nil).
			Msg("fetching the keys that tokens are checked with")
		return
	}
	k.known = known
}

func get(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer is %s", res.Status)
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, maxKeySet+1))
	if err == nil && len(data) > maxKeySet {
		err = fmt.Errorf("more than %d bytes", maxKeySet)
	}
	return data, err
}

// parseKeys reads the Ed25519 keys of a set. Keys of other kinds are passed over,
// as RFC 7517 section 5 says; a set without any of ours is an error.
func parseKeys(data []byte) (map[string]ed25519.PublicKey, error) {
	var set struct {
		Keys []struct {
			Type  string `json:"kty"`
			Curve string `json:"crv"`
			Use   string `json:"use"`
			ID    string `json:"kid"`
			X     string `json:"x"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("it is not a JSON Web Key Set: %w", err)
	}
	known := map[string]ed25519.PublicKey{}
	for i, key := range set.Keys {
		if key.Type != "OKP" || key.Curve != "Ed25519" || key.Use != "" && key.Use != "sig" {
			continue
		}
		x, err := base64.RawURLEncoding.DecodeString(key.X)
		if err != nil || len(x) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("keys[%d].x is not an Ed25519 public key of %d bytes", i, ed25519.PublicKeySize)
		}
		id := key.ID
		if id == "" {
			id = fmt.Sprintf("#%d", i) // only found by tokens that name none either
		}
		known[id] = x
	}
	if len(known) == 0 {
		return nil, errors.New("it has no Ed25519 key for signatures")
	}
	return known, nil
}
