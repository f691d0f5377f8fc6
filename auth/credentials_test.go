package auth

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
)

// FuzzCredentials compares with the same rules written the slow way.
func FuzzCredentials(f *testing.F) {
	for _, seed := range []string{
		"", " ", "Bearer", "Bearer ", "Bearer t", "bEARER  t t ", "Basic", "Basic ", "Basic Og==", "Basic eDo=",
		"Basic eDp0", "Basic OnQ=", "Basic dDp0", "Basic eDp0=", "Basic e Dp0", "Basic ====", "Digest username=\"x\"",
		"Basic \t" + base64.StdEncoding.EncodeToString([]byte("x:t")), "Bearer\tt", "\x02earer t", "Basic /+8=",
		"Basic " + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("x:t"), 334)),
		"Basic " + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("x:t"), 335)),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, field []byte) {
		before := bytes.Clone(field)
		var scratch Scratch
		token, ok := Credentials(field, &scratch)
		if !bytes.Equal(field, before) {
			t.Fatalf("the field %q was changed to %q", before, field)
		}
		wantToken, wantOK := credentialsByString(string(field))
		if ok != wantOK || ok && string(token) != wantToken {
			t.Fatalf("%q: %q, %v; want %q, %v", field, token, ok, wantToken, wantOK)
		}
	})
}

func credentialsByString(field string) (string, bool) {
	scheme, rest, found := strings.Cut(field, " ")
	rest = strings.TrimLeft(rest, " ")
	for _, r := range scheme {
		// strings.ToLower would also fold letters beyond ASCII, such as the Kelvin sign.
		if r > 127 {
			return "", false
		}
	}
	switch strings.ToLower(scheme) {
	case "bearer":
		return rest, found && rest != ""
	case "basic":
		decoded, err := base64.StdEncoding.DecodeString(rest)
		if err != nil || base64.StdEncoding.DecodedLen(len(rest)) > len(Scratch{}) {
			return "", false
		}
		user, pass, colon := strings.Cut(string(decoded), ":")
		return pass, colon && (user == "" || user == "x") && pass != ""
	}
	return "", false
}
