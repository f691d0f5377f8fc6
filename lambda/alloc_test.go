//go:build !race

package lambda

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// usual is a request as a browser sends it.
func usual() *Request {
	r := &Request{
		Method: []byte("GET"), Path: []byte("/api/orders"), FullPath: []byte("/api/orders"), Query: []byte("page=2&sort=name+desc"),
		Protocol: "HTTP/1.1", Host: []byte("shop.example.com"), SourceIP: netip.MustParseAddr("203.0.113.9"),
		RequestID: []byte("4c1f5b8c9d0e4f708192a3b4c5d6e7f8"), Time: time.Now(),
	}
	for _, f := range [][2]string{
		{"Host", "shop.example.com"}, {"User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:130.0)"}, {"Accept", "text/html,*/*;q=0.8"},
		{"Accept-Language", "de,en;q=0.5"}, {"Cookie", "session=4f8a; theme=dark"}, {"X-Forwarded-For", "203.0.113.9"},
	} {
		r.Fields = append(r.Fields, Field{[]byte(f[0]), []byte(f[1])})
	}
	return r
}

const usualPayload = `{"statusCode":200,"headers":{"Content-Type":"text/html; charset=utf-8","Cache-Control":"no-cache"},` +
	`"multiValueHeaders":{"Set-Cookie":["a=b","c=d"]},"isBase64Encoded":false,"body":"<p class=\"x\">hello<\/p>\n"}`

func TestNothingIsAllocated(t *testing.T) {
	r, body := usual(), []byte(`{"name":"M\u00fcller"}`)
	var b Builder
	buf := make([]byte, 0, 16<<10)
	for _, p := range []*Place{place(REST, false), place(HTTP, false), place(ALB, true)} {
		if n := testing.AllocsPerRun(100, func() {
			head := b.AppendHead(buf[:0], p, r)
			at := len(head)
			Finish(append(head[:at+BodyGap], body...), at, p.Format, true)
		}); n > 0 {
			t.Errorf("%s: %v allocations for an event", p.Format, n)
		}
	}
	var resp Response
	payload := make([]byte, len(usualPayload))
	if n := testing.AllocsPerRun(100, func() {
		copy(payload, usualPayload)
		if err := resp.Parse(payload, REST); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations for a response", n)
	}
	now := time.Now()
	s := newSigning(aws.Credentials{AccessKeyID: "a", SecretAccessKey: "b", SessionToken: "c"}, "eu-central-1", now)
	route := newRoute("f", "", &endpoint{host: "h"}, false)
	if n := testing.AllocsPerRun(100, func() { route.appendRequest(buf[:0], s, body, body, now) }); n > 0 {
		t.Errorf("%v allocations for a signature", n)
	}
	m := NewMemory(0)
	if n := testing.AllocsPerRun(100, func() {
		b, _ := m.newBuffer(5000)
		b.release()
	}); n >= 1 {
		t.Errorf("%v allocations for a buffer", n)
	}
}

func BenchmarkEvent(b *testing.B) {
	r := usual()
	var builder Builder
	buf := make([]byte, 0, 16<<10)
	for _, p := range []*Place{place(REST, false), place(HTTP, false), place(ALB, false)} {
		b.Run(string(p.Format), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				builder.AppendHead(buf[:0], p, r)
			}
		})
	}
}

func BenchmarkResponse(b *testing.B) {
	b.ReportAllocs()
	var r Response
	payload := make([]byte, len(usualPayload))
	for b.Loop() {
		copy(payload, usualPayload)
		if r.Parse(payload, REST) != nil {
			b.Fatal("not parsed")
		}
	}
}

func BenchmarkSign(b *testing.B) {
	b.ReportAllocs()
	now := time.Now()
	s := newSigning(aws.Credentials{AccessKeyID: "a", SecretAccessKey: "b"}, "eu-central-1", now)
	route := newRoute("f", "", &endpoint{host: "h"}, false)
	payload := bytes.Repeat([]byte("x"), 1500)
	var buf []byte
	for b.Loop() {
		buf = route.appendRequest(buf[:0], s, payload, payload[:40], now)
	}
}
