package app

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes. In JSON it is a number, or a string of a number
// and a unit: B, KiB, MiB, GiB, TiB (powers of 1024) or kB, MB, GB, TB (powers
// of 1000), in any case, "i" deciding: 1048576, "1MiB", "1.5 GB". It is written as
// a string when a binary unit fits without a fraction, else as a number.
//
// Zero means "not set": the default of the field applies. Sizes go up to 2^53
// bytes, the integers that every JSON reader keeps exact.
type Size int64

// MaxSize is the largest Size that decodes.
const MaxSize = Size(1) << 53

// sizeUnits are the units by name in lower case; the longer names come first so
// that a suffix finds its whole unit.
var sizeUnits = [...]struct {
	name  string
	bytes float64
}{
	{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30}, {"tib", 1 << 40},
	{"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}, {"tb", 1e12},
	{"b", 1},
}

var binaryUnits = [...]string{"KiB", "MiB", "GiB", "TiB"}

// Or is the size, or def when it is not set.
func (s Size) Or(def int64) int64 {
	if s == 0 {
		return def
	}
	return int64(s)
}

// String writes the size with the largest binary unit that leaves no fraction,
// or as a bare number: "1MiB", "1500".
func (s Size) String() string {
	unit := ""
	n := int64(s)
	for _, name := range binaryUnits {
		if n == 0 || n%1024 != 0 {
			break
		}
		n, unit = n/1024, name
	}
	return strconv.FormatInt(n, 10) + unit
}

// ParseSize reads what stands in the quotes of a Size. The error is a sentence
// for the operator that does not repeat s.
func ParseSize(s string) (Size, error) {
	text := strings.ToLower(strings.TrimSpace(s))
	factor := 1.0
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(text, u.name); ok {
			text, factor = strings.TrimRight(rest, " "), u.bytes
			break
		}
	}
	n, ok := plainNumber(text)
	switch {
	case !ok:
		return 0, errSizeForm
	case n < 0:
		return 0, sizeRange(true)
	}
	bytes := n * factor
	if bytes > float64(MaxSize) {
		return 0, sizeRange(false)
	}
	if bytes != math.Trunc(bytes) {
		return 0, fmt.Errorf("not a whole number of bytes")
	}
	return Size(bytes), nil
}

var errSizeForm = fmt.Errorf(`want a size: a number of bytes, or a number with a unit such as "64KiB", "1MiB", "10MB"`)

func sizeRange(negative bool) error {
	if negative {
		return fmt.Errorf("a size cannot be negative")
	}
	return fmt.Errorf("larger than %d bytes", int64(MaxSize))
}

// MarshalJSON writes String in quotes when it has a unit, else the number.
func (s Size) MarshalJSON() ([]byte, error) {
	text := s.String()
	if last := text[len(text)-1]; last == 'B' {
		return json.Marshal(text)
	}
	return []byte(text), nil
}

// UnmarshalJSON reads a number of bytes or a string with a unit.
func (s *Size) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil // by the convention of encoding/json
	}
	text, err := numberOrString(data)
	if err != nil {
		return errSizeForm
	}
	v, err := ParseSize(text)
	if err == nil {
		*s = v
	}
	return err
}
