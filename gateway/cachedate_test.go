package gateway

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// TestDateStays: the Date of a stored response is that of its origin, or of when
// it came; a validation brings another one.
func TestDateStays(t *testing.T) {
	b := newCacheBed(t, map[string]any{})
	then := time.Now().Add(-100 * time.Second).UTC().Format(http.TimeFormat)
	b.answer(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil
		if r.URL.Path != "/none" {
			w.Header().Set("Date", then)
		}
		w.Header().Set("Cache-Control", "max-age=3600")
		fmt.Fprint(w, "body")
	})
	for _, path := range []string{"/dated", "/none"} {
		first, _, _ := b.ask("GET", path)
		second, _, asked := b.ask("GET", path)
		if got := second.Header.Get("Date"); asked || got == "" || got != first.Header.Get("Date") || (got == then) != (path == "/dated") || len(second.Header.Values("Date")) != 1 {
			t.Errorf("%s: Date %q and then %q, asked %v", path, first.Header.Get("Date"), got, asked)
		}
	}
	if resp, _, _ := b.ask("GET", "/dated"); resp.Header.Get("Age") < "100" {
		t.Errorf("Age %s of a response of %s", resp.Header.Get("Age"), then)
	}
	// An Expires before the Date is in the past, wherever the origin's clock is.
	b.answer(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().Add(400*time.Second).UTC().Format(http.TimeFormat))
		w.Header().Set("Expires", time.Now().Add(300*time.Second).UTC().Format(http.TimeFormat))
		fmt.Fprint(w, "body")
	})
	for range 2 {
		if _, _, asked := b.ask("GET", "/expired"); !asked {
			t.Error("a response that had expired was used")
		}
	}
}
