package admin

import (
	"strings"
	"testing"
)

func TestParseQuestion(t *testing.T) {
	for _, c := range []struct {
		url, method string
		headers     []string
		want        string // of the question, or of the error
	}{
		{"http://a.example/x?y", "", nil, "GET http://a.example/x?y"},
		{"a.example", "post", nil, "POST http://a.example"},
		{"a.example:8080/x", "M-SEARCH", []string{"X-A: b ", "X-B:"}, "M-SEARCH http://a.example:8080/x X-A=b X-B="},
		{"https://[::1]:8443/", "", nil, "GET https://[::1]:8443/"},
		{"", "", nil, "the URL is missing; ask for example for http://example.com/path"},
		{"http://", "", nil, `URL "http://": the host is missing`},
		{"http:///x", "", nil, `URL "http:///x": the host is missing`},
		{"http://:80/x", "", nil, `URL "http://:80/x": the host is missing`},
		{"ws://a.example", "", nil, `URL "ws://a.example": the scheme "ws" is neither http nor https`},
		{"http://a b/", "", nil, `URL "http://a b/": invalid character " " in host name`},
		{"http://a.example/%zz", "", nil, `URL "http://a.example/%zz": invalid URL escape "%zz"`},
		{"a.example", "G T", nil, `method "G T": want a name such as GET`},
		{"a.example", "", []string{"X-A"}, `header "X-A": want NAME:VALUE`},
		{"a.example", "", []string{"X A: b"}, `header "X A: b": want NAME:VALUE`},
		{"a.example", "", []string{"X-A: b\r\nX-B: c"}, `header "X-A: b\r\nX-B: c": want NAME:VALUE`},
	} {
		q, err := ParseQuestion(c.url, c.method, c.headers)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = q.Method + " " + q.URL.String()
			for _, h := range q.Headers {
				got += " " + h.Name + "=" + h.Value
			}
		}
		if got != c.want {
			t.Errorf("%q %q %q: %s, want %s", c.url, c.method, c.headers, got, c.want)
		}
	}
}

func TestExplain(t *testing.T) {
	g := newGateway(t)
	apply(t, g, applications)
	s := g.Snapshot()
	for _, c := range []struct{ url, app, claim, peer, answer, steps string }{
		{"http://shop.example.com:8080/", "shop", "shop.example.com/", "http://10.0.0.1:8080, the only one of 2 that is up", "",
			"Host becomes the one of the peer|X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, X-Real-Ip and X-Request-Id are set|the query is removed|headers_to_origin: X-A, X-B set"},
		{"http://SHOP.example.com/files/a%21?b", "shop", "shop.example.com/files/", "", "", "strip_path_prefix /files/: the backend gets /a%21?b and X-Forwarded-Prefix"},
		{"https://other.example.com/", "private", "*.example.com/", "https://10.0.0.3, the only one of 1 that is up", "",
			"auth_v0: 401 without the bearer token; Authorization is removed|Host stays the client's"},
		{"http://other.example.com/", "private", "*.example.com/", "", "307 to the same URL with https", "plain HTTP is sent to https, because allow_insecure_http is not set"},
		{"https://later.example.com/", "later", "later.example.com/", "", "503 because of: ", ""},
		{"http://nobody.example/", "", "", "", "404 no website for hostname: nobody.example", ""},
		{"http://shop.example.com/%00", "", "", "", "400 the path of the request is malformed: ", ""},
	} {
		q, err := ParseQuestion(c.url, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		e := Explain(s, q)
		app, claim := "", ""
		if e.Winner != nil {
			app, claim = e.Winner.App, e.Winner.Claim
			if e.Winner.Reason == "" || e.Winner.Source != "file" {
				t.Errorf("%s: winner %+v", c.url, e.Winner)
			}
		}
		steps := strings.Join(e.Steps, "|")
		if app != c.app || claim != c.claim || !strings.HasPrefix(e.Answer, c.answer) || (c.answer == "") != (e.Answer == "") ||
			!strings.HasPrefix(steps, c.steps) || c.peer != "" && e.Peer != c.peer {
			t.Errorf("%s:\n got %s, %s, peer %q, answer %q, steps %q\nwant %+v", c.url, app, claim, e.Peer, e.Answer, steps, c)
		}
	}
	q, _ := ParseQuestion("http://shop.example.com/files/x", "", nil)
	losers := ""
	for _, l := range Explain(s, q).Losers {
		if l.Reason == "" {
			t.Errorf("loser without a reason: %+v", l)
		}
		losers += l.App + " " + l.Claim + "|"
	}
	for _, want := range []string{"shop shop.example.com/|", "private *.example.com/|"} {
		if !strings.Contains(losers, want) {
			t.Errorf("losers %s: no %s", losers, want)
		}
	}
}
