package router

import (
	"strings"
	"testing"
)

type rawAttributes struct {
	testAttributes
	raw string
}

func (a *rawAttributes) RawPath() []byte { return []byte(a.raw) }

// TestReadings: no way to write a path leads past a protected prefix, whoever
// reads it, and what all read alike passes.
func TestReadings(t *testing.T) {
	for _, prefix := range []string{"/admin", "/in/admin"} {
		table, _ := Build([]*Entry{exact("open", "h", "/"), exact("public", "h", "/public"), exact("guarded", "h", prefix)}, nil)
		app := func(raw string) string {
			normal, err := NormalizePath(nil, []byte(raw))
			if err != nil {
				return "refused"
			}
			e := table.Match([]byte("h"), normal, &rawAttributes{raw: raw})
			if e == Ambiguous {
				return "refused"
			}
			return e.App
		}
		p := prefix[1:]
		last := p[strings.LastIndexByte(p, '/')+1:]
		for _, raw := range []string{
			"/;%2Fb/" + p, "/;%2fb/" + p + "/x", "/;x%2F../" + p, "/x;%2Fy/../" + p, "/;/" + p, "/" + p + ";a=b", "/" + p + ";a=b/x",
			"/%2F" + p, "/%5C" + p, "/%5c" + p + "%5cx", "/" + p + "%2Fx", "/" + p + "%252Fx", "/%252F" + p, "/%252f..%252f" + p, "/public/%252e%252e/" + p,
			"/%25%36%31" + "/../" + strings.Replace(p, "a", "%2561", 1), "/" + strings.Replace(p, "a", "%252561", 1),
			"/public//../" + p, "/public/..;/" + p, "/public/..%2F" + p, "/public/..%5C" + p, "/public/%2e%2e%2f" + p, "/public;x/%2e%2e;/" + p,
			"//b/" + p, "//public/" + p, "///b/" + p + "/x",
			"/" + p + ".", "/" + p + "./x", "/" + p + "%20", "/" + p + "%20/x", "/" + p + "::$DATA", "/" + p + ":$i30:$INDEX_ALLOCATION/x", "/(S(x))/" + p, "/(A(b)F(c))/" + p + "/x",
			"/" + strings.ToUpper(p), "/" + strings.Replace(p, "admin", "Admin", 1) + "/x", "/" + strings.ToUpper(p) + ";x", "/%41dmin/../" + strings.Replace(p, "a", "%41", 1),
			"/index.php/" + p, "/x.cgi/" + p + "/y", "/index.PHP/" + p, "/" + p + "%3Fx", "/" + p + "%3f/x",
			"/%c0%af" + p, "/public/%c0%ae%c0%ae/" + p, "/" + strings.Replace(p, last, "%e0%81%a1"+last[1:], 1), "/%ef%bc%8f" + p, "/" + strings.Replace(p, last, "a%ffdmin", 1),
			"/" + strings.Replace(p, last, "%ef%bd%81"+last[1:], 1), "/%u002f" + p, "/%u0061dmin", "/%00/" + p, "/" + p + "%00", "/\\" + p,
		} {
			if got := app(raw); got == "open" || got == "public" {
				t.Errorf("%s protected: %s is taken by %s", prefix, raw, got)
			}
		}
		for raw, want := range map[string]string{
			"/": "open", "/a/b.js": "open", "/%C3%A9t%C3%A9": "open", "/a%20b": "open", "/page;jsessionid=1": "open", "/v1/things:run": "open", "/a%2Fb": "open",
			"/public/a%2Fb;x=y": "public", "/100%25": "open", "/assets/index-BxY12.js": "open", "/index.php/archive": "open", "/public/index.php/x": "public",
			"//a//b": "open", prefix: "guarded", prefix + "/x;y=z": "guarded", prefix + "/a%2Fb": "guarded", "/wiki/A_(b)": "open", "/%E9": "open",
		} {
			if got := app(raw); got != want {
				t.Errorf("%s protected: %s is taken by %s, not %s", prefix, raw, got, want)
			}
		}
	}
}
