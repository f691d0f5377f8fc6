package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// open sends raw bytes to the node and leaves the connection open.
func (b *cacheBed) open(raw string) net.Conn {
	b.t.Helper()
	c, err := net.Dial("tcp", b.addr)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, raw); err != nil {
		b.t.Fatal(err)
	}
	return c
}

// TestRequestsWithContent: one that announces content and withholds it holds
// nobody up, and what content brings is neither stored nor answered from storage.
func TestRequestsWithContent(t *testing.T) {
	b := newCacheBed(t, map[string]any{})
	b.answer(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprintf(w, "content %q", body)
	})
	for i, framing := range []string{"Content-Length: 5", "Transfer-Encoding: chunked", "Content-Length: 100000", "Content-Length: 5\r\nExpect: 100-continue"} {
		for _, method := range []string{"GET", "HEAD"} {
			target := fmt.Sprintf("/held/%s/%d", method, i)
			b.open(method + " " + target + " HTTP/1.1\r\nHost: one.example\r\n" + framing + "\r\n\r\n")
			began := time.Now()
			if resp, body, _ := b.ask("GET", target); resp.StatusCode != 200 || body != `content ""` || time.Since(began) > 15*time.Second {
				t.Errorf("%s with %s before it: %d %q after %v", method, framing, resp.StatusCode, body, time.Since(began))
			}
		}
	}
	for i, content := range []string{"Content-Length: 6\r\n\r\npoison", "Transfer-Encoding: chunked\r\n\r\n6\r\npoison\r\n0\r\n\r\n"} {
		target := fmt.Sprint("/poison/", i)
		for range 2 { // when nothing is stored, and when something is
			c := b.open("GET " + target + " HTTP/1.1\r\nHost: one.example\r\nConnection: close\r\n" + content)
			if answer, _ := io.ReadAll(c); !strings.Contains(string(answer), `content "poison"`) {
				t.Errorf("with %s: %s", content, answer)
			}
			if _, body, _ := b.ask("GET", target); body != `content ""` {
				t.Errorf("after %s: %q", content, body)
			}
		}
	}
}

// TestNotFromTheCache: what is stored is no answer to a switch of protocols, to a
// condition that only the origin can judge, nor to a request by whose fields a
// framework reads another target; and what such a request brings is not stored.
func TestNotFromTheCache(t *testing.T) {
	b := newCacheBed(t, map[string]any{})
	for i, fields := range []string{
		"Connection: Upgrade\r\nUpgrade: websocket", "Connection: keep-alive, upgrade\r\nUpgrade: h9, x", `If-Match: "x"`,
		"If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT", "X_HTTP.Method_Override: DELETE",
		"X-Host: evil.example", "X-HTTP-Method: PUT",
	} {
		target := fmt.Sprint("/not/", i)
		b.reply(200, "Cache-Control: max-age=60")
		lines := strings.Split(fields, "\r\n")
		for _, order := range []string{"first", "second"} {
			resp, _, asked := b.ask("GET", target+order, lines...)
			if order == "second" {
				b.ask("GET", target+order)
				resp, _, asked = b.ask("GET", target+order, lines...)
			}
			if got := resp.Header.Get("Cache-Status"); !asked || got != "edgerouter; fwd=bypass" {
				t.Errorf("%s, %s: asked %v, %s", fields, order, asked, got)
			}
			if order == "first" {
				if _, _, asked := b.ask("GET", target+order); !asked {
					t.Errorf("%s: stored", fields)
				}
			}
		}
	}
}

