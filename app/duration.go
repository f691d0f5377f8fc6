package app

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time in a definition. In JSON it is a string of
// numbers with units (ns, us, ms, s, m, h, d): "5s", "1m30s", "7d". A bare
// number counts seconds, so 30 and 1.5 are fine too. It is written as a string.
//
// Zero means "not set": the default of the field applies. Lengths are at most
// MaxDuration, which also catches nanoseconds given as a bare number.
type Duration time.Duration

// MaxDuration is the longest Duration that decodes: ten years.
const MaxDuration = Duration(10 * 365 * 24 * time.Hour)

const day = 24 * time.Hour

// Std is the length as a time.Duration.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// Or is the length, or def when it is not set.
func (d Duration) Or(def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return time.Duration(d)
}

// String writes the length in the form that ParseDuration reads, in ASCII and
// without the zero parts of time.Duration's own form: "5m" and not "5m0s", "2d"
// for whole days, "250us".
func (d Duration) String() string {
	std := time.Duration(d)
	if std != 0 && std%day == 0 {
		return strconv.FormatInt(int64(std/day), 10) + "d"
	}
	s := strings.Replace(std.String(), "µ", "u", 1)
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// ParseDuration reads what stands in the quotes of a Duration: numbers with
// units, or a bare number of seconds. The error is a sentence for the operator
// that does not repeat s.
func ParseDuration(s string) (Duration, error) {
	text := strings.TrimSpace(s)
	if text == "" {
		return 0, errDurationForm
	}
	var std time.Duration
	if seconds, ok := plainNumber(text); ok {
		if seconds*float64(time.Second) > float64(MaxDuration) || seconds < 0 {
			return 0, durationRange(seconds < 0)
		}
		std = time.Duration(seconds * float64(time.Second))
	} else {
		rest := text
		if days, after, ok := strings.Cut(text, "d"); ok {
			n, isNumber := plainNumber(days)
			if !isNumber || n < 0 {
				return 0, errDurationForm
			}
			if n*float64(day) > float64(MaxDuration) {
				return 0, durationRange(false)
			}
			std, rest = time.Duration(n*float64(day)), after
		}
		if rest != "" {
			part, err := time.ParseDuration(rest)
			if err != nil || std != 0 && part < 0 {
				return 0, errDurationForm
			}
			std += part
		}
	}
	if std < 0 || Duration(std) > MaxDuration {
		return 0, durationRange(std < 0)
	}
	return Duration(std), nil
}

var errDurationForm = fmt.Errorf(`want a length of time: a number with a unit such as "500ms", "5s", "10m", "1h30m" or "7d", or a bare number of seconds`)

func durationRange(negative bool) error {
	if negative {
		return fmt.Errorf("a length of time cannot be negative")
	}
	return fmt.Errorf("longer than ten years; a bare number counts seconds")
}

// plainNumber reads digits with at most one decimal point and a leading minus;
// nothing like exponents, "Inf" or "0x", which strconv would take.
func plainNumber(s string) (float64, bool) {
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < '0' || c > '9') && c != '.' && (c != '-' || i > 0) {
			return 0, false
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

// MarshalJSON writes String in quotes.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON reads a string or a number of seconds.
func (d *Duration) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil // by the convention of encoding/json
	}
	text, err := numberOrString(data)
	if err != nil {
		return errDurationForm
	}
	v, err := ParseDuration(text)
	if err == nil {
		*d = v
	}
	return err
}

// numberOrString is the text of a JSON number, or what a JSON string holds. A
// number is rewritten without an exponent, which JSON allows in numbers and the
// parsers here do not take.
func numberOrString(data []byte) (string, error) {
	if len(data) > 0 && data[0] == '"' {
		var s string
		err := json.Unmarshal(data, &s)
		return s, err
	}
	var f float64
	if err := json.Unmarshal(data, &f); err != nil {
		return "", err
	}
	return strconv.FormatFloat(f, 'f', -1, 64), nil
}
