package lambda

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// told writes a response the way the tables below do.
func (r *Response) told() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s", r.Status, r.ContentType)
	for _, f := range r.Fields {
		fmt.Fprintf(&b, " | %s: %s", f.Name, f.Value)
	}
	fmt.Fprintf(&b, " | %q", r.Body)
	return b.String()
}

const nuls = "\x00\x00\x00\x00\x00\x00\x00\x00"

func TestResponses(t *testing.T) {
	for _, c := range []struct {
		name, formats, payload, want string // an empty want: not of the format
	}{
		{"least", "1.0 2.0 alb", `{"statusCode":204}`, `204  | ""`},
		{"body", "1.0 2.0 alb", `{"statusCode":200,"body":"hi \"you\" é\n"}`, `200 application/json | "hi \"you\" é\n"`},
		{"escapes", "1.0", `{"statusCode":200,"body":"\u00e9\ud83d\ude00\ud83d\/\b\f\r\t\\"}`, `200 application/json | "é😀�/\b\f\r\t\\"`},
		{"null body", "1.0 2.0", `{"statusCode":200,"body":null,"headers":null,"multiValueHeaders":null,"cookies":null,"isBase64Encoded":null}`, `200 application/json | ""`},
		{"headers", "1.0 2.0 alb", `{"statusCode":201,"headers":{"Content-Type":"text/html","X-A":"b","x-num":1.5,"x-bool":true,"x-null":null}}`, `201 text/html | X-A: b | x-num: 1.5 | x-bool: true | ""`},
		{"merged", "1.0 alb", `{"statusCode":200,"headers":{"X-A":"1","x-b":"2"},"multiValueHeaders":{"x-a":["1","3"],"X-C":["4","4"]}}`, `200 application/json | x-a: 1 | x-a: 3 | X-C: 4 | X-C: 4 | x-b: 2 | ""`},
		{"multi first", "1.0", `{"multiValueHeaders":{"Content-Type":["text/css"]},"statusCode":200}`, `200 text/css | ""`},
		{"cookies", "2.0", `{"statusCode":200,"cookies":["a=b; Path=/","c=d"]}`, `200 application/json | Set-Cookie: a=b; Path=/ | Set-Cookie: c=d | ""`},
		{"no cookies in 1.0", "1.0 alb", `{"statusCode":200,"cookies":["a=b"]}`, `200 application/json | ""`},
		{"base64", "1.0 2.0 alb", `{"statusCode":200,"isBase64Encoded":true,"body":"AAEC\/w=="}`, `200 application/json | "\x00\x01\x02\xff"`},
		{"base64 false", "1.0", `{"isBase64Encoded":false,"statusCode":200,"body":"AAEC"}`, `200 application/json | "AAEC"`},
		{"status as text", "1.0 2.0 alb", `{"statusCode":"404","body":""}`, `404 application/json | ""`},
		{"status as float", "1.0", `{"statusCode":2e2}`, `200 application/json | ""`},
		{"hop by hop", "1.0 2.0 alb", `{"statusCode":200,"headers":{"Connection":"close, X-Hop","X-Hop":"1","Keep-Alive":"2","Transfer-Encoding":"chunked","Content-Length":"999","Upgrade":"h2c","TE":"x","Trailer":"X","Proxy-Connection":"x","Host":"evil","X-Ok":"1"}}`, `200 application/json | X-Ok: 1 | ""`},
		{"unknown members", "1.0 alb", `{"statusDescription":"200 OK","x":{"a":[1,{"b":null},"\u0041"]},"statusCode":200}`, `200 application/json | ""`},
		{"white space", "1.0 2.0", " \r\n\t{ \"statusCode\" : 200 , \"headers\" : { } , \"body\" : \"x\" } \n", `200 application/json | "x"`},
		{"twice: the last counts", "1.0", `{"statusCode":200,"statusCode":404,"headers":{"A":"1"},"headers":{"B":"2"}}`, `404 application/json | B: 2 | ""`},
		{"framed", "1.0 2.0 alb", `{"statusCode":206,"headers":{"Content-Type":"text/plain"},"cookies":["a=b"]}` + nuls + "raw \x00 body", `206 text/plain | Set-Cookie: a=b | "raw \x00 body"`},
		{"framed without status", "1.0 2.0 alb", `{}` + nuls + "x", `200 application/json | "x"`},
		{"not modified", "1.0 2.0 alb", `{"statusCode":304,"headers":{"ETag":"\"x\""},"body":""}`, `304  | ETag: "x" | ""`},
		{"not modified, typed", "1.0 2.0 alb", `{"statusCode":304,"headers":{"content-type":"text/css"}}`, `304 text/css | ""`},
		{"reset content", "1.0", `{"statusCode":205,"body":null}`, `205  | ""`},
		{"empty redirect", "1.0 2.0 alb", `{"statusCode":302,"headers":{"Location":"/x"},"body":""}`, `302  | Location: /x | ""`},
		{"empty redirect, base64", "1.0 2.0 alb", `{"statusCode":308,"headers":{"Location":"/x"},"body":"","isBase64Encoded":true}`, `308  | Location: /x | ""`},
		{"redirect with a body", "1.0 2.0 alb", `{"statusCode":302,"headers":{"Location":"/x"},"body":"{}"}`, `302 application/json | Location: /x | "{}"`},
		{"framed redirect", "2.0", `{"statusCode":303,"headers":{"Location":"/x"}}` + nuls, `303  | Location: /x | ""`},
		{"null elements", "2.0", `{"statusCode":200,"cookies":[null,"a=b"],"multiValueHeaders":{"a":[null],"b":null}}`, `200 application/json | Set-Cookie: a=b | ""`},

		// What adapters of frameworks return in each format.
		{"both objects alike", "1.0", `{"statusCode":200,"headers":{"content-type":"text/html; charset=utf-8","x-powered-by":"E"},"multiValueHeaders":{"content-type":["text/html; charset=utf-8"],"x-powered-by":["E"],"set-cookie":["a=1; Path=/","b=2; Expires=Thu, 01 Jan 1970 00:00:00 GMT"]},"isBase64Encoded":false,"body":"<p>"}`, `200 text/html; charset=utf-8 | x-powered-by: E | set-cookie: a=1; Path=/ | set-cookie: b=2; Expires=Thu, 01 Jan 1970 00:00:00 GMT | "<p>"`},
		{"empty multi", "1.0", `{"isBase64Encoded":true,"statusCode":200,"body":"aGk=","headers":{"content-type":"image/png"},"multiValueHeaders":{}}`, `200 image/png | "hi"`},
		{"multi and no single", "1.0", `{"statusCode":200,"body":"","isBase64Encoded":false,"multiValueHeaders":{"content-type":["text/plain"],"set-cookie":["a=1","b=2"]}}`, `200 text/plain | set-cookie: a=1 | set-cookie: b=2 | ""`},
		{"joined values and cookies", "2.0", `{"isBase64Encoded":false,"statusCode":200,"body":"x","headers":{"vary":"a, b","content-type":"text/plain"},"cookies":["a=1","b=2"]}`, `200 text/plain | vary: a, b | Set-Cookie: a=1 | Set-Cookie: b=2 | "x"`},
		{"cookie variants of spelling", "alb", `{"statusCode":200,"statusDescription":"200 OK","headers":{"set-cookie":"a=1","Set-Cookie":"b=2","sEt-cookie":"c=3","content-type":"text/plain"},"body":"x","isBase64Encoded":false}`, `200 text/plain | set-cookie: a=1 | Set-Cookie: b=2 | sEt-cookie: c=3 | "x"`},
		{"no headers at all", "2.0", `{"statusCode":200,"body":"x"}`, `200 application/json | "x"`},
		{"empty lists", "2.0", `{"statusCode":200,"headers":{},"multiValueHeaders":{},"cookies":[],"body":"x"}`, `200 application/json | "x"`},

		{"value trimmed", "1.0", `{"statusCode":200,"headers":{"A":"  b\t "}}`, `200 application/json | A: b | ""`},

		{"any object", "2.0", `{"hello": "w\u00f6rld", "headers":{"a b":1}}`, `200 application/json | "{\"hello\": \"w\\u00f6rld\", \"headers\":{\"a b\":1}}"`},
		{"any list", "2.0", ` [1, 2] `, `200 application/json | "[1, 2]"`},
		{"any number", "2.0", `-1.5e3`, `200 application/json | "-1.5e3"`},
		{"null", "2.0", `null`, `200 application/json | "null"`},
		{"bare string", "2.0", `"<p>\u00f6</p>"`, `200 application/json | "<p>ö</p>"`},
		{"statusCode further down", "2.0", `{"a":{"statusCode":1}}`, `200 application/json | "{\"a\":{\"statusCode\":1}}"`},

		{"no status", "1.0 alb", `{"body":"x"}`, ""},
		{"null status", "1.0 2.0 alb", `{"statusCode":null}`, ""},
		{"bare string elsewhere", "1.0 alb", `"x"`, ""},
		{"list elsewhere", "1.0 alb", `[]`, ""},
		{"status 0", "1.0 2.0 alb", `{"statusCode":0}`, ""},
		{"status 100", "1.0 2.0 alb", `{"statusCode":100}`, ""},
		{"status 101", "1.0", `{"statusCode":101}`, ""},
		{"status 999", "1.0 2.0 alb", `{"statusCode":999}`, ""},
		{"status fraction", "1.0", `{"statusCode":200.5}`, ""},
		{"status huge", "1.0", `{"statusCode":1e999}`, ""},
		{"status NaN", "1.0", `{"statusCode":"NaN"}`, ""},
		{"status words", "1.0 2.0", `{"statusCode":"OK"}`, ""},
		{"status list", "1.0 2.0", `{"statusCode":[200]}`, ""},
		{"status true", "1.0", `{"statusCode":true}`, ""},
		{"body object", "1.0 2.0 alb", `{"statusCode":200,"body":{"a":1}}`, ""},
		{"body number", "1.0 2.0 alb", `{"statusCode":200,"body":1}`, ""},
		{"headers list", "1.0 2.0 alb", `{"statusCode":200,"headers":[]}`, ""},
		{"headers nested", "1.0 2.0 alb", `{"statusCode":200,"headers":{"a":{}}}`, ""},
		{"headers of lists", "1.0", `{"statusCode":200,"headers":{"a":["b"]}}`, ""},
		{"multi of strings", "1.0", `{"statusCode":200,"multiValueHeaders":{"a":"b"}}`, ""},
		{"cookies object", "2.0", `{"statusCode":200,"cookies":{}}`, ""},
		{"cookies of numbers", "2.0", `{"statusCode":200,"cookies":[1]}`, ""},
		{"flag as text", "1.0", `{"statusCode":200,"isBase64Encoded":"true"}`, ""},
		{"flag as number", "1.0", `{"statusCode":200,"isBase64Encoded":1}`, ""},
		{"broken base64", "1.0 2.0 alb", `{"statusCode":200,"isBase64Encoded":true,"body":"A*=="}`, ""},
		{"base64 unpadded", "1.0", `{"statusCode":200,"isBase64Encoded":true,"body":"AAE"}`, ""},
		{"name with space", "1.0 2.0 alb", `{"statusCode":200,"headers":{"a b":"c"}}`, ""},
		{"name with line break", "1.0 2.0 alb", `{"statusCode":200,"headers":{"a\r\nSet-Cookie":"c"}}`, ""},
		{"name with colon", "1.0", `{"statusCode":200,"headers":{"a:":"c"}}`, ""},
		{"empty name", "1.0", `{"statusCode":200,"headers":{"":"c"}}`, ""},
		{"value with line break", "1.0 2.0 alb", `{"statusCode":200,"headers":{"a":"c\r\nSet-Cookie: x=y"}}`, ""},
		{"value with LF", "1.0", `{"statusCode":200,"multiValueHeaders":{"a":["c\nx"]}}`, ""},
		{"value with NUL", "1.0", `{"statusCode":200,"headers":{"a":"\u0000"}}`, ""},
		{"cookie with line break", "2.0", `{"statusCode":200,"cookies":["a=b\r\nX: y"]}`, ""},
		{"not JSON", "1.0 2.0 alb", `<html>`, ""},
		{"empty", "1.0 2.0 alb", ``, ""},
		{"cut", "1.0 2.0 alb", `{"statusCode":200,"body":"x`, ""},
		{"cut after a member", "1.0 2.0", `{"statusCode":200,`, ""},
		{"comma at the end", "1.0", `{"statusCode":200,}`, ""},
		{"bad escape", "1.0", `{"statusCode":200,"body":"\x"}`, ""},
		{"bad \\u", "1.0", `{"statusCode":200,"body":"\u12g4"}`, ""},
		{"line break in a string", "1.0", "{\"statusCode\":200,\"body\":\"a\nb\"}", ""},
		{"leading zero", "1.0", `{"statusCode":0200}`, ""},
		{"two values", "1.0 2.0 alb", `{"statusCode":200}{}`, ""},
		{"seven NULs", "1.0 2.0", `{"statusCode":200}` + nuls[:7], ""},
		{"too deep", "1.0", `{"statusCode":200,"x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`, ""},
		{"too many headers", "1.0", `{"statusCode":200,"multiValueHeaders":{"a":[` + strings.Repeat(`"x",`, 600) + `"x"]}}`, ""},
		{"too large headers", "1.0", `{"statusCode":200,"headers":{"a":"` + strings.Repeat("x", 70<<10) + `"}}`, ""},
	} {
		for _, f := range strings.Fields(c.formats) {
			t.Run(c.name+"/"+f, func(t *testing.T) {
				var r Response
				err := r.Parse([]byte(c.payload), Format(f))
				var format *FormatError
				switch {
				case c.want == "" && err == nil:
					t.Errorf("taken for %s", r.told())
				case c.want == "" && !errors.As(err, &format):
					t.Errorf("error of another type: %T", err)
				case c.want != "" && err != nil:
					t.Error(err)
				case c.want != "" && r.told() != c.want:
					t.Errorf("got\n%s, want\n%s", r.told(), c.want)
				}
				if err != nil && (len(err.Error()) > 400 || strings.ContainsAny(err.Error(), "\r\n\x00")) {
					t.Errorf("not for a log: %q", err.Error())
				}
			})
		}
	}
}