// TestKeys: what the peer was told is part of the key.
func TestKeys(t *testing.T) {
	b := newCacheBed(t, map[string]any{})
	b.answer(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		if r.Header.Get("X-Forwarded-Proto") == "http" {
			http.Redirect(w, r, "https://"+r.Host, http.StatusMovedPermanently)
			return
		}
		fmt.Fprintf(w, "page of %s", r.Header.Get("X-Forwarded-Host"))
	})
	// A trusted proxy says what the client used.
	proxy := func(fields ...string) (int, string) {
		resp, body, _ := b.ask("GET", "/", fields...)
		return resp.StatusCode, body
	}
	for range 2 {
		for _, c := range []struct {
			fields []string
			status int
			body   string
		}{
			{[]string{"X-Forwarded-Proto: http"}, 301, ""},
			{[]string{"X-Forwarded-Proto: https"}, 200, "page of one.example"},
			{[]string{"X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example"}, 200, "page of evil.example"},
			{[]string{"X-Forwarded-Proto: https", "X-Forwarded-Host: one.example:1234"}, 200, "page of one.example:1234"},
		} {
			if status, body := proxy(c.fields...); status != c.status || c.status == 200 && body != c.body {
				t.Errorf("%v: %d %q", c.fields, status, body)
			}
		}
	}
	b.reply(204)
	b.ask("POST", "/", "Content-Length: 0")
	b.reply(200)
	if _, _, asked := b.ask("GET", "/", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example"); !asked {
		t.Error("a POST leaves what is stored for the same target with other fields")
	}
}

// TestFirstLeaves: when the client that the peer was asked for leaves, those who
// wait have it asked once more, and not each.
func TestFirstLeaves(t *testing.T) {
	for _, moment := range []string{"before the head", "within the body"} {
		b := newCacheBed(t, map[string]any{})
		arrived, release := make(chan int64, 100), make(chan struct{})
		b.answer(func(w http.ResponseWriter, r *http.Request) {
			n := b.asked.Load()
			w.Header().Set("Cache-Control", "max-age=60")
			if n == 1 {
				if moment == "within the body" {
					w.Header().Set("Content-Length", "4")
					io.WriteString(w, "bo")
					w.(http.Flusher).Flush()
				}
				arrived <- n
				<-r.Context().Done()
				return
			}
			arrived <- n
			<-release
			io.WriteString(w, "body")
		})
		first := b.open("GET /x HTTP/1.1\r\nHost: one.example\r\n\r\n")
		<-arrived
		var wg sync.WaitGroup
		for range 30 {
			wg.Go(func() {
				if resp, body, _ := b.ask("GET", "/x"); resp.StatusCode != 200 || body != "body" {
					t.Errorf("%s: %d %q", moment, resp.StatusCode, body)
				}
			})
		}
		b.waiting(30)
		first.Close()
		<-arrived
		close(release)
		wg.Wait()
		if n := b.asked.Load(); n != 2 {
			t.Errorf("%s: the peer was asked %d times", moment, n)
		}
	}
}

// TestHitForMiss: what may not be stored is not fetched one request after the
// other, and again shared once it may be stored.
func TestHitForMiss(t *testing.T) {
	b := newCacheBed(t, map[string]any{})
	b.reply(200, "Cache-Control: no-store")
	b.ask("GET", "/x") // now it is known
	const many = 8
	var all sync.WaitGroup
	all.Add(many)
	b.answer(func(w http.ResponseWriter, r *http.Request) {
		all.Done()
		all.Wait() // until all are here at the same time
		w.Header().Set("Cache-Control", "private, max-age=60")
	})
	var wg sync.WaitGroup
	for range many {
		wg.Go(func() {
			if resp, _, _ := b.ask("GET", "/x"); resp.StatusCode != 200 {
				t.Errorf("%d", resp.StatusCode)
			}
		})
	}
	wg.Wait()
	b.reply(200, "Cache-Control: max-age=60")
	b.ask("GET", "/x")
	if _, _, asked := b.ask("GET", "/x"); asked {
		t.Error("it is not stored when it may be")
	}
}

// TestManyVariants: hundreds of variants of one URL are all kept, and each is
// fetched once however many ask for it.
func TestManyVariants(t *testing.T) {
	b := newCacheBed(t, map[string]any{})
	b.answer(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Vary", "X-Lang, x-lang")
		fmt.Fprint(w, r.Header.Get("X-Lang"))
	})
	for round := range 2 {
		for i := range 700 {
			want := fmt.Sprint("l", i)
			if _, body, asked := b.ask("GET", "/", "X-Lang: "+want); body != want || asked != (round == 0) {
				t.Fatalf("round %d, variant %d: %q, asked %v", round, i, body, asked)
			}
		}
	}
	if n := b.purge("one.example", "/"); n != 700 {
		t.Errorf("%d were stored", n)
	}
}

