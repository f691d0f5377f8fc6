package labels

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"edgerouter/app"
)

// The readers of values. Their errors are sentences for whoever writes labels,
// and do not repeat the value.

func parseBool(s string) (bool, error) {
	b, err := strconv.ParseBool(s)
	if err != nil {
		return false, errors.New("want true or false")
	}
	return b, nil
}

func parseInt(s string, least, most int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, errors.New("want a whole number")
	}
	if n < least || n > most {
		return 0, fmt.Errorf("want a number from %d to %d", least, most)
	}
	return n, nil
}

func parsePort(s string) (int, error) {
	n, err := parseInt(s, 1, 65535)
	if err != nil {
		return 0, errors.New("want a port from 1 to 65535")
	}
	return n, nil
}

// parseSpan reads a length of time. Traefik takes bare numbers for seconds, as
// app.ParseDuration does.
func parseSpan(s string) (app.Duration, error) { return app.ParseDuration(s) }

func parseScheme(s string) (string, error) {
	switch v := strings.ToLower(s); v {
	case "http", "https", "h2c":
		return v, nil
	}
	return "", errors.New("want http, https or h2c")
}

// list splits at commas and drops what is empty.
func list(s string) ([]string, error) {
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		if len(out) == maxItems {
			return nil, fmt.Errorf("has more than %d elements", maxItems)
		}
		out = append(out, part)
	}
	return out, nil
}

// networks reads a list of addresses and networks. Bits beyond the prefix do
// not count, as in Traefik.
func networks(s string) ([]string, error) {
	parts, err := list(s)
	for i, part := range parts {
		if p, err := netip.ParsePrefix(part); err == nil {
			parts[i] = p.Masked().String()
		}
	}
	return parts, err
}

// headerList reads "Name:value||Name2:value2".
func headerList(s string) (map[string]string, error) {
	out := map[string]string{}
	for part := range strings.SplitSeq(s, "||") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		name, value, ok := strings.Cut(part, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return nil, errors.New(`want "Name:value||Name2:value2"`)
		}
		if len(out) == maxItems {
			return nil, fmt.Errorf("has more than %d elements", maxItems)
		}
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if err := noReference(name, value); err != nil {
			return nil, err
		}
		out[name] = value
	}
	return out, nil
}

// noReference refuses a header that would be filled in from the proxy's own
// files or environment and sent to the container: whoever may start a container
// may not read those.
func noReference(name, value string) error {
	if app.SecretHeader(name) && app.Secret(value).IsReference() {
		return fmt.Errorf("the header %s is given as file: or env:, which labels cannot do: they would read the proxy's own files", short(name))
	}
	return nil
}

// setBool, setString and their like are options of one field.

func setBool[T any](field func(*T) *bool) option[T] {
	return option[T]{set: func(t *T, v string) error {
		b, err := parseBool(v)
		*field(t) = b
		return err
	}}
}

func setString[T any](field func(*T) *string) option[T] {
	return option[T]{set: func(t *T, v string) error {
		*field(t) = v
		return nil
	}}
}

func setList[T any](field func(*T) *[]string) option[T] {
	return option[T]{set: func(t *T, v string) (err error) {
		*field(t), err = list(v)
		return err
	}}
}

func setInt[T any](least, most int, field func(*T) *int) option[T] {
	return option[T]{set: func(t *T, v string) (err error) {
		*field(t), err = parseInt(v, least, most)
		return err
	}}
}

func setSpan[T any](field func(*T) *app.Duration) option[T] {
	return option[T]{set: func(t *T, v string) (err error) {
		*field(t), err = parseSpan(v)
		return err
	}}
}

func setSize[T any](field func(*T) *app.Size) option[T] {
	return option[T]{set: func(t *T, v string) (err error) {
		*field(t), err = app.ParseSize(v)
		return err
	}}
}

// only takes the one value that means what is done anyway.
func only[T any](value, why string) option[T] {
	return option[T]{soft: true, set: func(_ *T, v string) error {
		if !strings.EqualFold(v, value) {
			return errors.New(why)
		}
		return nil
	}}
}

func notDone[T any](why string) option[T] { return option[T]{why: why} }

// shut is a label that keeps somebody out and is not done.
func shut[T any](why string) option[T] { return option[T]{why: why, shut: true} }