// TestMultiValueResponses: with alb_multi_value, headers are left out as a load
// balancer leaves them out.
func TestMultiValueResponses(t *testing.T) {
	for payload, want := range map[string]string{
		`{"statusCode":200,"headers":{"X-A":"1","Content-Type":"text/plain"},"multiValueHeaders":{"X-B":["2","3"]},"body":"x"}`:                     `200 application/json | X-B: 2 | X-B: 3 | "x"`,
		`{"statusCode":200,"headers":{"X-A":"1"},"body":"x"}`:                                                                                       `200 application/json | "x"`,
		`{"statusCode":200,"headers":{"Set-Cookie":"a=1"},"multiValueHeaders":{"Set-Cookie":["a=1","b=2"],"content-type":["text/html"]},"body":""}`: `200 text/html | Set-Cookie: a=1 | Set-Cookie: b=2 | ""`,
	} {
		r := Response{MultiValue: true}
		if err := r.Parse([]byte(payload), ALB); err != nil || r.told() != want {
			t.Errorf("%s: %s, %v", payload, r.told(), err)
		}
	}
}

func TestPreludes(t *testing.T) {
	for prelude, want := range map[string]string{
		`{"statusCode":201,"headers":{"a":"b"},"cookies":["c=d"]}`:     `201 application/json | a: b | Set-Cookie: c=d | ""`,
		`{"multiValueHeaders":{"Content-Type":["text/event-stream"]}}`: `200 text/event-stream | ""`,
		`{"statusCode":304}`:                             `304  | ""`,
		`{"statusCode":302,"headers":{"Location":"/x"}}`: `302  | Location: /x | ""`,
		`{"statusCode":99}`:                              "", `[]`: "", ``: "", `{} x`: "",
	} {
		var r Response
		if err := r.ParsePrelude([]byte(prelude)); (err == nil) != (want != "") || err == nil && r.told() != want {
			t.Errorf("%s: %s, %v", prelude, r.told(), err)
		}
	}
}