// TestTargeted: CDN-Cache-Control goes before Cache-Control and Expires, and is
// passed on; what is malformed counts as not there (RFC 9213).
func TestTargeted(t *testing.T) {
	b := newCacheBed(t, map[string]any{})
	for i, c := range []struct {
		fields []string
		stored bool
	}{
		{[]string{"CDN-Cache-Control: max-age=60", "Cache-Control: no-store"}, true},
		{[]string{"CDN-Cache-Control: max-age=60", "Cache-Control: private"}, true},
		{[]string{"CDN-Cache-Control: max-age=60", "Expires: 0"}, true},
		{[]string{"CDN-Cache-Control: no-store", "Cache-Control: max-age=60"}, false},
		{[]string{"CDN-Cache-Control: private", "Cache-Control: public, max-age=60"}, false},
		{[]string{"CDN-Cache-Control: max-age=0", "Cache-Control: max-age=60"}, false},
		{[]string{"CDN-Cache-Control: no-store=?0, max-age=60", "Cache-Control: no-store"}, true},
		{[]string{"CDN-Cache-Control: max-age=60;x=1, ext=(a b)", "Cache-Control: no-store"}, true},
		{[]string{"CDN-Cache-Control: max-age=60", "CDN-Cache-Control: no-store", "Cache-Control: max-age=60"}, false},
		{[]string{"CDN-Cache-Control: MAX-AGE=60", "Cache-Control: no-store"}, false},   // malformed
		{[]string{"CDN-Cache-Control: no-store,", "Cache-Control: max-age=60"}, true},   // malformed
		{[]string{"CDN-Cache-Control: ", "Cache-Control: max-age=60"}, true},            // empty
		{[]string{"CDN-Cache-Control: no-cache", "Expires: " + ago(-time.Hour)}, false}, // Expires does not count
		{[]string{"CDN-Cache-Control: public", "Expires: " + ago(-time.Hour)}, false},
		{[]string{`CDN-Cache-Control: max-age="60"`, "Cache-Control: max-age=60"}, false},
	} {
		b.reply(200, c.fields...)
		target := fmt.Sprint("/targeted/", i)
		resp, _, _ := b.ask("GET", target)
		_, want, _ := strings.Cut(c.fields[0], ": ")
		if got := resp.Header.Get("CDN-Cache-Control"); got != want {
			t.Errorf("%v: passed on is %q", c.fields, got)
		}
		if resp, _, asked := b.ask("GET", target); asked == c.stored || resp.Header.Get("CDN-Cache-Control") != want {
			t.Errorf("%v: asked %v", c.fields, asked)
		}
	}
}

// TestExpiresForms: only the three forms of RFC 9110 section 5.6.7 are dates.
func TestExpiresForms(t *testing.T) {
	b := newCacheBed(t, map[string]any{})
	now := time.Now().UTC()
	later := time.Date(now.Year(), now.Month(), now.Day()+2, 3, 4, 5, 0, time.UTC)
	for i, c := range []struct {
		layout string
		stored bool
	}{
		{"Mon, 02 Jan 2006 15:04:05 GMT", true}, {"Monday, 02-Jan-06 15:04:05 GMT", true}, {"Mon Jan _2 15:04:05 2006", true},
		{"Mon, 02 Jan 2006 15:04:05 UTC", false}, {"Mon, 02 Jan 2006 15:04:05 +0000", false}, {"Mon, 2 Jan 2006 15:04:05 GMT ", true},
		{"Mon, 02 Jan 2006 15:04:05.000 GMT", false}, {"Monday, 02-Jan-06 15:04:05 PST", false}, {"Monday, 02-Jan-2006 15:04:05 GMT", false},
		{"Mon, 02-Jan-2006 15:04:05 GMT", false}, {"MON, 02 JAN 2006 15:04:05 GMT", false}, {"Mon, 02 Jan 2006 3:04:05 GMT", false},
		{"02 Jan 2006 15:04:05 GMT", false}, {"Mon Jan 02 15:04:05 GMT 2006", false}, {"2006-01-02T15:04:05Z", false}, {"Mon, 02 Jan 06 15:04:05 GMT", false},
		{"Mon,  02 Jan 2006 15:04:05 GMT", false}, {"Mon, 02 Jan 2006 15:04:05 gmt", false}, {"Mon 02 Jan 2006 15:04:05 GMT", false}, {"1", false}, {"-1", false},
	} {
		text := later.Format(c.layout)
		switch {
		case c.layout == "Mon, 2 Jan 2006 15:04:05 GMT ":
			c.stored = later.Day() > 9 // else it is another form
		case strings.HasPrefix(c.layout, "MON"):
			text = strings.ToUpper(later.Format(http.TimeFormat))
		}
		b.reply(200, "Expires: "+text)
		target := fmt.Sprint("/expires/", i)
		b.ask("GET", target)
		if _, _, asked := b.ask("GET", target); asked == c.stored {
			t.Errorf("Expires: %s: asked %v", text, asked)
		}
	}
}

