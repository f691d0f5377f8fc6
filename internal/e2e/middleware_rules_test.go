package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"edgerouter/app"
)

// TestRules asks a server that has nothing but rules. Each application sends its
// clients to https://ID/.
func TestRules(t *testing.T) {
	type set struct {
		Apps []app.Application `json:"apps"`
	}
	var file set
	for id, rule := range map[string]string{
		"host":   "Host(`a.test`)",
		"shop":   "Host(`a.test`) && PathPrefix(`/shop`)",
		"cart":   "(Host(`a.test`) || Host(`b.test`)) && PathPrefix(`/shop/cart`)",
		"write":  "Host(`a.test`) && PathPrefix(`/api`) && (Method(`POST`) || Method(`PUT`))",
		"beta":   "Host(`a.test`) && Header(`X-Beta`, `yes`) && PathPrefix(`/api`)",
		"agent":  "Host(`a.test`) && HeaderRegexp(`User-Agent`, `(?i)bot`) && !Path(`/robots.txt`)",
		"query":  "Host(`q.test`) && Query(`v`, `2 3`)",
		"queryx": "Host(`q.test`) && QueryRegexp(`v`, `^x+$`) && PathPrefix(`/`)",
		"inside": "Host(`ip.test`) && ClientIP(`192.0.2.0/24`)",
		"sub":    "HostRegexp(`^[a-z]+\\.sub\\.test$`) && PathRegexp(`\\.png$`)",
	} {
		file.Apps = append(file.Apps, app.Application{
			ID:        id,
			Frontends: []app.Frontend{{Kind: app.FrontendRule, Rule: rule, AllowInsecureHTTP: true}},
			Backend:   app.Backend{Kind: app.BackendRedirect, Redirect: &app.RedirectOpts{To: "https://" + id + "/"}},
		})
	}
	text, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	e := newFileEdge(t, string(text), "127.0.0.0/8")
	for request, want := range map[string]string{
		"GET a.test /":                                      "host",
		"GET A.TEST.:80 /x":                                 "host",
		"GET a.test /shop":                                  "shop",
		"GET a.test /shopping":                              "shop", // text, not segments
		"GET a.test /%73hop/a":                              "shop",
		"GET a.test /shop/../x":                             "host",
		"GET a.test /shop/cart":                             "cart",
		"GET b.test /shop/carts":                            "cart",
		"GET b.test /shop":                                  "",
		"POST a.test /api":                                  "write",
		"GET a.test /api":                                   "host",
		"GET a.test /api X-Beta:yes":                        "beta",
		"GET a.test /api x-beta:yes":                        "beta",
		"GET a.test /api X-Beta:yesno":                      "host",
		"PUT a.test /api X-Beta:yes":                        "write", // the longest goes first
		"GET a.test /a User-Agent:GoodBot":                  "agent",
		"GET a.test /robots.txt User-Agent:GoodBot":         "host",
		"GET q.test /?a&v=2%203":                            "query",
		"GET q.test /?v=2+3":                                "query",
		"GET q.test /?v=xx":                                 "queryx",
		"GET q.test /?v=xy":                                 "",
		"GET ip.test /":                                     "",
		"GET ip.test / X-Forwarded-For:192.0.2.9":           "inside",
		"GET ip.test / X-Forwarded-For:192.0.2.9,192.0.3.1": "",
		"GET x.sub.test /a.png":                             "sub",
		"GET x.y.sub.test /a.png":                           "",
	} {
		part := strings.Split(request, " ")
		c := e.dial()
		c.send(part[0] + " " + part[2] + " HTTP/1.1\r\nHost: " + part[1] + "\r\n" + strings.Join(append(part[3:], ""), "\r\n") + "\r\n")
		resp, _ := c.response(part[0])
		got := strings.Trim(strings.TrimPrefix(resp.Header.Get("Location"), "https:"), "/")
		if got != want || want == "" && resp.StatusCode != 404 {
			t.Errorf("%s: %d %q, want %q", request, resp.StatusCode, got, want)
		}
	}
}