// TestResponseMemory uses one Response for several payloads.
func TestResponseMemory(t *testing.T) {
	var r Response
	payloads := []string{
		`{"statusCode":200,"headers":{"Content-Type":"text/plain","X-Request":"1"},"cookies":["a=b"],"body":"hello"}`,
		`{"statusCode":404}`,
	}
	for range 2 {
		if err := r.Parse([]byte(payloads[0]), HTTP); err != nil || len(r.Fields) != 2 {
			t.Fatal(r.told(), err)
		}
		if err := r.Parse([]byte(payloads[1]), HTTP); err != nil || r.told() != `404 application/json | ""` {
			t.Fatal(r.told(), err)
		}
	}
}

// FuzzResponse feeds payloads and preludes; what is taken must be safe to send
// and must agree with encoding/json.
func FuzzResponse(f *testing.F) {
	f.Add([]byte(`{"statusCode":200,"headers":{"a":"b"},"multiValueHeaders":{"a":["b","c"]},"body":"\u00e9","isBase64Encoded":false}`))
	f.Add([]byte(`{"statusCode":"404","cookies":["a=b"],"isBase64Encoded":true,"body":"AAEC"}`))
	f.Add([]byte(`{"statusCode":200}` + nuls + "raw"))
	f.Add([]byte(`"text"`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, format := range Formats() {
			var r Response
			if err := r.Parse(bytes.Clone(payload), format); err == nil {
				checkSendable(t, &r)
				checkBody(t, &r, payload, format)
			}
		}
		var r Response
		if r.ParsePrelude(bytes.Clone(payload)) == nil {
			checkSendable(t, &r)
		}
	})
}

