package middleware

import (
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"sync/atomic"

	"golang.org/x/crypto/bcrypt"
)

// user is a line of an htpasswd file.
type user struct {
	name string
	text string // the hash as it is written
	hash passwordHash
	// verified is the digest of the password that was last found right; see
	// basicAuth.digest.
	verified atomic.Pointer[digest]
}

type passwordHash interface {
	// verify tells whether it is the hash of password. The time it takes does not
	// depend on how much of it is right.
	verify(password []byte) bool
}

// digest is a keyed hash of a password.
type digest [32]byte

// maxBcryptCost is where one password takes seconds to check.
const maxBcryptCost = 16

// parseUsers reads the lines of an htpasswd file: "user:hash", empty lines and
// comments. Of two lines for one user the first counts, as it does for Apache.
// Errors name the line, and never the hash.
func parseUsers(text string) ([]*user, error) {
	var users []*user
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		u, err := parseUser(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		users = append(users, u)
	}
	return users, nil
}

// parseUser reads "user:hash".
func parseUser(line string) (*user, error) {
	name, text, ok := strings.Cut(line, ":")
	if !ok || name == "" || text == "" {
		return nil, errors.New(`want "user:hash", as htpasswd -nB USER prints it`)
	}
	if err := checkFieldValue(name); err != nil {
		return nil, fmt.Errorf("the user's name: %w", err)
	}
	hash, err := parseHash(text)
	if err != nil {
		return nil, fmt.Errorf("user %q: %w", name, err)
	}
	return &user{name: name, text: text, hash: hash}, nil
}

func parseHash(text string) (passwordHash, error) {
	switch {
	case strings.HasPrefix(text, magicApache):
		return parseMD5(magicApache, text)
	case strings.HasPrefix(text, magicFreeBSD):
		return parseMD5(magicFreeBSD, text)
	case strings.HasPrefix(text, "{SHA}"):
		return parseSHA(text)
	case strings.HasPrefix(text, "$2a$"), strings.HasPrefix(text, "$2b$"), strings.HasPrefix(text, "$2y$"):
		return parseBcrypt(text)
	case strings.HasPrefix(text, "$$"):
		return nil, errors.New("the hash begins with two dollar signs: doubled ones are for compose files")
	}
	return nil, errors.New("the password is not hashed with bcrypt, apr1 or SHA")
}

// shaHash is an unsalted SHA-1.
type shaHash [sha1.Size]byte

func parseSHA(text string) (*shaHash, error) {
	b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "{SHA}"))
	if err != nil || len(b) != sha1.Size {
		return nil, errors.New("not a whole {SHA} hash")
	}
	return (*shaHash)(b), nil
}

func (h *shaHash) verify(password []byte) bool {
	sum := sha1.Sum(password)
	return subtle.ConstantTimeCompare(sum[:], h[:]) == 1
}

type bcryptHash []byte

func parseBcrypt(text string) (bcryptHash, error) {
	const length, head = 60, len("$2y$10$")
	cost, err := bcrypt.Cost([]byte(text))
	switch {
	case err != nil || len(text) != length || strings.Trim(text[head:], crypt64) != "":
		return nil, errors.New("not a whole bcrypt hash")
	case cost > maxBcryptCost:
		return nil, fmt.Errorf("a bcrypt cost of %d takes too long for each login; %d at most", cost, maxBcryptCost)
	}
	return bcryptHash(text), nil
}

func (h bcryptHash) verify(password []byte) bool {
	return bcrypt.CompareHashAndPassword(h, password) == nil
}

// userSet are the users by name.
type userSet struct {
	byName map[string]*user
	list   []*user
}

// decoy is who is asked in the place of a user that is not there, so that the
// time it takes does not tell: always the same one for a name, but any of them,
// as hashes may be of different cost. Nil when there are no users at all.
func (s *userSet) decoy(seed maphash.Seed, name []byte) *user {
	if len(s.list) == 0 {
		return nil
	}
	return s.list[maphash.Bytes(seed, name)%uint64(len(s.list))]
}

// newUserSet takes users over from before whose line has not changed, with what
// is known of their passwords.
func newUserSet(users []*user, before *userSet) *userSet {
	s := &userSet{byName: make(map[string]*user, len(users))}
	for _, u := range users {
		if _, twice := s.byName[u.name]; twice {
			continue
		}
		if before != nil {
			if old := before.byName[u.name]; old != nil && old.text == u.text {
				u = old
			}
		}
		s.byName[u.name] = u
		s.list = append(s.list, u)
	}
	return s
}
