package lambda

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
)

// message makes one with the SDK's encoder.
func message(t testing.TB, payload string, headers ...string) []byte {
	t.Helper()
	m := eventstream.Message{Payload: []byte(payload)}
	for i := 0; i < len(headers); i += 2 {
		m.Headers.Set(headers[i], eventstream.StringValue(headers[i+1]))
	}
	var b bytes.Buffer
	if err := eventstream.NewEncoder().Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func chunk(t testing.TB, payload string) []byte {
	return message(t, payload, ":message-type", "event", ":event-type", "PayloadChunk", ":content-type", "application/octet-stream")
}

func complete(t testing.TB, payload string) []byte {
	return message(t, payload, ":message-type", "event", ":event-type", "InvokeComplete", ":content-type", "application/json")
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestOutput(t *testing.T) {
	bad := chunk(t, "checksum")
	bad[len(bad)-1] ^= 1
	badPrelude := chunk(t, "x")
	badPrelude[0] ^= 1
	for _, c := range []struct {
		name   string
		stream []byte
		want   string
		err    string // "" for the clean end
	}{
		{"nothing but the end", complete(t, `{}`), "", ""},
		{"no payload at the end", complete(t, ``), "", ""},
		{"chunks", join(chunk(t, "one "), chunk(t, ""), chunk(t, "two"), complete(t, `{"LogResult":"abc="}`)), "one two", ""},
		{"other events", join(chunk(t, "a"), message(t, "zzz", ":message-type", "event", ":event-type", "Later"), chunk(t, "b"), complete(t, `{}`)), "ab", ""},
		{"large", join(chunk(t, strings.Repeat("x", 1<<20)), complete(t, `{}`)), strings.Repeat("x", 1<<20), ""},
		{"error", join(chunk(t, "a"), complete(t, `{"ErrorCode":"Unhandled","ErrorDetails":"{\"errorMessage\":\"boom\"}"}`)), "a", `the function failed: Unhandled {"errorMessage":"boom"}`},
		{"exception", message(t, "slow down", ":message-type", "exception", ":exception-type", "Throttled"), "", "the function failed: Throttled slow down"},
		{"no end", chunk(t, "a"), "a", "unexpected EOF"},
		{"empty", nil, "", "unexpected EOF"},
		{"cut in a prelude", join(chunk(t, "a"), chunk(t, "b")[:7]), "a", "unexpected EOF"},
		{"cut in headers", chunk(t, "b")[:20], "", "unexpected EOF"},
		{"cut in a payload", chunk(t, "payload")[:len(chunk(t, "payload"))-6], "paylo", "unexpected EOF"},
		{"cut in a checksum", chunk(t, "payload")[:len(chunk(t, "payload"))-2], "payload", "unexpected EOF"},
		{"wrong checksum", bad, "checksum", errMessageCRC.Error()},
		{"wrong prelude", badPrelude, "", errMessageCRC.Error()},
		{"bytes that are none", []byte("HTTP/1.1 200 OK\r\n\r\n"), "", errMessageCRC.Error()},
		{"end is not JSON", complete(t, `{"ErrorCode":`), "", "InvokeComplete: not JSON"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, in := range map[string]io.Reader{"whole": bytes.NewReader(c.stream), "by byte": iotest.OneByteReader(bytes.NewReader(c.stream))} {
				got, err := io.ReadAll(newOutput(in))
				if string(got) != c.want {
					t.Errorf("%s: got %d bytes %.40q", name, len(got), got)
				}
				if (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
					t.Errorf("%s: error %v", name, err)
				}
			}
		})
	}
}

func TestOutputIsBounded(t *testing.T) {
	one := chunk(t, strings.Repeat("x", 1<<20))
	in := &repeated{piece: one, times: 201}
	n, err := io.Copy(io.Discard, newOutput(in))
	if !errors.Is(err, errTooLong) || n != maxStream {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// repeated is a piece so many times.
type repeated struct {
	piece []byte
	at    int
	times int
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.times == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.piece[r.at:])
	if r.at += n; r.at == len(r.piece) {
		r.at = 0
		r.times--
	}
	return n, nil
}

func TestStreamHeads(t *testing.T) {
	const prelude = `{"statusCode":201,"headers":{"Content-Type":"text/plain","X":"y"},"cookies":["a=b"]}`
	const headed = `201 text/plain | X: y | Set-Cookie: a=b | "`
	for _, c := range []struct {
		name, typ, remapped, stream, want string // an empty want: 502
	}{
		{"prelude", integrationType, "", prelude + nuls + "body", headed + `body"`},
		{"prelude without body", integrationType, "", prelude + nuls, headed + `"`},
		{"NULs in the body", integrationType, "", prelude + nuls + nuls + "x", headed + `\x00\x00\x00\x00\x00\x00\x00\x00x"`},
		{"remapped", eventStreamType, integrationType, prelude + nuls + "body", headed + `body"`},
		{"with parameters", integrationType + "; charset=utf-8", "", prelude + nuls, headed + `"`},
		{"raw", "text/html; charset=utf-8", "", "<p>", `200 text/html; charset=utf-8 | "<p>"`},
		{"raw that looks like a prelude", "text/plain", "", prelude + nuls, `200 text/plain | ` + quoted(prelude+nuls)},
		{"raw and remapped", eventStreamType, "image/png", "\x00\x01", `200 image/png | "\x00\x01"`},
		{"raw and empty", "text/plain", "", "", `200 text/plain | ""`},
		{"not told: prelude", eventStreamType, "", prelude + nuls + "body", headed + `body"`},
		{"not told: raw", eventStreamType, "", "plain", `200 application/octet-stream | "plain"`},
		{"not told: JSON", eventStreamType, "", `{"a":1}`, `200 application/octet-stream | "{\"a\":1}"`},
		{"no end of the prelude", integrationType, "", `{"a":"` + strings.Repeat("x", 20<<10), ""},
		{"ends in the prelude", integrationType, "", prelude[:20], ""},
		{"ends in the separator", integrationType, "", prelude + nuls[:5], ""},
		{"short separator", integrationType, "", prelude + nuls[:5] + "body body", ""},
		{"no JSON", integrationType, "", "hello" + nuls, ""},
		{"empty", integrationType, "", "", ""},
		{"bad status", integrationType, "", `{"statusCode":999}` + nuls, ""},
		{"bad header", integrationType, "", `{"headers":{"a b":"c"}}` + nuls, ""},
		{"just within", integrationType, "", `{"x":"` + strings.Repeat("x", maxPrelude-8) + `"}` + nuls + "b", `200 application/json | "b"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, wrap := range map[string]func(io.Reader) io.Reader{"whole": func(r io.Reader) io.Reader { return r }, "by byte": iotest.OneByteReader} {
				in := wrap(strings.NewReader(c.stream))
				kind, typ := kindOf([]byte(c.typ), []byte(c.remapped))
				var r Response
				rest, err := r.readHead(in, kind, typ, make([]byte, preludeBuffer))
				if err != nil {
					var format *FormatError
					if c.want != "" || !errors.As(err, &format) {
						t.Errorf("%s: %v", name, err)
					}
					continue
				}
				more, _ := io.ReadAll(in)
				r.Body = append(bytes.Clone(rest), more...)
				if r.told() != c.want {
					t.Errorf("%s: got %.200s", name, r.told())
				}
			}
		})
	}
}

func quoted(s string) string {
	r := Response{Body: []byte(s)}
	return strings.TrimPrefix(r.told(), "0  | ")
}

func TestFunctionTimeout(t *testing.T) {
	for _, c := range []struct {
		code, details string
		want          bool
	}{
		{"Unhandled", `{"errorMessage":"2023-03-16T12:00:00.000Z 1-2-3 Task timed out after 3.00 seconds"}`, true},
		{"Sandbox.Timedout", `{}`, true},
		{"Unhandled", `{"errorMessage":"boom"}`, false},
		{"Handled", ``, false},
	} {
		if e := (&FunctionError{c.code, c.details}); e.TimedOut() != c.want {
			t.Errorf("%v: %v", e, !c.want)
		}
	}
}

// FuzzStream feeds event streams; whatever they are, nothing but bytes that came
// in goes out, and the end is told.
func FuzzStream(f *testing.F) {
	f.Add(join(chunk(f, `{"statusCode":200}`+nuls+"x"), complete(f, `{}`)))
	f.Add(join(chunk(f, "a"), complete(f, `{"ErrorCode":"x"}`)))
	f.Add(chunk(f, "abc")[:30])
	f.Fuzz(func(t *testing.T, stream []byte) {
		for _, typ := range []string{integrationType, "text/plain", eventStreamType} {
			o := newOutput(bytes.NewReader(stream))
			kind, raw := kindOf([]byte(typ), nil)
			var r Response
			rest, err := r.readHead(o, kind, raw, make([]byte, preludeBuffer))
			if err != nil {
				continue
			}
			checkSendable(t, &r)
			n, _ := io.Copy(io.Discard, o)
			if int(n)+len(rest) > len(stream) {
				t.Fatal("more came out than went in")
			}
		}
	})
}