func checkSendable(t *testing.T, r *Response) {
	t.Helper()
	if r.Status < 200 || r.Status > 599 {
		t.Fatalf("status %d", r.Status)
	}
	for _, f := range append(r.Fields, Field{[]byte("Content-Type"), r.ContentType}) {
		if !isToken(f.Name) || bytes.ContainsAny(f.Value, "\r\n\x00") {
			t.Fatalf("the field %q: %q", f.Name, f.Value)
		}
	}
}

func checkBody(t *testing.T, r *Response, payload []byte, format Format) {
	t.Helper()
	if !utf8.Valid(payload) || !json.Valid(payload) {
		return // framed, or text that encoding/json repairs
	}
	var want map[string]json.RawMessage
	if json.Unmarshal(payload, &want) != nil || want["statusCode"] == nil {
		if format != HTTP {
			t.Fatalf("%s: %q was taken", format, payload)
		}
		return
	}
	var body string
	json.Unmarshal(want["body"], &body)
	if string(want["isBase64Encoded"]) == "true" {
		b, err := base64.StdEncoding.DecodeString(body)
		if err != nil {
			t.Fatal(err)
		}
		body = string(b)
	}
	if string(r.Body) != body {
		t.Fatalf("%q: the body became %q", payload, r.Body)
	}
}
