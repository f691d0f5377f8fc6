package middleware

import (
	"hash/maphash"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// TestMD5Crypt has vectors made by openssl passwd -apr1 and -1.
func TestMD5Crypt(t *testing.T) {
	for _, c := range []struct{ password, hash string }{
		{"", "$apr1$r31.Bo$oV/1D0DeZUOcJ4QkGKZKK1"},
		{"", "$1$r31.Bo$5MbLcoUpmrItiRL0JZPzK1"},
		{"a", "$apr1$r31.Bo$zbPdVDBKmofqoEOrKRTf.1"},
		{"a", "$1$r31.Bo$kKoC/0s8BJW9z/AtNrY4Z1"},
		{"password", "$apr1$r31.Bo$aZY0tsh3YEetLNwfz/wiT."},
		{"password", "$1$r31.Bo$dAeOhi/Xk2JoXZ5VMrW2c0"},
		{"sixteen-bytes-16", "$apr1$r31.Bo$0aUBg31./nUS3mEYdaCSK0"},
		{"sixteen-bytes-16", "$1$r31.Bo$9OUFEMb33NT6XPXm/OiMe."},
		{"seventeen-bytes-1", "$apr1$r31.Bo$8aBrR9EEc5tIH1qhTDAAC."},
		{strings.Repeat("long", 30), "$apr1$r31.Bo$O67y.jsBXv0Zfjv3ZruCU."},
		{strings.Repeat("long", 30), "$1$r31.Bo$quyW2fN/s8JxQk4d5INjX."},
		{"pä:ss wörd", "$apr1$r31.Bo$i7trkpMNGGLSJpx/VXbUS/"},
		{"test", "$apr1$12345678$e74Lvsv64yfuPhXCxCD7n1"},
		{"test", "$apr1$a$WOCl4MYc3JBshYJz6ZmCG1"},
	} {
		h, err := parseHash(c.hash)
		if err != nil {
			t.Errorf("%s: %v", c.hash, err)
			continue
		}
		if !h.verify([]byte(c.password)) || h.verify([]byte(c.password+"x")) || h.verify([]byte("X"+c.password)) {
			t.Errorf("%q and %s", c.password, c.hash)
		}
	}
}

// hashOf makes a bcrypt hash that is quick to check.
func hashOf(t testing.TB, password string) string {
	t.Helper()
	b, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestParseUsers(t *testing.T) {
	users, err := parseUsers("# people\n\nalice:" + hashOf(t, "wonder") + "\r\n  bob:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=  \ncarol:$apr1$a$WOCl4MYc3JBshYJz6ZmCG1")
	if err != nil || len(users) != 3 {
		t.Fatalf("%d users, %v", len(users), err)
	}
	for i, want := range []struct{ name, password string }{{"alice", "wonder"}, {"bob", "test"}, {"carol", "test"}} {
		if u := users[i]; u.name != want.name || !u.hash.verify([]byte(want.password)) || u.hash.verify([]byte("wrong")) {
			t.Errorf("user %d is %q", i, u.name)
		}
	}
	y := strings.Replace(hashOf(t, "y"), "$2a$", "$2y$", 1)
	if h, err := parseHash(y); err != nil || !h.verify([]byte("y")) {
		t.Errorf("$2y$: %v", err)
	}
	for _, c := range []struct{ text, want string }{
		{"alice", `line 1: want "user:hash"`},
		{"\nalice:", `line 2: want "user:hash"`},
		{":x", `want "user:hash"`},
		{"a:plain", `user "a": the password is not hashed with bcrypt, apr1 or SHA`},
		{"a:$$2y$$10$$x", "doubled ones are for compose files"},
		{"a:$2y$10$short", "not a whole bcrypt hash"},
		{"a:$2y$99$" + strings.Repeat("a", 53), "not a whole bcrypt hash"},
		{"a:$2y$20$" + strings.Repeat("a", 53), "a bcrypt cost of 20 takes too long"},
		{"a:$2y$10$" + strings.Repeat("!", 53), "not a whole bcrypt hash"},
		{"a:$2x$10$" + strings.Repeat("a", 53), "not hashed with"},
		{"a:$apr1$salt", "not a whole apr1 hash"},
		{"a:$apr1$salt$short", "not a whole apr1 hash"},
		{"a:$apr1$toolongsalt$aZY0tsh3YEetLNwfz/wiT.", "the salt of a apr1 hash"},
		{"a:$1$salt$!!!!!!!!!!!!!!!!!!!!!!", "not a whole 1 hash"},
		{"a:{SHA}xyz", "not a whole {SHA} hash"},
		{"a:{SHA}" + strings.Repeat("A", 40), "not a whole {SHA} hash"},
		{"a\x01b:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=", "control character"},
	} {
		_, err := parseUsers(c.text)
		refused(t, err, c.want)
		if err != nil && strings.Contains(err.Error(), "WOCl") {
			t.Errorf("%v tells the hash", err)
		}
	}
}

// FuzzParseUsers looks for lines that are taken and then panic, take long or let
// in whoever.
func FuzzParseUsers(f *testing.F) {
	for _, line := range []string{
		"alice:$2y$04$k5L7dyoQ.DY.N/N2tdeqJubMf2TAjxoRkUbPD6TBwKtwW.Cx6QAPy", "b:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=",
		"c:$apr1$r31.Bo$aZY0tsh3YEetLNwfz/wiT.", "d:$1$r31.Bo$dAeOhi/Xk2JoXZ5VMrW2c0", "# x\n\n:", "a:$2y$31$", "a:$apr1$$$", "a:b:c", "\x00:{SHA}",
	} {
		f.Add(line, "password")
	}
	f.Fuzz(func(t *testing.T, text, password string) {
		users, err := parseUsers(text)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\x00\r\n") {
				t.Fatalf("the error has control characters: %q", err)
			}
			return
		}
		set := newUserSet(users, nil)
		for _, u := range users {
			if u.name == "" || strings.ContainsAny(u.name, ":\r\n\x00") || set.byName[u.name] == nil {
				t.Fatalf("user %q", u.name)
			}
			if h, ok := u.hash.(bcryptHash); ok && string(h[4:6]) > "05" {
				continue // slow by design
			}
			if len(password) < 100 {
				u.hash.verify([]byte(password))
			}
		}
	})
}

// Names that nobody has are checked against everybody's hash, each against one.
func TestDecoys(t *testing.T) {
	users, err := parseUsers("a:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\nb:$apr1$a$WOCl4MYc3JBshYJz6ZmCG1\n")
	if err != nil {
		t.Fatal(err)
	}
	set, seed := newUserSet(users, nil), maphash.MakeSeed()
	seen := map[*user]bool{}
	for i := range 200 {
		name := []byte(strconv.Itoa(i))
		u := set.decoy(seed, name)
		if u == nil || u != set.decoy(seed, name) {
			t.Fatalf("the decoy of %s changes", name)
		}
		seen[u] = true
	}
	if len(seen) != 2 {
		t.Errorf("%d users stand in for those that are not there", len(seen))
	}
	if newUserSet(nil, nil).decoy(seed, []byte("x")) != nil {
		t.Error("somebody stands in where nobody is")
	}
}
