package e2e

import (
	"net"
	"net/http"
	"strings"
	"testing"
)

// TestUnknownClient: a client that a trusted proxy names in no way that can be
// read is no address of anybody, least of all the proxy's own.
func TestUnknownClient(t *testing.T) {
	var peer seen
	origin := httpOrigin(t, peer.serve)
	for value, code := range map[string]int{
		"127.0.0.1": 200, "[::1]": 403, "unknown": 403, "127.0.0.1:65536": 403, "[127.0.0.1]": 403, "127.0.0.1, nonsense": 403, "nonsense, 127.0.0.1": 403,
		"127.0.0.1:80": 200, "127.0.0.1, ": 200, "": 200,
	} {
		e := newMiddlewareEdge(t, `[{"kind":"allowed_ips","allowed_ips_opts":{"ranges":["127.0.0.1","0.0.0.0/0"]}}, {"kind":"rate_limit","rate_limit_opts":{"average":100}}]`, origin, "127.0.0.0/8")
		if resp, body := e.ask("GET", "/", "X-Forwarded-For: "+value); resp.StatusCode != code {
			t.Errorf("%q: %d %s, want %d", value, resp.StatusCode, body, code)
		}
	}
}

// TestRulesSeeWhatIsSent: rules go by the fields that the edge will send, and by
// all values of the others.
func TestRulesSeeWhatIsSent(t *testing.T) {
	var peer seen
	origin := httpOrigin(t, peer.serve)
	file := func(rule string) string {
		return `{"apps":[{"id":"app","frontends":[{"kind":"rule","rule":"` + rule + `","allow_insecure_http":true}],
			"backend":{"kind":"peer_set","peer_set_opts":{"addrs":["` + origin + `"]}}}]}`
	}
	for _, tt := range []struct {
		rule, field string
		trusted     []string
		code        int
	}{
		{"Header(`X-Real-Ip`, `10.0.0.1`)", "X-Real-Ip: 10.0.0.1", nil, 404},
		{"Header(`X-Real-Ip`, `127.0.0.1`)", "X-Real-Ip: 10.0.0.1", nil, 200},
		{"HeaderRegexp(`X-Forwarded-For`, `10\\\\.`)", "X-Forwarded-For: 10.0.0.1", nil, 404},
		{"HeaderRegexp(`X-Forwarded-For`, `10\\\\.`)", "X-Forwarded-For: 10.0.0.1", []string{"127.0.0.0/8"}, 200},
		{"Header(`X-Forwarded-Proto`, `https`)", "X-Forwarded-Proto: https", nil, 404},
		{"Header(`X-Forwarded-Host`, `in.test`)", "X-Forwarded-Host: in.test", nil, 404},
		{"Header(`X-Forwarded-Host`, `app.test`)", "X-Forwarded-Host: in.test", nil, 200},
		{"ClientIP(`10.0.0.0/8`)", "X-Forwarded-For: 10.0.0.1", nil, 404},
		{"!ClientIP(`10.0.0.0/8`)", "X-Forwarded-For: nonsense", []string{"127.0.0.0/8"}, 404},
		{"!(PathPrefix(`/x`) || ClientIP(`10.0.0.0/8`))", "X-Forwarded-For: 10.0.0.1, unknown", []string{"127.0.0.0/8"}, 404},
		{"!ClientIP(`10.0.0.0/8`)", "X-Forwarded-For: 10.0.0.1", []string{"127.0.0.0/8"}, 404},
		{"!ClientIP(`10.0.0.0/8`)", "X-Forwarded-For: 192.0.2.1", []string{"127.0.0.0/8"}, 200},
		{"!ClientIP(`10.0.0.0/8`)", "X-Forwarded-For: nonsense", nil, 200},
		{"Header(`X-A`, `2`)", "X-A: 1\r\nX-A: 2", nil, 200},
		{"HeaderRegexp(`X-A`, `^3$`)", "X-A: 1\r\nX-A: 2\r\nx-a: 3", nil, 200},
		{"Header(`X-A`, `3`)", "X-A: 1\r\nX-A: 2", nil, 404},
	} {
		e := newFileEdge(t, file(tt.rule), tt.trusted...)
		if resp, body := e.ask("GET", "/", tt.field); resp.StatusCode != tt.code {
			t.Errorf("%s with %q: %d %s, want %d", tt.rule, tt.field, resp.StatusCode, body, tt.code)
		}
	}
}

