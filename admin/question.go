package admin

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Question is a request whose fate is asked for.
type Question struct {
	URL     *url.URL // absolute, http or https
	Method  string
	Headers []Header
}

// Header is one field of a Question.
type Header struct{ Name, Value string }

// ParseQuestion reads a question as the command line and the API get it. The
// scheme may be left out (http), the method as well (GET); headers are NAME:VALUE.
func ParseQuestion(rawURL, method string, headers []string) (Question, error) {
	if rawURL == "" {
		return Question{}, errors.New("the URL is missing; ask for example for http://example.com/path")
	}
	full := rawURL
	if !strings.Contains(full, "://") {
		full = "http://" + full
	}
	u, err := url.Parse(full)
	if err != nil {
		return Question{}, fmt.Errorf("URL %q: %w", rawURL, errors.Unwrap(err))
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return Question{}, fmt.Errorf("URL %q: the scheme %q is neither http nor https", rawURL, u.Scheme)
	}
	if u.Hostname() == "" {
		return Question{}, fmt.Errorf("URL %q: the host is missing", rawURL)
	}
	q := Question{URL: u, Method: strings.ToUpper(method)}
	if q.Method == "" {
		q.Method = "GET"
	}
	if !isToken(q.Method) {
		return Question{}, fmt.Errorf("method %q: want a name such as GET", method)
	}
	for _, h := range headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok || !isToken(name) || strings.ContainsAny(value, "\r\n\x00") {
			return Question{}, fmt.Errorf("header %q: want NAME:VALUE", h)
		}
		q.Headers = append(q.Headers, Header{Name: name, Value: strings.TrimSpace(value)})
	}
	return q, nil
}

// isToken reports whether s is a token of RFC 9110 section 5.6.2.
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}
