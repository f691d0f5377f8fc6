package admin

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"slices"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/certs"
	"edgerouter/discovery"
	"edgerouter/gateway"
)

// maxRows bounds each table of the page; the API has the rest.
const maxRows = 200

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string
)

// page is the template and the policy that allows its own style and script and
// nothing else: no other host, no other script, no frame.
type page struct {
	html   *template.Template
	policy string
}

func newPage() *page {
	return &page{
		html: template.Must(template.New("page").Parse(pageHTML)),
		policy: "default-src 'none'; style-src " + sourceHash(pageCSS) + "; script-src " + sourceHash(pageJS) +
			"; connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
	}
}

// sourceHash is how a policy names an inline style or script (CSP Level 3 section 2.3.1).
func sourceHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// What the template shows. Class is the style of a state.
type (
	pageData struct {
		CSS        template.CSS
		JS         template.JS
		Version    string
		Reasons    []string
		PProf      bool
		Generation uint64
		AppliedAt  string

		Problems     []string
		ProblemCount int
		MoreProblems int

		Query        string
		Total, Found int
		MoreApps     int
		Apps         []pageApp
		Conflicts    []gateway.Conflict
		Peers        []pagePeer
		MorePeers    int
		Sources      []pageSource
		Notes        []string
		Cluster      string
		ClusterClass string
		Nodes        []pageNode
		Certs        []pageCert
		MoreCerts    int
		CertNotes    []string
	}
	pageApp struct {
		App
		Class string
		From  []string // what it was made from
	}
	pagePeer struct {
		Peer
		Class string
	}
	pageSource struct {
		discovery.Status
		Class string
	}
	pageCert struct{ Names, Until, Source, Class string }
)

func (a *Admin) servePage(pprof bool) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		var out bytes.Buffer
		if err := a.page.html.Execute(&out, a.pageData(string(ctx.QueryArgs().Peek("q")), pprof)); err != nil {
			fail(ctx, fasthttp.StatusInternalServerError, "the page could not be made")
			return
		}
		ctx.SetContentType("text/html; charset=utf-8")
		ctx.Response.Header.Set(fasthttp.HeaderContentSecurityPolicy, a.page.policy)
		ctx.SetBody(out.Bytes())
	}
}

func (a *Admin) pageData(query string, pprof bool) pageData {
	s := a.deps.Snapshot()
	d := pageData{
		CSS: template.CSS(pageCSS), JS: template.JS(pageJS), PProf: pprof,
		Version: a.deps.Version, Reasons: a.deps.Ready(),
		Generation: s.Generation, AppliedAt: s.AppliedAt.UTC().Format(time.DateTime + " UTC"),
		Query: query, Total: len(s.Apps),
	}
	sources := a.deps.Sources()
	var problems []app.Problem
	show := func(row App) {
		if row.contains(query) {
			d.Found++
			if len(d.Apps) < maxRows {
				d.Apps = append(d.Apps, pageApp{row, stateClass(string(row.State)), comesFrom(row.Origin)})
			}
		}
	}
	broken := a.unserved(s, sources)
	for _, row := range broken { // first, since that is what one looks for
		show(row)
	}
	d.Total += len(broken)
	for _, one := range s.Apps {
		problems = append(problems, one.Problems...)
		if query == "" && len(d.Apps) == maxRows {
			d.Found++ // what is not shown needs no description
			continue
		}
		show(a.describe(one))
	}
	d.MoreApps = d.Found - len(d.Apps)
	d.Conflicts = s.Conflicts[:min(maxRows, len(s.Conflicts))]

	peers := peerRows(s)
	// The ones that do not work come first.
	slices.SortStableFunc(peers, func(x, y Peer) int { return cmp.Compare(stateRank(x.State), stateRank(y.State)) })
	for _, p := range peers[:min(maxRows, len(peers))] {
		d.Peers = append(d.Peers, pagePeer{p, stateClass(p.State)})
	}
	d.MorePeers = len(peers) - len(d.Peers)

	for _, source := range sources {
		d.Sources = append(d.Sources, pageSource{source, stateClass(string(source.State))})
		problems = append(problems, source.Problems...)
	}
	d.Notes = a.notes()
	d.Cluster, d.ClusterClass, d.Nodes = a.clusterRows()
	list := a.certRows()
	slices.SortStableFunc(list, func(x, y certs.Status) int { return x.NotAfter.Compare(y.NotAfter) })
	for _, c := range list[:min(maxRows, len(list))] {
		d.Certs = append(d.Certs, certRow(c))
	}
	d.MoreCerts = len(list) - len(d.Certs)
	for source, wrong := range a.certProblems() {
		for _, p := range wrong {
			d.CertNotes = append(d.CertNotes, source+": "+p.Error())
		}
	}
	slices.Sort(d.CertNotes)
	d.CertNotes = d.CertNotes[:min(maxRows, len(d.CertNotes))]

	d.Problems = distinct(problems)
	d.ProblemCount = len(d.Problems)
	d.Problems = d.Problems[:min(maxRows, len(d.Problems))]
	d.MoreProblems = d.ProblemCount - len(d.Problems)
	return d
}

func (a *Admin) certRows() []certs.Status {
	if a.deps.Certs == nil {
		return nil
	}
	return a.deps.Certs()
}

// certProblems is never nil, so that it is an object in JSON.
func (a *Admin) certProblems() map[string][]certs.Problem {
	if a.deps.CertProblems == nil {
		return map[string][]certs.Problem{}
	}
	return a.deps.CertProblems()
}

func certRow(c certs.Status) pageCert {
	row := pageCert{
		Names: strings.Join(c.Names, " "), Until: c.NotAfter.UTC().Format(time.DateTime + " UTC"),
		Source: c.Source, Class: "ok",
	}
	row.Until += ", " + c.Left(time.Now())
	switch left := time.Until(c.NotAfter); {
	case c.Expired:
		row.Class = "bad"
	case left < certs.WarnBefore:
		row.Class = "warn"
	}
	return row
}

// contains reports whether the row has the text that is looked for.
func (a App) contains(query string) bool {
	if query == "" {
		return true
	}
	query = strings.ToLower(query)
	has := func(s string) bool { return strings.Contains(strings.ToLower(s), query) }
	return has(a.ID) || has(a.Source) || has(string(a.State)) || slices.ContainsFunc(a.Frontends, has) ||
		a.Origin != nil && has(a.Origin.Name)
}

// distinct tells each problem once: a source and its application both know it.
func distinct(problems []app.Problem) []string {
	seen := make(map[string]bool, len(problems))
	var out []string
	for _, p := range problems {
		if text := p.Error(); !seen[text] {
			seen[text] = true
			out = append(out, text)
		}
	}
	return out
}

// stateClass is the style of a state of an application, a peer or a source.
func stateClass(state string) string {
	switch stateRank(state) {
	case 0:
		return "bad"
	case 1:
		return "warn"
	}
	return "ok"
}

func stateRank(state string) int {
	switch state {
	case "up", "ok", string(gateway.StateRunning):
		return 2
	case "down", "failing", string(gateway.StateBroken):
		return 0
	}
	return 1
}
