package load

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestParseHead(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for _, c := range []struct {
		name, in string
		want     head
		size     int // -1: the whole input
		fails    bool
	}{
		{"length", ok + "Content-Length: 12\r\n\r\n", head{200, 12, false, false}, -1, false},
		{"lower case, no space", ok + "content-length:12\r\n\r\n", head{200, 12, false, false}, -1, false},
		{"spaces around", ok + "Content-Length: \t 12 \t\r\n\r\n", head{200, 12, false, false}, -1, false},
		{"body after it", ok + "Content-Length: 3\r\n\r\nabc", head{200, 3, false, false}, len(ok) + 21, false},
		{"chunked", ok + "transfer-encoding: Chunked\r\n\r\n", head{200, -1, true, false}, -1, false},
		{"close", ok + "Connection: Close\r\nContent-Length: 0\r\n\r\n", head{200, 0, false, true}, -1, false},
		{"kept", ok + "Connection: keep-alive\r\nContent-Length: 0\r\n\r\n", head{200, 0, false, false}, -1, false},
		{"1.0 closes", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", head{200, 0, false, true}, -1, false},
		{"1.0 kept", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", head{200, 0, false, false}, -1, false},
		{"no reason", "HTTP/1.1 404\r\n\r\n", head{404, -1, false, false}, -1, false},
		{"other fields of the same length", ok + "Content-Langua: 7\r\nConnectiom: close\r\nTransfer-Encodinx: y\r\n\r\n", head{200, -1, false, false}, -1, false},
		{"same length twice", ok + "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", head{200, 5, false, false}, -1, false},
		{"interim", "HTTP/1.1 100 Continue\r\n\r\n" + ok, head{100, -1, false, false}, 25, false},
		{"not modified, with the length of what it is about", "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", head{304, 0, false, false}, -1, false},
		{"not modified", "HTTP/1.1 304 Not Modified\r\n\r\n", head{304, 0, false, false}, -1, false},
		{"incomplete", ok + "Content-Length: 12\r\n", head{}, 0, false},
		{"empty", "", head{}, 0, false},

		{"two lengths", ok + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", head{}, 0, true},
		{"length and chunked", ok + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", head{}, 0, true},
		{"signed length", ok + "Content-Length: +5\r\n\r\n", head{}, 0, true},
		{"empty length", ok + "Content-Length: \r\n\r\n", head{}, 0, true},
		{"huge length", ok + "Content-Length: 9999999999999999999\r\n\r\n", head{}, 0, true},
		{"other coding", ok + "Transfer-Encoding: gzip\r\n\r\n", head{}, 0, true},
		{"HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", head{}, 0, true},
		{"not HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n", head{}, 0, true},
		{"status of letters", "HTTP/1.1 2x0 OK\r\n\r\n", head{}, 0, true},
		{"short", "HTTP/1.1 2\r\n\r\n", head{}, 0, true},
		{"endless", strings.Repeat("x", maxHead), head{}, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, size, err := parseHead([]byte(c.in))
			want := c.size
			if want < 0 {
				want = len(c.in)
			}
			if (err != nil) != c.fails {
				t.Fatalf("error %v, want one: %v", err, c.fails)
			}
			if err == nil && (size != want || size > 0 && got != c.want) {
				t.Errorf("got %+v of %d bytes, want %+v of %d", got, size, c.want, want)
			}
		})
	}
}

func TestChunks(t *testing.T) {
	for _, c := range []struct {
		name, in string
		data     int64
		rest     int // bytes after the body
		done     bool
		fails    bool
	}{
		{"one", "5\r\nhello\r\n0\r\n\r\n", 5, 0, true, false},
		{"two", "5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n", 15, 0, true, false},
		{"none", "0\r\n\r\n", 0, 0, true, false},
		{"extension", "5;a=b\r\nhello\r\n0;x\r\n\r\n", 5, 0, true, false},
		{"trailers", "1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n", 1, 0, true, false},
		{"rest", "1\r\nx\r\n0\r\n\r\nHTTP", 1, 4, true, false},
		{"zeros", "0005\r\nhello\r\n000\r\n\r\n", 5, 0, true, false},
		{"unfinished", "5\r\nhel", 3, 0, false, false},
		{"without its end", "5\r\nhello\r\n", 5, 0, false, false},
		{"no size", "\r\nhello", 0, 0, false, true},
		{"letters", "xyz\r\n", 0, 0, false, true},
		{"junk after the size", "5x\r\n", 0, 0, false, true},
		{"longer than it says", "2\r\nhello\r\n", 2, 0, false, true},
		{"overflow", "fffffffffffffffff\r\n", 0, 0, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			// In one piece and byte by byte: the state must not depend on the reads.
			for _, step := range []int{len(c.in), 1} {
				var s chunks
				var data int64
				done, used := false, 0
				var err error
				for at := 0; at < len(c.in) && !done && err == nil; at += step {
					var n int
					var d int64
					n, d, done, err = s.feed([]byte(c.in[at:min(at+step, len(c.in))]))
					used += n
					data += d
				}
				if (err != nil) != c.fails {
					t.Fatalf("step %d: error %v, want one: %v", step, err, c.fails)
				}
				if err == nil && (done != c.done || data != c.data || done && len(c.in)-used != c.rest) {
					t.Errorf("step %d: data %d, done %v, rest %d; want %d, %v, %d", step, data, done, len(c.in)-used, c.data, c.done, c.rest)
				}
			}
		})
	}
}

// FuzzResponse holds the parser against net/http: what both take, they must take
// for the same response.
func FuzzResponse(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nA: b\r\n\r\n",
		"HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
		"HTTP/1.0 200 OK\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		h, size, err := parseHead(in)
		if err != nil || size == 0 {
			return
		}
		if size > len(in) {
			t.Fatalf("a head of %d bytes in %d", size, len(in))
		}
		var got int64
		done := false
		if h.chunked {
			var s chunks
			var used int
			used, got, done, err = s.feed(in[size:])
			if used > len(in)-size || got > int64(used) {
				t.Fatalf("used %d of %d bytes for %d of data", used, len(in)-size, got)
			}
			if err != nil {
				return
			}
		} else if h.length >= 0 {
			got = min(h.length, int64(len(in)-size))
			done = got == h.length
		}
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(in)), nil)
		if err != nil {
			return // net/http checks more than a load generator needs
		}
		defer resp.Body.Close()
		if resp.StatusCode != h.status {
			t.Errorf("status %d, net/http says %d", h.status, resp.StatusCode)
		}
		if h.status < 200 || h.status == 204 || h.status == 304 || h.length < 0 && !h.chunked || resp.ProtoMinor == 0 {
			return
		}
		body, err := io.ReadAll(resp.Body)
		if err == nil && done && int64(len(body)) != got {
			t.Errorf("a body of %d bytes, net/http says %d", got, len(body))
		}
		if errors.Is(err, io.ErrUnexpectedEOF) && done {
			t.Errorf("whole for us, cut short for net/http")
		}
	})
}
