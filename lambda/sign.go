package lambda

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const (
	amzDay  = "20060102"
	amzTime = "20060102T150405Z"
)

// signing is what signatures of one day are made with (AWS Signature Version 4).
// The key is derived once; its HMAC states are used again.
type signing struct {
	credentials aws.Credentials
	day         string
	scope       string // day/region/lambda/aws4_request
	macs        sync.Pool
}

func newSigning(c aws.Credentials, region string, now time.Time) *signing {
	s := &signing{credentials: c, day: now.UTC().Format(amzDay)}
	s.scope = s.day + "/" + region + "/lambda/aws4_request"
	key := []byte("AWS4" + c.SecretAccessKey)
	for _, part := range []string{s.day, region, "lambda", "aws4_request"} {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(part))
		key = h.Sum(nil)
	}
	s.macs.New = func() any { return hmac.New(sha256.New, key) }
	return s
}

// fits tells whether the key is still the one to use.
func (s *signing) fits(now time.Time) bool {
	return !(s.credentials.CanExpire && !now.Before(s.credentials.Expires)) && now.UTC().Format(amzDay) == s.day
}

// credentials hands out the key to sign with.
type credentials struct {
	provider aws.CredentialsProvider
	region   string
	current  atomic.Pointer[signing]
	failed   atomic.Pointer[failedCredentials]
}

type failedCredentials struct {
	err   error
	until time.Time
}

// credentialsPause is how long a failure to get credentials stands: some sources
// take seconds to fail, and every request would ask anew.
const credentialsPause = time.Second

// errCredentials is a failure to get credentials.
type errCredentials struct{ err error }

func (e *errCredentials) Error() string { return "no AWS credentials: " + e.err.Error() }
func (e *errCredentials) Unwrap() error { return e.err }

// get returns the key; ctx bounds what its source may take when it has to be
// asked.
func (c *credentials) get(ctx func() (context.Context, context.CancelFunc), now time.Time) (*signing, error) {
	if s := c.current.Load(); s != nil && s.fits(now) {
		return s, nil
	}
	if f := c.failed.Load(); f != nil && now.Before(f.until) {
		return nil, f.err
	}
	bounded, cancel := ctx()
	defer cancel()
	var err error = &errCredentials{fmt.Errorf("no source is configured")}
	if c.provider != nil {
		var found aws.Credentials
		if found, err = c.provider.Retrieve(bounded); err == nil {
			s := newSigning(found, c.region, now)
			c.current.Store(s)
			return s, nil
		}
		err = &errCredentials{err}
	}
	if bounded.Err() == nil {
		c.failed.Store(&failedCredentials{err, now.Add(credentialsPause)})
	}
	return nil, err
}

// refresh forgets credentials that the API called expired, unless others are in
// use already.
func (c *credentials) refresh(old *signing) {
	if c.current.CompareAndSwap(old, nil) {
		if i, ok := c.provider.(interface{ Invalidate() }); ok {
			i.Invalidate()
		}
	}
}

// route is where a function is called: the request line and fields that are the
// same for all its requests, and what of them is signed.
type route struct {
	line      string // up to and with the Host field's line
	canonical string // method, path and query of the canonical request
	host      string
	tail      bool // ask for the end of the log
}

// appendRequest appends the head of a signed request with that payload.
func (r *route) appendRequest(dst []byte, s *signing, payload, trace []byte, now time.Time) []byte {
	var stamp [len(amzTime)]byte
	date := now.UTC().AppendFormat(stamp[:0], amzTime)
	var digits [20]byte
	length := strconv.AppendInt(digits[:0], int64(len(payload)), 10)

	dst = append(dst, r.line...)
	dst = appendLine(dst, "Content-Type", "application/json")
	dst = appendLine(dst, "Content-Length", length)
	dst = appendLine(dst, "User-Agent", "edgerouter")
	dst = appendLine(dst, "X-Amz-Date", date)
	if r.tail {
		dst = appendLine(dst, "X-Amz-Log-Type", "Tail")
	}
	token := s.credentials.SessionToken
	if token != "" {
		dst = appendLine(dst, "X-Amz-Security-Token", token)
	}
	dst = appendLine(dst, traceField, trace)
	dst = append(dst, "Authorization: AWS4-HMAC-SHA256 Credential="...)
	dst = append(append(dst, s.credentials.AccessKeyID...), '/')
	dst = append(dst, s.scope...)
	dst = append(dst, ", SignedHeaders="...)
	dst = r.appendSigned(dst, token != "")
	dst = append(dst, ", Signature="...)

	// The canonical request stands behind the head until it is hashed.
	at := len(dst)
	c := append(dst, r.canonical...)
	c = append(append(c, "content-length:"...), length...)
	c = append(c, "\ncontent-type:application/json\nhost:"...)
	c = append(c, r.host...)
	c = append(append(c, "\nx-amz-date:"...), date...)
	if r.tail {
		c = append(c, "\nx-amz-log-type:Tail"...)
	}
	if token != "" {
		c = append(append(c, "\nx-amz-security-token:"...), token...)
	}
	c = append(c, "\n\n"...)
	c = append(r.appendSigned(c, token != ""), '\n')
	sum := sha256.Sum256(payload)
	c = hex.AppendEncode(c, sum[:])
	sum = sha256.Sum256(c[at:])

	c = append(c[:at], "AWS4-HMAC-SHA256\n"...)
	c = append(append(c, date...), '\n')
	c = append(append(c, s.scope...), '\n')
	c = hex.AppendEncode(c, sum[:])
	mac := s.macs.Get().(hash.Hash)
	mac.Reset()
	mac.Write(c[at:])
	// The signature goes behind where its hexadecimal form will stand.
	signature := mac.Sum(c[:at+2*sha256.Size])[at+2*sha256.Size:]
	s.macs.Put(mac)
	dst = hex.AppendEncode(c[:at], signature)
	return append(dst, "\r\n\r\n"...)
}

func (r *route) appendSigned(dst []byte, token bool) []byte {
	dst = append(dst, "content-length;content-type;host;x-amz-date"...)
	if r.tail {
		dst = append(dst, ";x-amz-log-type"...)
	}
	if token {
		dst = append(dst, ";x-amz-security-token"...)
	}
	return dst
}

func appendLine[S []byte | string](dst []byte, name string, value S) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}

// escapePath escapes a segment of a path as Signature Version 4 wants it.
func escapePath(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c|0x20 >= 'a' && c|0x20 <= 'z', c >= '0' && c <= '9', c == '-', c == '.', c == '_', c == '~':
			b = append(b, c)
		default:
			b = append(b, '%', "0123456789ABCDEF"[c>>4], "0123456789ABCDEF"[c&15])
		}
	}
	return string(b)
}