// TestCacheStatus: members as RFC 9211 has them.
func TestCacheStatus(t *testing.T) {
	b := newCacheBed(t, map[string]any{"stale_if_error": "1h"})
	want := func(target, want string, fields ...string) {
		t.Helper()
		resp, _, _ := b.ask("GET", target, fields...)
		got := strings.Join(resp.Header.Values("Cache-Status"), ", ")
		if at := strings.Index(want, "*"); at >= 0 && len(got) >= at {
			got, want = got[:at], want[:at]
		}
		if got != want {
			t.Errorf("%s %v: Cache-Status %q, want %q", target, fields, got, want)
		}
	}
	b.reply(200, "Cache-Control: max-age=60", `Cache-Status: origin; hit`)
	want("/a", "origin; hit, edgerouter; fwd=uri-miss; stored")
	want("/a", "origin; hit, edgerouter; hit; ttl=*")
	want("/a", "origin; hit, edgerouter; fwd=request; stored", "Cache-Control: no-cache")
	want("/a", "origin; hit, edgerouter; fwd=request; stored", "Cache-Control: max-age=0")
	want("/a", "origin; hit, edgerouter; fwd=request", "Authorization: x")
	want("/a", "origin; hit, edgerouter; fwd=bypass", "Cache-Control: no-store")
	want("/none", "edgerouter; detail=only-if-cached", "Cache-Control: only-if-cached")
	b.reply(200, "Cache-Control: max-age=10", "Age: 20", `ETag: "x"`, "Vary: X-A")
	want("/b", "edgerouter; fwd=uri-miss; stored")
	want("/b", "edgerouter; fwd=vary-miss; stored", "X-A: 1")
	want("/b", "edgerouter; hit; ttl=-*", "Cache-Control: max-stale=60")
	b.reply(503)
	want("/b", "edgerouter; fwd=stale; fwd-status=503")
	b.reply(304)
	want("/b", "edgerouter; fwd=stale; fwd-status=304")
	b.reply(200, "Cache-Control: no-store")
	want("/c", "edgerouter; fwd=uri-miss")
}

// TestDroppedMeanwhile: what was asked for before a POST or a purge may be what
// these have changed, and is not stored after them.
func TestDroppedMeanwhile(t *testing.T) {
	for _, by := range []string{"POST", "purge"} {
		b := newCacheBed(t, map[string]any{})
		arrived, release := make(chan struct{}), make(chan struct{})
		b.answer(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "GET" {
				arrived <- struct{}{}
				<-release
				w.Header().Set("Cache-Control", "max-age=60")
			}
			io.WriteString(w, "old")
		})
		c := b.open("GET /x HTTP/1.1\r\nHost: one.example\r\nConnection: close\r\n\r\n")
		<-arrived
		if by == "POST" {
			b.ask("POST", "/x", "Content-Length: 0")
		} else {
			b.purge("", "/")
		}
		close(release)
		if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != 200 {
			t.Fatal(resp, err)
		}
		b.reply(200, "Cache-Control: max-age=60")
		if _, body, asked := b.ask("GET", "/x"); !asked {
			t.Errorf("%s: stored nevertheless: %q", by, body)
		}
	}
}
