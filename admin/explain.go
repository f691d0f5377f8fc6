package admin

import (
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"edgerouter/app"
	"edgerouter/gateway"
	"edgerouter/router"
)

// Explanation is what would happen to a request, and why.
type Explanation struct {
	Method string `json:"method"`
	URL    string `json:"url"`
	// Host and Path are what is matched: without port and case, and normalized.
	Host string `json:"host"`
	Path string `json:"path"`
	// Winner takes the request; nil when nothing does.
	Winner *Candidate `json:"winner"`
	// Losers could have taken it, in the order they were considered.
	Losers []Candidate `json:"losers"`
	// Backend tells the winner's backend in a line, Peer which one of its peers
	// would be asked now, if it has any.
	Backend string `json:"backend,omitempty"`
	Peer    string `json:"peer,omitempty"`
	// Steps are what is done to the request on its way, in that order, such as a
	// redirect to https or a prefix that is removed.
	Steps []string `json:"steps"`
	// Answer is what the proxy answers by itself instead of a backend, such as
	// 404 no website for hostname: example.com; empty when a backend answers.
	Answer string `json:"answer,omitempty"`
}

// Candidate is a frontend that was considered.
type Candidate struct {
	App      string `json:"app"`
	Frontend int    `json:"frontend"` // index in the application's frontends
	Source   string `json:"source,omitempty"`
	// Claim is what the frontend asks for, such as "*.example.com/api".
	Claim string `json:"claim"`
	// Reason says why it won or lost.
	Reason string `json:"reason"`
}

// Explain tells what the running set would do with a request, without doing it.
func Explain(s *gateway.Snapshot, q Question) Explanation {
	e := Explanation{Method: q.Method, URL: q.URL.String(), Losers: []Candidate{}, Steps: []string{}}
	target := q.URL.EscapedPath()
	if target == "" {
		target = "/"
	}
	path, err := router.NormalizePath(nil, []byte(target))
	if err != nil {
		e.Host, e.Path = q.URL.Hostname(), target
		e.Answer = "400 the path of the request is malformed: " + err.Error()
		return e
	}
	found := s.Table.Explain([]byte(q.URL.Host), path, attributes{q})
	e.Host, e.Path = found.Host, found.Path
	for _, l := range found.Losers {
		e.Losers = append(e.Losers, candidate(s, l.Entry, l.Why))
	}
	if found.Winner == nil {
		e.Answer = "404 no website for hostname: " + e.Host
		return e
	}
	winner := candidate(s, found.Winner, found.Why)
	e.Winner = &winner
	a := s.App(winner.App)
	if a == nil {
		return e
	}
	e.Backend = a.Definition.Backend.Describe()
	e.Peer = peers(a)
	if q.URL.Scheme == "http" && !found.Winner.AllowPlain {
		e.Steps = append(e.Steps, "plain HTTP is sent to https, because allow_insecure_http is not set")
		e.Answer = "307 to the same URL with https"
		return e
	}
	if a.State == gateway.StateUnavailable {
		e.Answer = "503 because of: "
		for _, p := range a.Problems {
			e.Answer += p.Message
			break
		}
		return e
	}
	e.Steps = steps(a.Definition, found.Winner, q)
	return e
}

func candidate(s *gateway.Snapshot, entry *router.Entry, why string) Candidate {
	c := Candidate{App: entry.App, Frontend: entry.Frontend, Reason: why}
	if a := s.App(entry.App); a != nil {
		c.Source = a.Source
		if entry.Frontend < len(a.Definition.Frontends) {
			c.Claim = claim(a.Definition.Frontends[entry.Frontend])
		}
	}
	return c
}

// claim tells what a frontend asks for.
func claim(f app.Frontend) string {
	prefix := f.PathPrefix
	if prefix == "" {
		prefix = "/"
	}
	switch f.Kind {
	case app.FrontendHostname:
		return f.Hostname + prefix
	case app.FrontendHostnameRegexp:
		return f.HostnameRegexp + prefix
	case app.FrontendRule:
		if f.PathPrefix == "" {
			return f.Rule
		}
		return f.Rule + " below " + prefix
	}
	return "any host" + prefix
}

