package app

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// Secret is a password, token or key of a definition: the value itself, or
// where it is found: "file:PATH" or "env:NAME".
//
// In JSON it is written as it is, because a definition must survive being
// stored. Everything else that prints it (fmt with any verb but %p, String) shows
// Redacted; for what is shown as JSON use Redact on the whole application.
type Secret string

const (
	fileReference = "file:"
	envReference  = "env:"
)

// Redacted stands for the secret where people look: "***" and the first four
// hexadecimal characters of its SHA-256, enough to see whether two are the
// same. A reference to a file or a variable is no secret and is shown as it is;
// so is the empty value.
func (s Secret) Redacted() string {
	if s == "" || s.IsReference() {
		return string(s)
	}
	sum := sha256.Sum256([]byte(s))
	return "***" + hex.EncodeToString(sum[:2])
}

// String is Redacted.
func (s Secret) String() string { return s.Redacted() }

// Format prints Redacted whatever the verb, in quotes for %q and %#v: with
// String alone a wrong verb such as %d would print the value.
func (s Secret) Format(f fmt.State, verb rune) {
	text := s.Redacted()
	if verb == 'q' || f.Flag('#') {
		text = strconv.Quote(text)
	}
	_, _ = f.Write([]byte(text))
}

// IsReference says whether the secret names a file or an environment variable
// instead of holding the value.
func (s Secret) IsReference() bool {
	return strings.HasPrefix(string(s), fileReference) || strings.HasPrefix(string(s), envReference)
}

// isRedacted says whether this is what Redacted makes of a secret, which a
// definition has that was copied from where it is shown. No secret looks so.
func (s Secret) isRedacted() bool {
	digits, ok := strings.CutPrefix(string(s), "***")
	_, err := hex.DecodeString(digits)
	return ok && err == nil && len(digits) == 4
}

// Resolve is the value of a secret: s itself, or what readFile and getenv say
// for a reference. readFile is os.ReadFile or its like; getenv is os.LookupEnv.
// One line ending at the end of a file is dropped, since editors and echo put
// it there. A reference that cannot be read, or that leads to nothing, is an
// error that names the file or variable and never holds its content.
func Resolve(s Secret, readFile func(string) ([]byte, error), getenv func(string) (string, bool)) (string, error) {
	if path, ok := strings.CutPrefix(string(s), fileReference); ok {
		data, err := readFile(path)
		if err != nil {
			return "", fmt.Errorf("read the secret %s: %w", s, err)
		}
		text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
		if text == "" {
			return "", fmt.Errorf("read the secret %s: the file is empty", s)
		}
		return text, nil
	}
	if name, ok := strings.CutPrefix(string(s), envReference); ok {
		text, ok := getenv(name)
		switch {
		case !ok:
			return "", fmt.Errorf("read the secret %s: the environment variable is not set", s)
		case text == "":
			return "", fmt.Errorf("read the secret %s: the environment variable is empty", s)
		}
		return text, nil
	}
	return string(s), nil
}
