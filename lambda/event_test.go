package lambda

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"edgerouter/router"
	"edgerouter/wire"
)

var update = flag.Bool("update", false, "write the golden files anew")

// story is a file of testdata/events: lines that begin with "#", then a request
// as it stands on the wire, with LF for CRLF.
type story struct {
	client  netip.Addr
	strip   string
	body    []byte // nil: what follows the head
	head    wire.RequestHead
	request Request
}

func readStory(t *testing.T, path string) *story {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := &story{client: netip.MustParseAddr("203.0.113.9")}
	text := string(raw)
	for strings.HasPrefix(text, "#") {
		line, rest, _ := strings.Cut(text, "\n")
		text = rest
		key, value, _ := strings.Cut(strings.TrimSpace(line[1:]), ": ")
		switch key {
		case "client":
			s.client = netip.MustParseAddr(value)
		case "strip":
			s.strip = value
		case "base64":
			if s.body, err = base64.StdEncoding.DecodeString(value); err != nil {
				t.Fatal(err)
			}
		case "big":
			head, field, _ := strings.Cut(text, "\n\n")
			text = head + "\nX-Big: " + strings.Repeat("0123456789abcdef", 512) + "\n\n" + field
		}
	}
	head, body, _ := strings.Cut(text, "\n\n")
	if s.body == nil {
		s.body = []byte(strings.TrimSuffix(body, "\n"))
	}
	wireHead := strings.ReplaceAll(head, "\n", "\r\n") + "\r\n\r\n"
	if _, err := s.head.Parse([]byte(wireHead), &wire.DefaultLimits); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	target := s.head.Target
	if s.strip != "" {
		stripped, ok := router.StripPrefix(nil, target, s.strip)
		if !ok {
			t.Fatalf("%s: %s is not below %s", path, target, s.strip)
		}
		target = stripped
	}
	p, q, _ := bytes.Cut(target, []byte("?"))
	s.request = Request{
		Method: s.head.Method, Path: p, FullPath: s.head.Path, Query: q, Protocol: "HTTP/1.1", Host: s.head.Host,
		SourceIP: s.client, RequestID: []byte("4c1f5b8c9d0e4f708192a3b4c5d6e7f8"),
		Time: time.Date(2020, 5, 15, 6, 1, 9, 123456789, time.UTC),
	}
	for _, f := range s.head.Fields {
		if f.Kind != wire.Hop && f.Kind != wire.Connection {
			s.request.Fields = append(s.request.Fields, Field{f.Name, f.Value})
		}
	}
	return s
}

func place(f Format, multi bool) *Place {
	return &Place{Format: f, MultiValue: multi, APIID: "shop", AccountID: "123456789012", Region: "eu-central-1"}
}

// TestEvents compares the event of each request in testdata/events with its
// golden files, one for each format.
func TestEvents(t *testing.T) {
	paths, _ := filepath.Glob("testdata/events/*.http")
	if len(paths) < 20 {
		t.Fatalf("%d requests in testdata/events", len(paths))
	}
	for _, path := range paths {
		s := readStory(t, path)
		for name, p := range map[string]*Place{
			"rest": place(REST, false), "http": place(HTTP, false), "alb": place(ALB, false), "alb_multi": place(ALB, true),
		} {
			t.Run(filepath.Base(path)+"/"+name, func(t *testing.T) {
				event := Event(p, &s.request, s.body)
				if !utf8.Valid(event) {
					t.Error("the event is not UTF-8")
				}
				var got bytes.Buffer
				if err := json.Indent(&got, event, "", "  "); err != nil {
					t.Fatalf("%v in %s", err, event)
				}
				got.WriteByte('\n')
				noRepeatedKeys(t, event)
				golden := strings.TrimSuffix(path, ".http") + "." + name + ".json"
				if *update {
					if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got.Bytes(), want) {
					t.Errorf("%s differs; it would be\n%s", golden, got.Bytes())
				}
			})
		}
	}
}

// noRepeatedKeys fails when an object has a key twice: readers differ in which
// of them they take.
func noRepeatedKeys(t *testing.T, doc []byte) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(doc))
	var walk func()
	walk = func() {
		tok, err := dec.Token()
		if err != nil {
			t.Fatal(err)
		}
		switch tok {
		case json.Delim('{'):
			seen := map[string]bool{}
			for dec.More() {
				key, _ := dec.Token()
				if k := fmt.Sprint(key); seen[k] {
					t.Errorf("the key %q comes twice", k)
				} else {
					seen[k] = true
				}
				walk()
			}
			dec.Token()
		case json.Delim('['):
			for dec.More() {
				walk()
			}
			dec.Token()
		}
	}
	walk()
}

func TestText(t *testing.T) {
	for value, want := range map[string]bool{
		"text/plain": true, "text/html; charset=utf-8": true, "TEXT/CSS": true, "application/json": true,
		"application/problem+json": true, "application/xml": true, "image/svg+xml": true, "application/javascript": true,
		"application/x-www-form-urlencoded": true, "application/x-ndjson": true,
		"application/octet-stream": false, "image/png": false, "multipart/form-data; boundary=x": false,
		"application/jsonx": false, "application/pdf": false, "": false, "application/grpc": false,
	} {
		if got := Text([]byte(value), false); got != want {
			t.Errorf("%q: %v", value, got)
		}
		if Text([]byte(value), true) {
			t.Errorf("%q with a Content-Encoding is text", value)
		}
	}
}

// FuzzEvent checks that every event is JSON in UTF-8 and carries the body whole.
func FuzzEvent(f *testing.F) {
	f.Add("/a/b", "x=1&x=2&y", "X-Name", "value", "text/plain", []byte("body \"quoted\" \x01"))
	f.Add("/%zz\xff", "%41=+&&=&a=%", "Cookie", "a=b; c=d;;", "application/json", []byte("\xff\xfe"))
	f.Add("", strings.Repeat("a&", 60), "X\x80", "\x80", "image/png", []byte{})
	f.Fuzz(func(t *testing.T, path, query, name, value, contentType string, body []byte) {
		var b Builder
		r := &Request{
			Method: []byte("POST"), Path: []byte(path), FullPath: []byte(path), Query: []byte(query), Protocol: "HTTP/1.1",
			Host: []byte(value), RequestID: []byte("id"), Time: time.Unix(0, 0),
			Fields: []Field{{[]byte(name), []byte(value)}, {[]byte("Content-Type"), []byte(contentType)}, {[]byte(name), []byte(path)}},
		}
		for _, p := range []*Place{place(REST, false), place(HTTP, false), place(ALB, false), place(ALB, true)} {
			event := Event(p, r, body)
			if !utf8.Valid(event) || !json.Valid(event) {
				t.Fatalf("%s: not JSON: %q", p.Format, event)
			}
			if utf8.ValidString(name) {
				noRepeatedKeys(t, event)
			}
			var back struct {
				Body            *string
				IsBase64Encoded *bool
			}
			if err := json.Unmarshal(event, &back); err != nil || back.IsBase64Encoded == nil {
				t.Fatalf("%s: %v in %q", p.Format, err, event)
			}
			got := []byte{}
			if back.Body != nil {
				got = []byte(*back.Body)
			}
			if *back.IsBase64Encoded {
				var err error
				if got, err = base64.StdEncoding.DecodeString(string(got)); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(got, body) {
				t.Fatalf("%s: the body %q became %q", p.Format, body, got)
			}
			if len(event) > Finished(len(b.AppendHead(nil, p, r)), body, true)+len(body)*2+8 {
				t.Fatal("longer than foretold")
			}
		}
	})
}