// peers tells which peers could get the request.
func peers(a *gateway.App) string {
	var up, all []string
	for _, p := range a.Peers() {
		text := p.Addr
		if p.State == "up" {
			up = append(up, p.Addr)
		} else {
			text += " (" + p.State + ")"
		}
		all = append(all, text)
	}
	switch {
	case len(all) == 0:
		return ""
	case len(up) == 1:
		return up[0] + ", the only one of " + fmt.Sprint(len(all)) + " that is up"
	case len(up) > 1:
		return "one of " + strings.Join(up, ", ")
	}
	return "none is up: " + strings.Join(all, ", ")
}

// steps tells what happens to a request between the match and the backend's answer.
func steps(a app.Application, entry *router.Entry, q Question) []string {
	out := []string{}
	if entry.StripPrefix != "" {
		if target, ok := router.StripPrefix(nil, []byte(q.URL.RequestURI()), entry.StripPrefix); ok {
			out = append(out, fmt.Sprintf("strip_path_prefix %s: the backend gets %s and X-Forwarded-Prefix", entry.StripPrefix, target))
		}
	}
	for _, m := range a.Middlewares {
		out = append(out, "middleware "+string(m.Kind))
	}
	return append(out, backendSteps(&a.Backend)...)
}

func backendSteps(b *app.Backend) []string {
	behind := func(first string, b *app.Backend) []string {
		if b == nil {
			return []string{first}
		}
		return append([]string{first}, backendSteps(b)...)
	}
	switch {
	case b.AuthV0 != nil:
		return behind("auth_v0: 401 without the bearer token; Authorization is removed", b.AuthV0.AuthorizedBackend)
	case b.AuthSSO != nil:
		return behind("auth_sso: only users who are signed in and listed", b.AuthSSO.AuthorizedBackend)
	case b.AuthForward != nil:
		return behind("auth_forward: another server is asked first", b.AuthForward.AuthorizedBackend)
	case b.AuthOIDC != nil:
		return behind("auth_oidc: only users who are signed in and allowed", b.AuthOIDC.AuthorizedBackend)
	case b.PeerSet != nil:
		return peerSetSteps(b.PeerSet)
	}
	return nil
}

func peerSetSteps(o *app.PeerSetOpts) []string {
	host := "Host becomes the one of the peer"
	if o.PassHostHeader {
		host = "Host stays the client's"
	}
	out := []string{host, "X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, X-Real-Ip and X-Request-Id are set"}
	if o.RemoveQueryString {
		out = append(out, "the query is removed")
	}
	if o.IndexDocument != "" {
		out = append(out, "a path that ends in a slash gets "+o.IndexDocument)
	}
	if names := slices.Sorted(maps.Keys(o.HeadersToOrigin)); len(names) > 0 {
		out = append(out, "headers_to_origin: "+strings.Join(names, ", ")+" set")
	}
	if o.MaxRequestBody > 0 {
		out = append(out, "413 for a body over "+o.MaxRequestBody.String())
	}
	if r := o.ResponseHeaders; r != nil {
		if names := slices.Sorted(maps.Keys(r.Set)); len(names) > 0 {
			out = append(out, "in the response "+strings.Join(names, ", ")+" set")
		}
		if len(r.Remove) > 0 {
			out = append(out, "from the response "+strings.Join(r.Remove, ", ")+" removed")
		}
	}
	return out
}

// attributes are what rules see of a Question.
type attributes struct{ q Question }

func (a attributes) Method() []byte { return []byte(a.q.Method) }
func (a attributes) Query() []byte  { return []byte(a.q.URL.RawQuery) }

func (a attributes) Header(name string, from int) (value []byte, next int) {
	for i := from; i < len(a.q.Headers); i++ {
		if h := a.q.Headers[i]; http.CanonicalHeaderKey(h.Name) == http.CanonicalHeaderKey(name) {
			return []byte(h.Value), i + 1
		}
	}
	return nil, 0
}

// ClientIP is that of a client on this machine; a Question names none.
func (a attributes) ClientIP() netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, 1}) }
