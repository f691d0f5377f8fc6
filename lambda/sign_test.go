package lambda

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// TestSignature compares signatures with those of the SDK.
func TestSignature(t *testing.T) {
	now := time.Date(2026, 11, 22, 7, 33, 53, 0, time.UTC)
	for _, c := range []struct {
		name, qualifier, token, base string
		streamed                     bool
		payload                      string
	}{
		{"plain", "", "", "", false, `{}`},
		{"plain", "live", "token/with+marks==", "", true, `{"a":"b"}`},
		{"arn:aws:lambda:eu-central-1:123456789012:function:my-function", "$LATEST", "", "/path", false, `1`},
	} {
		u, _ := url.Parse("https://lambda.eu-central-1.amazonaws.com" + c.base)
		e, err := newEndpoint(u, nil)
		if err != nil {
			t.Fatal(err)
		}
		creds := aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret", SessionToken: c.token}
		r := newRoute(c.name, c.qualifier, e, c.streamed)
		head := r.appendRequest(nil, newSigning(creds, "eu-central-1", now), []byte(c.payload), []byte("Root=1-2-3"), now)
		req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(append(head, c.payload...))))
		if err != nil {
			t.Fatalf("%v in %q", err, head)
		}
		got := req.Header.Get("Authorization")
		again, err := http.NewRequest("POST", "https://"+req.Host+req.RequestURI, strings.NewReader(c.payload))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range []string{"Content-Type", "X-Amz-Log-Type", "X-Amzn-Trace-Id", "User-Agent"} {
			again.Header.Set(f, req.Header.Get(f))
		}
		again.Header.Set("Content-Length", req.Header.Get("Content-Length"))
		sum := sha256.Sum256([]byte(c.payload))
		if err := v4.NewSigner().SignHTTP(context.Background(), creds, again, hex.EncodeToString(sum[:]), "lambda", "eu-central-1", now); err != nil {
			t.Fatal(err)
		}
		if want := again.Header.Get("Authorization"); got != want {
			t.Errorf("%s: got\n%s, want\n%s", c.name, got, want)
		}
	}
}

// provider counts and may fail.
type provider struct {
	asked, invalidated atomic.Int32
	err                error
	expires            time.Time
}

func (p *provider) Retrieve(context.Context) (aws.Credentials, error) {
	p.asked.Add(1)
	return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "b", CanExpire: !p.expires.IsZero(), Expires: p.expires}, p.err
}

func (p *provider) Invalidate() { p.invalidated.Add(1) }

func TestCredentials(t *testing.T) {
	unbounded := func() (context.Context, context.CancelFunc) { return context.WithCancel(context.Background()) }
	now := time.Date(2026, 11, 22, 23, 0, 0, 0, time.UTC)
	p := &provider{expires: now.Add(time.Hour)}
	c := credentials{provider: p, region: "r"}
	get := func(at time.Time) *signing {
		t.Helper()
		s, err := c.get(unbounded, at)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := get(now)
	if get(now.Add(time.Minute)) != first || p.asked.Load() != 1 {
		t.Error("not kept")
	}
	p.expires = now.Add(3 * time.Hour)
	if s := get(now.Add(61 * time.Minute)); s == first || s.day != "20261123" {
		t.Error("used beyond their day and time")
	}
	c.refresh(first)
	if p.invalidated.Load() != 0 {
		t.Error("newer credentials were forgotten")
	}
	c.refresh(c.current.Load())
	if p.invalidated.Load() != 1 || c.current.Load() != nil {
		t.Error("not refreshed")
	}
	p.err = errors.New("no role")
	before := p.asked.Load()
	for range 3 {
		if _, err := c.get(unbounded, now); err == nil || !strings.Contains(err.Error(), "no role") {
			t.Error(err)
		}
	}
	if n := p.asked.Load() - before; n != 1 {
		t.Errorf("a source that fails was asked %d times", n)
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"fn":                       noAccount,
		"123456789012:function:fn": "123456789012",
		"arn:aws:lambda:eu-central-1:123456789012:function:fn":      "123456789012",
		"arn:aws:lambda:eu-central-1:123456789012:function:fn:live": "123456789012",
		"arn:aws:lambda:us-east-1:123456789012:function:fn":         "",
		"": "",
	} {
		account, err := accountOf(name, "eu-central-1")
		if (err == nil) != (want != "") || account != want {
			t.Errorf("%s: %q, %v", name, account, err)
		}
	}
}
