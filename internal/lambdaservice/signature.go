package lambdaservice

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// refusal is an error of the API.
type refusal struct {
	status       int
	typ, message string
}

// check checks a request's signature (AWS Signature Version 4), whatever fields it
// covers, as long as they are those that it must.
func (s *Service) check(r *http.Request, payload []byte) *refusal {
	fields, ok := strings.CutPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	if !ok {
		return &refusal{403, "MissingAuthenticationTokenException", "Missing Authentication Token"}
	}
	part := map[string]string{}
	for _, f := range strings.Split(fields, ",") {
		k, v, _ := strings.Cut(strings.TrimSpace(f), "=")
		part[k] = v
	}
	scope := strings.Split(part["Credential"], "/")
	if len(scope) != 5 || scope[3] != "lambda" || scope[4] != "aws4_request" || scope[2] != s.opts.Region {
		return &refusal{403, "InvalidSignatureException", "Credential should be scoped to a valid region and service"}
	}
	if scope[0] != s.opts.AccessKeyID {
		return &refusal{403, "UnrecognizedClientException", "The security token included in the request is invalid."}
	}
	if r.Header.Get("X-Amz-Security-Token") != s.opts.SessionToken {
		return &refusal{403, "ExpiredTokenException", "The security token included in the request is expired"}
	}
	date := r.Header.Get("X-Amz-Date")
	at, err := time.Parse("20060102T150405Z", date)
	if err != nil || !strings.HasPrefix(date, scope[1]) || time.Since(at).Abs() > 5*time.Minute {
		return &refusal{403, "InvalidSignatureException", "Signature expired"}
	}
	signed := strings.Split(part["SignedHeaders"], ";")
	for name := range r.Header {
		if n := strings.ToLower(name); strings.HasPrefix(n, "x-amz-") && !slices.Contains(signed, n) {
			return &refusal{403, "InvalidSignatureException", n + " is not signed"}
		}
	}
	if !slices.Contains(signed, "host") || !slices.IsSorted(signed) {
		return &refusal{403, "InvalidSignatureException", "host is not signed, or the fields are not in order"}
	}
	key := []byte("AWS4" + s.secret)
	for _, p := range scope[1:] {
		key = sum(key, p)
	}
	want := sum(key, "AWS4-HMAC-SHA256\n"+date+"\n"+strings.Join(scope[1:], "/")+"\n"+hash(canonical(r, signed, payload)))
	if got, _ := hex.DecodeString(part["Signature"]); !hmac.Equal(got, want) {
		return &refusal{403, "InvalidSignatureException", "The request signature we calculated does not match the signature you provided."}
	}
	return nil
}

func canonical(r *http.Request, signed []string, payload []byte) string {
	var b strings.Builder
	segments := strings.Split(r.URL.EscapedPath(), "/")
	for i := range segments {
		segments[i] = strings.ReplaceAll(url.QueryEscape(segments[i]), "+", "%20")
	}
	query := strings.ReplaceAll(r.URL.Query().Encode(), "+", "%20")
	b.WriteString(r.Method + "\n" + strings.Join(segments, "/") + "\n" + query + "\n")
	for _, name := range signed {
		value := strings.Join(r.Header.Values(name), ",")
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = r.Header.Get("Content-Length")
		}
		b.WriteString(name + ":" + strings.TrimSpace(value) + "\n")
	}
	b.WriteString("\n" + strings.Join(signed, ";") + "\n" + hash(string(payload)))
	return b.String()
}

func sum(key []byte, s string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(s))
	return h.Sum(nil)
}

func hash(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}
