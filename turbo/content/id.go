// Package content is what a static site is made of: files that are named by the
// hash of their bytes (ID), the Manifest that gives them paths, and what a path
// tells of a file: its content type, whether compression is of use, whether its
// name changes with its content.
//
// Bytes of manifests go in, checked and compact manifests come out. The package
// opens no file, asks no server and holds no state.
package content

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"edgerouter/internal/pace"
)

// ID names an object: the SHA-256 of its bytes. It is written as base64url
// without padding, 43 characters (RFC 4648 section 5).
type ID [sha256.Size]byte

// IDLength is the length of an ID's text.
const IDLength = 43

// ErrID is the error of a text that is no ID.
var ErrID = errors.New("not the id of an object: 43 letters, digits, \"-\" and \"_\"")

var encoding = base64.RawURLEncoding.Strict()

// IDOf is the ID of an object with these bytes.
func IDOf(b []byte) ID { return sha256.Sum256(b) }

// IDPaced is IDOf that makes room for others meanwhile.
func IDPaced(b []byte, room *pace.Pacer) ID {
	h := sha256.New()
	for ; len(b) > hashed; b = b[hashed:] {
		h.Write(b[:hashed])
		room.Block()
	}
	h.Write(b)
	return ID(h.Sum(nil))
}

// hashed is what is hashed at a time.
const hashed = 64 << 10

// ParseID reads an ID's text. Only one text is the ID's: no white space, no
// padding and no bits beyond the hash.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != IDLength || strings.ContainsAny(s, "\r\n") {
		return id, ErrID
	}
	if _, err := encoding.Decode(id[:], []byte(s)); err != nil {
		return ID{}, ErrID
	}
	return id, nil
}

// String is the ID's text.
func (id ID) String() string { return encoding.EncodeToString(id[:]) }

// Append appends the ID's text.
func (id ID) Append(dst []byte) []byte { return encoding.AppendEncode(dst, id[:]) }

// Mismatch is the error of bytes that are not those of the ID they came for.
type Mismatch struct {
	Want, Got ID
	Size      int64 // of what came
}

// Error names both.
func (e *Mismatch) Error() string {
	return fmt.Sprintf("object %s: what came (%d bytes) has the hash %s: it was damaged or cut off", e.Want, e.Size, e.Got)
}
