package admin

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"strings"

	"github.com/valyala/fasthttp"
)

// pageFiles are the page's parts. Nothing in them is filled in: what the page
// shows comes over the API, and gets into it as text.
//
//go:embed page
var pageFiles embed.FS

// pageScripts are the parts of the script, in their order.
var pageScripts = [...]string{"dom.js", "format.js", "chart.js", "store.js", "actions.js", "list.js", "overview.js", "apps.js", "app.js", "routes.js", "nodes.js", "more.js", "main.js"}

// page is the document and the policy that allows its own style and script and
// nothing else: no other host, no other script, no frame, and no way to make
// markup of a string (Trusted Types).
type page struct {
	html   []byte
	policy string
}

func newPage() *page {
	var script strings.Builder
	script.WriteString("\"use strict\";(() => {\n")
	for _, name := range pageScripts {
		script.WriteString(pageFile(name))
	}
	script.WriteString("})();\n")
	style := pageFile("page.css")
	return &page{
		html: []byte(strings.NewReplacer("/*STYLE*/", style, "/*SCRIPT*/", script.String()).Replace(pageFile("page.html"))),
		policy: "default-src 'none'; style-src " + sourceHash(style) + "; script-src " + sourceHash(script.String()) +
			"; connect-src 'self'; img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'" +
			"; require-trusted-types-for 'script'; trusted-types 'none'",
	}
}

// pageFile is a part that is there: its name is one of the program's own.
func pageFile(name string) string {
	content, _ := pageFiles.ReadFile("page/" + name)
	return string(content)
}

// sourceHash is how a policy names an inline style or script (CSP Level 3 section 2.3.1).
func sourceHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func (a *Admin) servePage(ctx *fasthttp.RequestCtx) {
	ctx.SetContentType("text/html; charset=utf-8")
	ctx.Response.Header.Set(fasthttp.HeaderContentSecurityPolicy, a.page.policy)
	ctx.SetBody(a.page.html)
}
