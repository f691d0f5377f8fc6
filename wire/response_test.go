package wire

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type responseView struct {
	Status, Minor           int
	Reason, Upgrade         string
	Length                  int64 // -1: none
	Chunked, Close, HasDate bool
	Hop                     string
}

func TestResponseHeadTaken(t *testing.T) {
	ok := responseView{Status: 200, Minor: 1, Reason: "OK", Length: -1}
	but := func(f func(*responseView)) responseView { v := ok; f(&v); return v }
	for name, c := range map[string]struct {
		head string
		want responseView
	}{
		"plain":                 {"HTTP/1.1 200 OK\r\n\r\n", ok},
		"no reason":             {"HTTP/1.1 200 \r\n\r\n", but(func(v *responseView) { v.Reason = "" })},
		"no space":              {"HTTP/1.1 200\r\n\r\n", but(func(v *responseView) { v.Reason = "" })},
		"long reason":           {"HTTP/1.1 599 I'm \tsorry caf\xe9\r\n\r\n", but(func(v *responseView) { v.Status, v.Reason = 599, "I'm \tsorry caf\xe9" })},
		"length":                {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", but(func(v *responseView) { v.Length = 5 })},
		"equal lengths":         {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", but(func(v *responseView) { v.Length = 5 })},
		"chunked":               {"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", but(func(v *responseView) { v.Chunked = true })},
		"chunked beats length":  {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n", but(func(v *responseView) { v.Chunked, v.Close = true, true })},
		"close":                 {"HTTP/1.1 200 OK\r\nConnection: X-A, close\r\nX-A: 1\r\nKeep-Alive: 5\r\n\r\n", but(func(v *responseView) { v.Close, v.Hop = true, "X-A Keep-Alive" })},
		"HTTP/1.0":              {"HTTP/1.0 200 OK\r\n\r\n", but(func(v *responseView) { v.Minor, v.Close = 0, true })},
		"HTTP/1.0 keep-alive":   {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n", but(func(v *responseView) { v.Minor, v.Length = 0, 1 })},
		"switch":                {"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", but(func(v *responseView) { v.Status, v.Reason, v.Upgrade = 101, "Switching", "websocket" })},
		"date":                  {"HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n", but(func(v *responseView) { v.HasDate = true })},
		"a later minor version": {"HTTP/1.2 200 OK\r\n\r\n", but(func(v *responseView) { v.Minor = 2 })},
	} {
		t.Run(name, func(t *testing.T) {
			var h ResponseHead
			if _, err := h.Parse([]byte("HTTP/1.0 404 Old\r\nDate: x\r\nUpgrade: y\r\nContent-Length: 9\r\n\r\n")); err != nil {
				t.Fatal(err)
			}
			n, err := h.Parse([]byte(c.head + "body"))
			if err != nil || n != len(c.head) {
				t.Fatalf("%q gave %d, %v", c.head, n, err)
			}
			got := responseView{Status: h.Status, Minor: h.Minor, Reason: string(h.Reason), Upgrade: string(h.Upgrade),
				Length: h.Length, Chunked: h.Chunked, Close: h.Close, HasDate: h.HasDate}
			var hop []string
			for _, f := range h.Fields {
				if f.Kind == Hop {
					hop = append(hop, string(f.Name))
				}
			}
			got.Hop = strings.Join(hop, " ")
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%q (-want +got):\n%s", c.head, diff)
			}
			for i := range c.head {
				if _, err := h.Parse([]byte(c.head[:i])); err != ErrMore {
					t.Fatalf("the first %d bytes gave %v", i, err)
				}
			}
		})
	}
}

func TestResponseHeadRefused(t *testing.T) {
	ok := "HTTP/1.1 200 OK\r\n"
	for name, head := range map[string]string{
		"HTTP/2":               "HTTP/2.0 200 OK\r\n\r\n",
		"no version":           "200 OK\r\n\r\n",
		"ICY":                  "ICY 200 OK\r\n\r\n",
		"short status":         "HTTP/1.1 20 OK\r\n\r\n",
		"long status":          "HTTP/1.1 2000 OK\r\n\r\n",
		"status 99":            "HTTP/1.1 099 OK\r\n\r\n",
		"status 600":           "HTTP/1.1 600 OK\r\n\r\n",
		"letters":              "HTTP/1.1 2xx OK\r\n\r\n",
		"bare LF":              "HTTP/1.1 200 OK\n\r\n",
		"control in reason":    "HTTP/1.1 200 O\x00K\r\n\r\n",
		"CR in reason":         "HTTP/1.1 200 O\rK\r\n\r\n",
		"line without an end":  strings.Repeat("x", 5000),
		"bare LF after field":  ok + "X: y\n\r\n",
		"fold":                 ok + "X: y\r\n z\r\n\r\n",
		"space before colon":   ok + "X : y\r\n\r\n",
		"NUL in a value":       ok + "X: \x00\r\n\r\n",
		"differing lengths":    ok + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
		"signed length":        ok + "Content-Length: +5\r\n\r\n",
		"gzip":                 ok + "Transfer-Encoding: gzip, chunked\r\n\r\n",
		"coding in HTTP/1.0":   "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"more fields than 512": ok + strings.Repeat("X: y\r\n", 513) + "\r\n",
		"more than 256 KiB":    ok + "X: " + strings.Repeat("y", 257<<10),
	} {
		var h ResponseHead
		if _, err := h.Parse([]byte(head)); err == nil || err.Status != 502 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNoBody(t *testing.T) {
	for status, want := range map[int]bool{100: true, 101: true, 103: true, 199: true, 200: false, 204: true, 205: false, 304: true, 404: false} {
		h := ResponseHead{Status: status}
		if h.NoBody(false) != want || !h.NoBody(true) {
			t.Errorf("%d: %v, of HEAD %v", status, h.NoBody(false), h.NoBody(true))
		}
	}
}
