package wire

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRequestHeadRefused(t *testing.T) {
	lim := Limits{Head: 1024, Target: 64, Fields: 8}
	fields := func(s string) string { return "POST /u HTTP/1.1\r\nHost: a\r\n" + s + "\r\n" }
	for name, c := range map[string]struct {
		head   string
		status int
		reason string
	}{
		"length and coding":          {fields("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"), 400, "both Content-Length"},
		"coding and length":          {fields("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"), 400, "both Content-Length"},
		"differing lengths":          {fields("Content-Length: 3\r\nContent-Length: 4\r\n"), 400, "differing Content-Length"},
		"list of differing lengths":  {fields("Content-Length: 3, 4\r\n"), 400, "differing Content-Length"},
		"list with an empty element": {fields("Content-Length: 3,\r\n"), 400, "malformed Content-Length"},
		"length with plus":           {fields("Content-Length: +3\r\n"), 400, "malformed Content-Length"},
		"length with minus":          {fields("Content-Length: -3\r\n"), 400, "malformed Content-Length"},
		"length with space":          {fields("Content-Length: 3 0\r\n"), 400, "malformed Content-Length"},
		"length in hex":              {fields("Content-Length: 0x3\r\n"), 400, "malformed Content-Length"},
		"length that overflows":      {fields("Content-Length: 9999999999999999999\r\n"), 400, "malformed Content-Length"},
		"empty length":               {fields("Content-Length:\r\n"), 400, "malformed Content-Length"},
		"gzip":                       {fields("Transfer-Encoding: gzip\r\n"), 501, "unknown"},
		"gzip, chunked":              {fields("Transfer-Encoding: gzip, chunked\r\n"), 501, "unknown"},
		"chunked, gzip":              {fields("Transfer-Encoding: chunked, gzip\r\n"), 400, "other than chunked"},
		"chunked twice":              {fields("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400, "other than chunked"},
		"chunked, chunked":           {fields("Transfer-Encoding: chunked, chunked\r\n"), 400, "other than chunked"},
		"chunked with a parameter":   {fields("Transfer-Encoding: chunked;q=1\r\n"), 400, "other than chunked"},
		"xchunked":                   {fields("Transfer-Encoding: xchunked\r\n"), 501, "unknown"},
		"empty coding":               {fields("Transfer-Encoding:\r\n"), 400, "other than chunked"},
		"identity":                   {fields("Transfer-Encoding: identity\r\n"), 501, "unknown"},
		"coding after VT":            {fields("Transfer-Encoding: \vchunked\r\n"), 400, "control character"},
		"coding in HTTP/1.0":         {"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "HTTP/1.0"},
		"space before the colon":     {fields("X : y\r\n"), 400, "before the colon"},
		"tab before the colon":       {fields("X\t: y\r\n"), 400, "before the colon"},
		"obs-fold":                   {fields("X: y\r\n z\r\n"), 400, "folded"},
		"obs-fold with tab":          {fields("X: y\r\n\tz\r\n"), 400, "folded"},
		"space before first field":   {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, "folded"},
		"bare CR in a value":         {fields("X: y\rz\r\n"), 400, "control character"},
		"bare CR before CRLF":        {fields("X: y\r\r\n"), 400, "control character"},
		"bare LF after a field":      {"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400, "bare LF"},
		"bare LF after the line":     {"GET / HTTP/1.1\nHost: a\r\n\r\n", 400, "bare LF"},
		"bare LF at the end":         {"GET / HTTP/1.1\r\nHost: a\r\n\n", 400, "bare LF"},
		"bare LF first":              {"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bare LF"},
		"NUL in a value":             {fields("X: y\x00z\r\n"), 400, "control character"},
		"DEL in a value":             {fields("X: y\x7fz\r\n"), 400, "control character"},
		"ESC far into a value":       {fields("X: 0123456789abcdef\x1b\r\n"), 400, "control character"},
		"no colon":                   {fields("X\r\n"), 400, "malformed field name"},
		"no name":                    {fields(": y\r\n"), 400, "malformed field name"},
		"name with UTF-8":            {fields("X\xc3\xa9: y\r\n"), 400, "malformed field name"},
		"name with a slash":          {fields("X/Y: y\r\n"), 400, "malformed field name"},
		"NUL in a name":              {fields("X\x00: y\r\n"), 400, "malformed field name"},
		"control in the target":      {"GET /a\x01 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
		"NUL in the target":          {"GET /a\x00 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
		"tab in the target":          {"GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
		"CR in the target":           {"GET /a\rb HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
		"space in the target":        {"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
		"two spaces":                 {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
		"fragment in the target":     {"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
		"DEL in the target":          {"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
		"relative target":            {"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
		"star of GET":                {"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
		"other scheme":               {"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
		"user in the target":         {"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
		"no authority":               {"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"},
		"control in the method":      {"G\x01T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "method"},
		"colon in the method":        {"G:T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "method"},
		"long method":                {strings.Repeat("M", 33) + " / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "method"},
		"no method":                  {" / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request line"},
		"no target":                  {"GET HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request line"},
		"HTTP/0.9":                   {"GET /\r\nHost: a\r\n\r\n", 400, "request line"},
		"lower-case http":            {"GET / http/1.1\r\nHost: a\r\n\r\n", 400, "request line"},
		"space after the version":    {"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400, "request line"},
		"long version":               {"GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400, "request line"},
		"no host":                    {"GET / HTTP/1.1\r\n\r\n", 400, "no Host"},
		"two hosts":                  {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "more than one Host"},
		"two hosts in HTTP/1.0":      {"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400, "more than one Host"},
		"empty host":                 {"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, "malformed Host"},
		"host with a slash":          {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "malformed Host"},
		"host with a user":           {"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, "malformed Host"},
		"host list":                  {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "malformed Host"},
		"absolute-form without host": {"GET http://b/ HTTP/1.1\r\n\r\n", 400, "no Host"},
		"other expectation":          {fields("Expect: coffee\r\nContent-Length: 3\r\n"), 417, "expectation"},
		"CONNECT":                    {"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 501, "CONNECT"},
		"HTTP/2 preface":             {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "version"},
		"HTTP/2.0":                   {"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "version"},
		"HTTP/0.9 spelt out":         {"GET / HTTP/0.9\r\n\r\n", 505, "version"},
		"long target":                {"GET /" + strings.Repeat("a", 64) + " HTTP/1.1\r\nHost: a\r\n\r\n", 414, "target too long"},
		"target without an end":      {"GET /" + strings.Repeat("a", 200), 414, "target too long"},
		"large head":                 {fields("X: " + strings.Repeat("y", 1024) + "\r\n"), 431, "head too large"},
		"head without an end":        {"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("y", 1024), 431, "head too large"},
		"many fields":                {fields(strings.Repeat("X: y\r\n", 8)), 431, "too many fields"},
	} {
		t.Run(name, func(t *testing.T) {
			var h RequestHead
			_, err := h.Parse([]byte(c.head), &lim)
			if err == nil || err.Status != c.status || !strings.Contains(err.Reason, c.reason) {
				t.Errorf("%q\ngave %v, not %d ...%s...", c.head, err, c.status, c.reason)
			}
		})
	}
}

// view is what a test says of a head that is taken; what it does not say is zero,
// and the length then is none.
type view struct {
	Method, Target, Path, Query, Host, Upgrade string

	Minor                                        int
	HasQuery, Chunked, Close, Continue, Trailers bool
	Length                                       int64
	Hop                                          string // names marked as hop-by-hop
}

func viewOf(h *RequestHead) view {
	v := view{
		Method: string(h.Method), Target: string(h.Target), Path: string(h.Path), Query: string(h.Query), Host: string(h.Host),
		Upgrade: string(h.Upgrade), Minor: h.Minor, HasQuery: h.HasQuery, Chunked: h.Chunked, Close: h.Close,
		Continue: h.Continue, Trailers: h.Trailers, Length: max(h.Length, 0),
	}
	var hop []string
	for _, f := range h.Fields {
		if f.Kind == Hop {
			hop = append(hop, string(f.Name))
		}
	}
	v.Hop = strings.Join(hop, " ")
	return v
}

func TestRequestHeadTaken(t *testing.T) {
	get := func(fields string) string { return "GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" }
	base := view{Method: "GET", Target: "/", Path: "/", Host: "a", Minor: 1}
	but := func(f func(*view)) view { v := base; f(&v); return v }
	for name, c := range map[string]struct {
		head string
		want view
	}{
		"plain":                    {get(""), base},
		"an empty line first":      {"\r\n" + get(""), base},
		"value of nothing":         {get("X:\r\nY: \t\r\n"), base},
		"HTAB and obs-text inside": {get("X: a\tb \xe9\xff\r\n"), base},
		"other method":             {"M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n", but(func(v *view) { v.Method = "M-SEARCH" })},
		"lower-case method":        {"connect / HTTP/1.1\r\nHost: a\r\n\r\n", but(func(v *view) { v.Method = "connect" })},
		"query":                    {"GET /x?y?z HTTP/1.1\r\nHost: a\r\n\r\n", but(func(v *view) { v.Target, v.Path, v.Query, v.HasQuery = "/x?y?z", "/x", "y?z", true })},
		"empty query":              {"GET /? HTTP/1.1\r\nHost: a\r\n\r\n", but(func(v *view) { v.Target, v.HasQuery = "/?", true })},
		"odd bytes in the target":  {"GET //%zz/..;/\"<>\\^`{|}\xe9 HTTP/1.1\r\nHost: a\r\n\r\n", but(func(v *view) { v.Target = "//%zz/..;/\"<>\\^`{|}\xe9"; v.Path = v.Target })},
		"host in HTTP/1.0":         {"GET / HTTP/1.0\r\nHost: a\r\n\r\n", but(func(v *view) { v.Minor, v.Close = 0, true })},
		"no host in HTTP/1.0":      {"GET / HTTP/1.0\r\n\r\n", but(func(v *view) { v.Minor, v.Close, v.Host = 0, true, "" })},
		"keep-alive in HTTP/1.0":   {"GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n", but(func(v *view) { v.Minor = 0 })},
		"expect in HTTP/1.0":       {"POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 1\r\nExpect: x\r\n\r\n", but(func(v *view) { v.Method, v.Minor, v.Close, v.Length = "POST", 0, true, 1 })},
		"upgrade in HTTP/1.0":      {"GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", but(func(v *view) { v.Minor, v.Close = 0, true })},
		"absolute-form":            {"GET HTTP://A:80/x?y HTTP/1.1\r\nHost: a:80\r\n\r\n", but(func(v *view) { v.Target, v.Path, v.Query, v.HasQuery, v.Host = "/x?y", "/x", "y", true, "A:80" })},
		"absolute-form, no path":   {"GET https://a HTTP/1.1\r\nHost: a\r\n\r\n", base},
		"absolute-form, query":     {"GET http://a?y HTTP/1.1\r\nHost: a\r\n\r\n", but(func(v *view) { v.Target, v.Query, v.HasQuery = "/?y", "y", true })},
		"OPTIONS *":                {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", but(func(v *view) { v.Method, v.Target, v.Path = "OPTIONS", "*", "*" })},
		"OPTIONS of a host":        {"OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n", but(func(v *view) { v.Method, v.Target, v.Path = "OPTIONS", "*", "*" })},
		"length":                   {get("Content-Length: 0042\r\n"), but(func(v *view) { v.Length = 42 })},
		"equal lengths":            {get("Content-Length: 42\r\ncontent-length: 42 , 42\r\n"), but(func(v *view) { v.Length = 42 })},
		"chunked":                  {get("transfer-encoding: \tCHUNKED \r\n"), but(func(v *view) { v.Chunked = true })},
		"close":                    {get("Connection: keep-alive, CLOSE\r\n"), but(func(v *view) { v.Close = true })},
		"close in a second field":  {get("Connection: keep-alive\r\nConnection: ,close,\r\n"), but(func(v *view) { v.Close = true })},
		"not close":                {get("Connection: closed\r\nX: close\r\n"), base},
		"upgrade":                  {get("Upgrade: WebSocket\r\nConnection: keep-alive, UPGRADE\r\n"), but(func(v *view) { v.Upgrade = "WebSocket" })},
		"upgrade not in force":     {get("Upgrade: websocket\r\nConnection: keep-alive\r\n"), base},
		"upgrade after a body":     {get("Upgrade: x\r\nConnection: upgrade\r\nContent-Length: 3\r\n"), but(func(v *view) { v.Length = 3 })},
		"expect":                   {get("Expect: 100-Continue\r\nContent-Length: 3\r\n"), but(func(v *view) { v.Length, v.Continue = 3, true })},
		"expect without a body":    {get("Expect: 100-continue\r\n"), base},
		"TE":                       {get("TE: deflate, Trailers\r\nConnection: TE\r\n"), but(func(v *view) { v.Trailers = true })},
		"named by Connection":      {get("X-A: 1\r\nConnection: x-a, X-B\r\nx-b: 2\r\nX-C: 3\r\nKeep-Alive: 5\r\nProxy-Authorization: x\r\n"), but(func(v *view) { v.Hop = "X-A x-b Keep-Alive Proxy-Authorization" })},
		"framing named by it":      {get("Content-Length: 3\r\nConnection: content-length, host, x-real-ip\r\nX-Real-Ip: 1\r\n"), but(func(v *view) { v.Length = 3 })},
	} {
		t.Run(name, func(t *testing.T) {
			var h RequestHead
			// What was in the head before must not show.
			if _, err := h.Parse([]byte("POST /old?q HTTP/1.0\r\nContent-Length: 9\r\nHost: old\r\nTE: trailers\r\nX-Forwarded-For: x\r\n\r\n"), &DefaultLimits); err != nil {
				t.Fatal(err)
			}
			in := c.head + "GET /next HTTP/1.1\r\n"
			n, err := h.Parse([]byte(in), &DefaultLimits)
			if err != nil || n != len(c.head) {
				t.Fatalf("%q\ngave %d of %d bytes, %v", c.head, n, len(c.head), err)
			}
			if diff := cmp.Diff(c.want, viewOf(&h)); diff != "" {
				t.Errorf("%q (-want +got):\n%s", c.head, diff)
			}
		})
	}
}

func TestHosts(t *testing.T) {
	for host, want := range map[string]bool{
		"a": true, "A.b-c.example": true, "a_b.example": true, "a.": true, "10.0.0.1": true, "a:80": true, "a:": true, "a:00080": true,
		"[::1]": true, "[::1]:8080": true, "[::ffff:1.2.3.4]": true, "xn--4ca": true, "sub!$&'()*+,;=": true,
		"": false, ":80": false, "a:b": false, "a:123456": false, "a:80:80": false, "a b": false, "a/b": false, "a@b": false, "a?": false,
		"a%41": false, "\xc3\xa9": false, "[]": false, "[::1": false, "[::1]a": false, "[1.2.3.4]": false, "[fe80::1%25eth0]": false,
		"[:::]": false, "[v1.x]": false, "a\\b": false, "\"a\"": false, strings.Repeat("a", 300): false,
	} {
		if got := validHost([]byte(host)); got != want {
			t.Errorf("validHost(%q) = %v", host, got)
		}
	}
}

func TestHeadIsFoundAgain(t *testing.T) {
	var h RequestHead
	if _, err := h.Parse([]byte("GET / HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nx-one: 2\r\n\r\n"), &DefaultLimits); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"x-one": "1", "host": "a", "x-two": ""} {
		if got := string(h.Get(name)); got != want {
			t.Errorf("Get(%q) = %q, not %q", name, got, want)
		}
	}
	if got := string(h.GetAnyCase("X-ONE")); got != "1" {
		t.Errorf("GetAnyCase gave %q", got)
	}
	if !strings.HasPrefix(string(h.Raw), "GET / ") || !strings.HasSuffix(string(h.Raw), "\r\n\r\n") {
		t.Errorf("Raw is %q", h.Raw)
	}
}
