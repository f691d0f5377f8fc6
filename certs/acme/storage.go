package acme

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/rs/zerolog"

	"edgerouter/bus"
	"edgerouter/certs/vault"
)

// storage is certmagic's store: folders and files are keys of the vault. Reading
// is from memory. Writing waits for a bus that cannot be reached, because what is
// to be written may be a certificate that was just issued.
type storage struct {
	vault *vault.Vault
	log   zerolog.Logger

	mu   sync.Mutex
	held map[string]bool // locks of this process
}

const (
	// storePatience is how long Store and Delete wait for the bus.
	storePatience = 3 * time.Minute
	// retryEvery is how often they, and Lock, try again.
	retryEvery = time.Second
	// releaseTimeout is for all locks at the end of the process.
	releaseTimeout = 2 * time.Second
)

var _ certmagic.Storage = (*storage)(nil)

// String names the store in certmagic's log lines.
func (s *storage) String() string { return "the vault on the event bus" }

// again runs f until it succeeds, fails for another reason than the bus, or ctx ends.
func (s *storage) again(ctx context.Context, what string, f func() error) error {
	told := false
	for {
		err := f()
		if err == nil || !errors.Is(err, bus.ErrUnavailable) || ctx.Err() != nil {
			return err
		}
		if !told {
			told = true
			s.log.Warn().Err(err).Msg("ACME: " + what + " waits for the event bus")
		}
		t := time.NewTimer(retryEvery)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}
}

// Lock implements certmagic.Locker.
func (s *storage) Lock(ctx context.Context, name string) error {
	err := s.again(ctx, "the lock "+name, func() error { return s.vault.Lock(ctx, name) })
	if err == nil {
		s.mu.Lock()
		if s.held == nil {
			s.held = map[string]bool{}
		}
		s.held[name] = true
		s.mu.Unlock()
	}
	return err
}

// Unlock implements certmagic.Locker.
func (s *storage) Unlock(ctx context.Context, name string) error {
	s.mu.Lock()
	held := s.held[name]
	delete(s.held, name)
	s.mu.Unlock()
	if !held {
		return nil // release was there before
	}
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	return s.vault.Unlock(ctx, name)
}

// release gives all locks back; it is for the end of the process.
func (s *storage) release() {
	s.mu.Lock()
	names := s.held
	s.held = nil
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), releaseTimeout)
	defer cancel()
	for name := range names {
		if err := s.vault.Unlock(ctx, name); err != nil {
			s.log.Warn().Err(err).Msg("ACME: a lock could not be given back")
		}
	}
}

// Store implements certmagic.Storage.
func (s *storage) Store(ctx context.Context, key string, value []byte) error {
	ctx, cancel := context.WithTimeout(ctx, storePatience)
	defer cancel()
	return s.again(ctx, "writing "+key, func() error { return s.vault.Put(ctx, map[string][]byte{key: value}) })
}

// Load implements certmagic.Storage.
func (s *storage) Load(_ context.Context, key string) ([]byte, error) { return s.vault.Get(key) }

// Delete implements certmagic.Storage.
func (s *storage) Delete(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	return s.again(ctx, "removing "+key, func() error { return s.vault.Delete(ctx, key) })
}

// Exists implements certmagic.Storage.
func (s *storage) Exists(_ context.Context, key string) bool {
	if _, err := s.vault.Stat(key); err == nil {
		return true
	}
	return len(s.vault.List(key+"/")) > 0
}

// List implements certmagic.Storage. Folders are in the list as well.
func (s *storage) List(_ context.Context, path string, recursive bool) ([]string, error) {
	prefix := ""
	if path != "" {
		prefix = strings.TrimSuffix(path, "/") + "/"
	}
	var out []string
	seen := map[string]bool{}
	add := func(key string) {
		if !seen[key] {
			seen[key] = true
			out = append(out, key)
		}
	}
	for _, i := range s.vault.List(prefix) {
		parts := strings.Split(strings.TrimPrefix(i.Key, prefix), "/")
		if !recursive {
			parts = parts[:1]
		}
		for n := range parts {
			add(prefix + strings.Join(parts[:n+1], "/"))
		}
	}
	if len(out) == 0 {
		_, err := s.vault.Stat(path + "/")
		return nil, err
	}
	return out, nil
}

// Stat implements certmagic.Storage.
func (s *storage) Stat(_ context.Context, key string) (certmagic.KeyInfo, error) {
	info, err := s.vault.Stat(key)
	if err == nil {
		return certmagic.KeyInfo{Key: key, Modified: info.Modified, Size: int64(info.Size), IsTerminal: true}, nil
	}
	if len(s.vault.List(key+"/")) > 0 {
		return certmagic.KeyInfo{Key: key}, nil
	}
	return certmagic.KeyInfo{}, err
}
