package httpcache

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"edgerouter/app"
)

// longest is more than any length of time may come to: what is too much is 1<<31 s
// (RFC 9111 section 1.2.2).
const longest = (1<<31 + 1) * time.Second

// FuzzControl reads Cache-Control: no length is negative or too much, capitals do not
// matter, and nothing in a field hides a no-store that comes after it.
func FuzzControl(f *testing.F) {
	for _, s := range []string{
		"max-age=60, public", `private="a, b", max-age=99999999999999999999`, `max-age="60`, "max-age=-1", "MAX-AGE=1, max-age=2", `no-cache="x\"`,
		"s-maxage=1;max-stale", "max-stale, min-fresh=0x10", "stale-while-revalidate=1 , stale-if-error = 2", `ext="\`, ",,=,\"\",",
	} {
		f.Add(s, "no-transform")
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		d := parseControl([]string{first, second})
		for name, v := range map[string]time.Duration{
			"max-age": d.maxAge, "s-maxage": d.sMaxAge, "min-fresh": d.minFresh, "stale-while-revalidate": d.staleWhile, "stale-if-error": d.staleIfError,
		} {
			if v != unset && (v < 0 || v > longest) {
				t.Errorf("%q: %s is %v", first, name, v)
			}
		}
		if ascii(first) && ascii(second) && parseControl([]string{strings.ToUpper(first), strings.ToLower(second)}) != d {
			t.Errorf("%q: it is another one in capitals", first)
		}
		if more := parseControl([]string{first + ", no-store", second}); !more.noStore {
			t.Errorf("%q hides what comes after it", first)
		}
		// What says more about the age is never fresh for longer.
		if less := parseControl([]string{first, second, "max-age=0"}); less.maxAge != 0 {
			t.Errorf("%q: max-age is %v after max-age=0", first, less.maxAge)
		}
	})
}

// FuzzTargeted reads CDN-Cache-Control: what parses has no nonsense in it, and what
// follows a comma counts.
func FuzzTargeted(f *testing.F) {
	for _, s := range []string{
		"max-age=60", "max-age=60, no-store=?0", "a=(1 2.5 \"x\");q=1, public", "no-store,", "a=:YQ==:, max-age=1;p", `x="\"", private`, "MAX-AGE=1", "a=1.", "a=?2", "*a-._1=*t/:", "(", "a=(", "a;", "a=-",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, ok := parseTargeted(s)
		for _, v := range []time.Duration{d.maxAge, d.sMaxAge, d.staleWhile, d.staleIfError} {
			if v != unset && (v < 0 || v > longest) {
				t.Errorf("%q: %v", s, v)
			}
		}
		if !ok && d != none {
			t.Errorf("%q is malformed and says %+v", s, d)
		}
		if more, fine := parseTargeted(s + ", no-store"); ok && (!fine || !more.noStore) {
			t.Errorf("%q hides what comes after it", s)
		}
	})
}

// FuzzDate reads dates: what is one is written the same way again.
func FuzzDate(f *testing.F) {
	for _, s := range []string{
		"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 1994 08:49:37.1 GMT", "Sunday, 29-Feb-00 08:49:37 GMT", "", ",", "Sun,", "Mon ",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		at, ok := date(s)
		if !ok {
			return
		}
		_, rest, _ := strings.Cut(s, " ")
		for _, layout := range []string{http.TimeFormat, rfc850, time.ANSIC} {
			if _, again, _ := strings.Cut(at.Format(layout), " "); again == rest {
				return
			}
		}
		t.Errorf("%q is read as %v", s, at)
	})
}

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}

// FuzzStored judges responses and validates what is stored: what must not be stored is
// not, ages and lifetimes are no nonsense, and what was stored is for the request that
// it came for.
func FuzzStored(f *testing.F) {
	for _, s := range []struct {
		status                                                 int
		control, request, vary, date, age, expires, mod, field string
		authorized                                             bool
	}{
		{200, "max-age=60", "", "Accept-Encoding", "Sun, 22 Nov 2026 10:00:00 GMT", "5", "", "", "gzip", false},
		{200, "private", "no-store", "*", "", "", "0", "", "", true},
		{200, "public", "", "A, *", "Sun, 22 Nov 2026 10:00:00 GMT", "", "Sun, 22 Nov 2026 11:00:00 GMT", "", "", true},
		// Times that are too far apart for a time.Duration.
		{200, "", "", "", "Sun, 22 Nov 2026 10:00:00 GMT", "", "Sat, 01 Jan 0001 00:00:00 GMT", "", "", false},
		{200, "max-age=60", "", "", "Sat, 01 Jan 0001 00:00:00 GMT", "", "", "", "", false},
		{404, "", "", "", "Fri, 31 Dec 9999 23:59:59 GMT", "", "", "Sat, 01 Jan 0001 00:00:00 GMT", "", false},
		{200, "max-age=99999999999", "", "", "", "99999999999", "", "", "", false},
		{206, "max-age=60", "", "", "", "", "", "", "", false},
		{599, "must-understand, no-store, max-age=1", "", "", "", "", "", "", "", false},
	} {
		f.Add(s.status, s.control, s.request, s.vary, s.date, s.age, s.expires, s.mod, s.field, s.authorized, false, `"tag"`)
	}
	received := time.Date(2026, 11, 22, 10, 0, 1, 0, time.UTC)
	f.Fuzz(func(t *testing.T, status int, control, wants, vary, date, age, expires, modified, value string, authorized, cookie bool, tag string) {
		r := response{status: status, header: http.Header{}, asked: received.Add(-time.Second), received: received}
		for name, v := range map[string]string{
			"Cache-Control": control, "Vary": vary, "Date": date, "Age": age, "Expires": expires, "Last-Modified": modified, "Etag": tag,
		} {
			if v != "" {
				r.header.Set(name, v)
			}
		}
		if cookie {
			r.header.Set("Set-Cookie", "a=b")
		}
		asked := parseControl([]string{wants})
		field := func(name string) string { return value + name }
		e := newEntry(r, request{asked, authorized, "edge", field}, &app.Caching{})
		if e == nil {
			return
		}
		said := parseControl([]string{control})
		switch {
		case cookie, said.private, asked.noStore, strings.Contains(","+vary+",", ",*,"), status < 200, status == 206, status == 304,
			said.noStore && !said.mustUnderstand, authorized && !said.public && !said.mustRevalidate && said.sMaxAge == unset:
			t.Fatalf("%d %v was stored (authorized %v, request %q)", status, r.header, authorized, wants)
		}
		if e.variant != variant("edge", e.vary, field) || !slices.IsSorted(e.vary) || e.cost() <= 0 {
			t.Errorf("%v is not for its own request", r.header)
		}
		check := func(e *entry, from time.Time) {
			t.Helper()
			last := e.age(from)
			if last < 0 || e.lifetime < 0 || e.lifetime > longest && said.maxAge == unset && said.sMaxAge == unset && expires == "" {
				t.Errorf("%v: it has the age %v and is fresh for %v", r.header, last, e.lifetime)
			}
			// It gets older, and once it is stale it stays so.
			stale := e.staleness(from) >= 0
			for _, later := range []time.Duration{time.Second, time.Hour, 100 * 365 * 24 * time.Hour} {
				now := e.age(from.Add(later))
				if now < last || now < later && e.initial >= 0 && from == e.received {
					t.Errorf("%v: %v later it has the age %v", r.header, later, now)
				}
				if stale && e.staleness(from.Add(later)) < 0 {
					t.Errorf("%v: it is fresh again after %v", r.header, later)
				}
				last, stale = now, stale || e.staleness(from.Add(later)) >= 0
			}
			if said.maxAge == 0 && said.sMaxAge == unset && e.staleness(from) < 0 {
				t.Errorf("%v: it is fresh", r.header)
			}
		}
		check(e, received)
		// A 304 says the same again, and more: the body's tag stays, cookies are not kept.
		again := response{status: 304, header: r.header.Clone(), asked: received.Add(time.Hour), received: received.Add(time.Hour)}
		again.header.Set("Set-Cookie", "c=d")
		again.header.Set("Etag", `"another"`)
		if fresh := e.freshen(again, &app.Caching{}); fresh != nil {
			check(fresh, again.received)
			if fresh.header.Get("Etag") != e.header.Get("Etag") || len(fresh.header["Set-Cookie"]) > 0 || fresh.variant != e.variant || fresh.status != e.status {
				t.Errorf("%v became %v", e.header, fresh.header)
			}
		} else if !authorized && !asked.noStore {
			t.Errorf("%v cannot be validated by its own fields", e.header)
		}
		if tag != "" && e.notModified(`"other"`, "") && tag != `"other"` && strings.TrimPrefix(tag, "W/") != `"other"` {
			t.Errorf("%q is %q", `"other"`, tag)
		}
		e.notModified(value, modified)
	})
}
