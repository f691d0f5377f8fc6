package admin

import (
	"net/url"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/certs"
	"edgerouter/discovery"
	"edgerouter/gateway"
	"edgerouter/upstream"
)

// AppDetail is the answer of /api/v1/apps/{id}.
type AppDetail struct {
	App
	// Definition is what is served, secrets redacted; nil: no version of it ever was
	// good.
	Definition *app.Application      `json:"definition,omitempty"`
	Peers      []upstream.PeerStatus `json:"peers"`
	Conflicts  []gateway.Conflict    `json:"conflicts"`
	// Caches says that there is a cache that can be purged (option caching).
	Caches bool `json:"caches"`
}

// The answers of the lists of the API.
type (
	AppsAnswer struct {
		Generation uint64    `json:"generation"`
		AppliedAt  time.Time `json:"applied_at"`
		Apps       []App     `json:"apps"`
	}
	PeersAnswer struct {
		Peers []Peer `json:"peers"`
	}
	CertsAnswer struct {
		Certs []certs.Status `json:"certs"`
		// Problems are what is wrong in the sources, by source.
		Problems map[string][]certs.Problem `json:"problems"`
	}
	SourcesAnswer struct {
		Sources []discovery.Status `json:"sources"`
	}
	ConflictsAnswer struct {
		Conflicts []gateway.Conflict `json:"conflicts"`
	}
)

// Peer is one peer of an application in /api/v1/peers.
type Peer struct {
	App string `json:"app"`
	upstream.PeerStatus
}

func peerRows(s *gateway.Snapshot) []Peer {
	rows := []Peer{}
	for a := range s.Apps.All() {
		for _, p := range a.Peers() {
			rows = append(rows, Peer{App: a.ID(), PeerStatus: p})
		}
	}
	return rows
}

func (a *Admin) apps(ctx *fasthttp.RequestCtx) {
	s := a.deps.Snapshot()
	answer := AppsAnswer{s.Generation, s.AppliedAt, make([]App, 0, s.Apps.Len())}
	for one := range s.Apps.All() {
		answer.Apps = append(answer.Apps, a.describe(one))
	}
	answer.Apps = append(answer.Apps, a.unserved(s, a.deps.Sources())...)
	writeJSON(ctx, answer)
}

func (a *Admin) app(ctx *fasthttp.RequestCtx) {
	raw, _ := ctx.UserValue("id").(string)
	id, err := url.PathUnescape(raw)
	if err != nil {
		fail(ctx, fasthttp.StatusBadRequest, "the application id in the path is not percent-encoded as it should be")
		return
	}
	s := a.deps.Snapshot()
	one := s.App(id)
	if one == nil {
		for _, broken := range a.unserved(s, a.deps.Sources()) {
			if broken.ID == id {
				writeJSON(ctx, AppDetail{App: broken, Peers: []upstream.PeerStatus{}, Conflicts: []gateway.Conflict{}})
				return
			}
		}
		fail(ctx, fasthttp.StatusNotFound, "there is no application with this id; api/v1/apps lists them")
		return
	}
	definition := app.Redact(one.Definition)
	detail := AppDetail{
		App: a.describe(one), Definition: &definition,
		Peers: list(one.Peers()), Conflicts: []gateway.Conflict{},
		Caches: one.Caches(),
	}
	for _, c := range s.Conflicts {
		if c.App == id || c.Winner == id {
			detail.Conflicts = append(detail.Conflicts, c)
		}
	}
	writeJSON(ctx, detail)
}

func (a *Admin) peers(ctx *fasthttp.RequestCtx) {
	writeJSON(ctx, PeersAnswer{peerRows(a.deps.Snapshot())})
}

func (a *Admin) listCerts(ctx *fasthttp.RequestCtx) {
	writeJSON(ctx, CertsAnswer{list(a.certRows()), a.certProblems()})
}

func (a *Admin) sources(ctx *fasthttp.RequestCtx) {
	writeJSON(ctx, SourcesAnswer{list(a.deps.Sources())})
}

func (a *Admin) conflicts(ctx *fasthttp.RequestCtx) {
	writeJSON(ctx, ConflictsAnswer{list(a.deps.Snapshot().Conflicts)})
}

func (a *Admin) explain(ctx *fasthttp.RequestCtx) {
	args := ctx.QueryArgs()
	var headers []string
	for _, h := range args.PeekMulti("header") {
		headers = append(headers, string(h))
	}
	q, err := ParseQuestion(string(args.Peek("url")), string(args.Peek("method")), headers)
	if err != nil {
		fail(ctx, fasthttp.StatusBadRequest, err.Error())
		return
	}
	writeJSON(ctx, Explain(a.deps.Snapshot(), q))
}

// certProblems is never nil, so that it is an object in JSON.
func (a *Admin) certProblems() map[string][]certs.Problem {
	if a.deps.CertProblems == nil {
		return map[string][]certs.Problem{}
	}
	return a.deps.CertProblems()
}

func (a *Admin) certRows() []certs.Status {
	if a.deps.Certs == nil {
		return nil
	}
	return a.deps.Certs()
}