// TestInterimGoesByTheRules: what is set on or removed from responses is so on the
// interim ones too.
func TestInterimGoesByTheRules(t *testing.T) {
	origin := rawOrigin(t, func(c net.Conn) {
		buf := make([]byte, 4096)
		if n, _ := c.Read(buf); n > 0 {
			c.Write([]byte("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nX-Powered-By: p\r\nX-Secret: s\r\nServer: x\r\nConnection: X-Hop\r\nX-Hop: 1\r\nTransfer_Encoding: chunked\r\n\r\n" +
				"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"))
		}
	})
	peers := `"backend":{"kind":"peer_set","peer_set_opts":{"addrs":["` + origin + `"],"response_headers":{"remove":["X-Powered-By"],"set":{"X-Frame-Options":"DENY"}}}}`
	for _, middlewares := range []string{"", `{"kind":"headers","headers_opts":{"response":{"X-Secret":"","X-Frame-Options":"SAMEORIGIN"}}}`} {
		e := newFileEdge(t, `{"apps":[{"id":"app","frontends":[{"kind":"path_prefix","path_prefix":"/","allow_insecure_http":true}],"middlewares":[`+middlewares+`],`+peers+`}]}`)
		c := e.dial()
		c.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		var b strings.Builder
		buf := make([]byte, 4096)
		for {
			n, err := c.Read(buf)
			b.Write(buf[:n])
			if err != nil {
				break
			}
		}
		hints, _, _ := strings.Cut(b.String(), "\r\n\r\n")
		for _, not := range []string{"X-Powered-By", "X-Hop", "Transfer", "Connection"} {
			if strings.Contains(hints, not) {
				t.Errorf("%s: the hints have %s: %s", middlewares, not, hints)
			}
		}
		frame := map[bool]string{true: "DENY", false: "SAMEORIGIN"}[middlewares == ""]
		if !strings.HasPrefix(hints, "HTTP/1.1 103 ") || !strings.Contains(hints, "Link: </a>") || strings.Contains(hints, "X-Secret") != (middlewares == "") || !strings.Contains(hints, "X-Frame-Options: "+frame) {
			t.Errorf("%s: %s", middlewares, hints)
		}
	}
}

// TestRequestLines: versions, transfer codings and authorities.
func TestRequestLines(t *testing.T) {
	var peer seen
	e := newMiddlewareEdge(t, `[]`, httpOrigin(t, peer.serve))
	for request, want := range map[string]string{
		"GET / HTTP/1.2\r\nHost: a.test\r\n":                                    "200 a.test",
		"GET / HTTP/1.9\r\nHost: a.test\r\n":                                    "200 a.test",
		"GET / HTTP/2.0\r\nHost: a.test\r\n":                                    "505",
		"GET / HTTP/0.9\r\nHost: a.test\r\n":                                    "505",
		"GET http://a.test:80/ HTTP/1.1\r\nHost: a.test\r\n":                    "200 a.test:80",
		"GET http://b.test/ HTTP/1.1\r\nHost: a.test\r\n":                       "200 b.test",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n":             "501",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n":    "501",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x;q=1\r\n":            "501",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n":    "400",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n": "400",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n":                  "400",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n":      "400",
	} {
		c := e.dial()
		c.send(request + "Connection: close\r\n\r\n")
		resp, _ := c.response(http.MethodPost)
		got := resp.Status[:3]
		if resp.StatusCode == 200 {
			got += " " + peer.request().Host
		}
		if got != want {
			t.Errorf("%q: %s, want %s", request, got, want)
		}
	}
}
