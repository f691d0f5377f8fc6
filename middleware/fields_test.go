package middleware

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/valyala/fasthttp"
)

// TestDropFieldKeepsOrder compares with what is left of a list.
func TestDropFieldKeepsOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		req, resp := &fasthttp.RequestHeader{}, &fasthttp.ResponseHeader{}
		want := map[string]string{}
		for i := range r.IntN(12) {
			name, value := fmt.Sprintf("X-%c", 'A'+r.IntN(5)), fmt.Sprint(i)
			req.Add(name, value)
			resp.Add(name, value)
			want[name] += value + "|"
		}
		for range 2 {
			name := fmt.Sprintf("X-%c", 'A'+r.IntN(5))
			delete(want, name)
			dropField(req, name)
			dropField(resp, name)
		}
		for c := 'A'; c <= 'E'; c++ {
			name := "X-" + string(c)
			for _, h := range []fields{req, resp} {
				got := all(h.PeekAll(name))
				if got != "" {
					got += "|"
				}
				if got != want[name] {
					t.Fatalf("%T: %s is %q, want %q", h, name, got, want[name])
				}
			}
		}
	}
}

func TestSetField(t *testing.T) {
	h := &fasthttp.ResponseHeader{}
	for _, f := range []string{"A", "B", "A", "C", "B"} {
		h.Add(f, "old")
	}
	h.Add("Set-Cookie", "a=b")
	h.Add("Set-Cookie", "c=d")
	setField(h, "a", "new")
	setField(h, "C", "new")
	setField(h, "D", "new")
	setField(h, "set-cookie", "e=f")
	for name, want := range map[string]string{"A": "new", "B": "old|old", "C": "new", "D": "new", "Set-Cookie": "e=f"} {
		if got := all(h.PeekAll(name)); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
