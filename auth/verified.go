package auth

import (
	"sync"
	"time"
)

// maxVerified bounds how many tokens are remembered; twice as many at most.
const maxVerified = 4096

// verified remembers tokens that were found to be good until they expire, so
// that the signature of each is checked once and not for each request. A lookup
// allocates nothing. When there are too many, those that were not used lately are
// forgotten. Tokens that were refused are not remembered: there is no end to them.
type verified struct {
	mu          sync.RWMutex
	young, aged map[string]identity
}

// identity is who somebody is, and until when that is certain.
type identity struct {
	user  string
	until time.Time
}

// get returns what is known of a token, if it has not expired.
func (v *verified) get(token []byte, now time.Time) (identity, bool) {
	v.mu.RLock()
	who, young := v.young[string(token)]
	aged := false
	if !young {
		who, aged = v.aged[string(token)]
	}
	v.mu.RUnlock()
	if !young && !aged || !now.Before(who.until) {
		return identity{}, false
	}
	if aged {
		v.put(string(token), who)
	}
	return who, true
}

// put remembers a token until it expires.
func (v *verified) put(token string, who identity) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.young == nil || len(v.young) >= maxVerified {
		v.aged, v.young = v.young, make(map[string]identity)
	}
	v.young[token] = who
}
