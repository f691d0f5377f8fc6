package admin

import (
	"github.com/valyala/fasthttp"

	"edgerouter/bus/remote"
	"edgerouter/gateway"
)

// route is one endpoint: how it is reached, what it is, and what answers. The
// description at /api/v1/openapi.json is made from it.
type route struct {
	method, path string // path as the router writes it
	handler      fasthttp.RequestHandler
	summary      string
	params       []param
	body, answer any            // values of the types that the JSON is of; nil: none
	text         string         // media type of an answer that is no JSON
	events       map[string]any // of a stream of server-sent events: what their data is the JSON of
	stream       bool           // it goes on, so that HEAD makes no sense
	token        bool           // it always needs the admin token
	codes        []int          // besides 200
}

// param is a parameter of the query.
type param struct {
	name, kind, about string
	required, many    bool
}

// routes are all endpoints but the page and the profiles of Go.
func (a *Admin) routes() []route {
	stream := []param{
		{name: "stream", kind: "string", about: "path of the stream, such as /t-1/loadbalancer", required: true},
		{name: "after", kind: "integer", about: "version after which to begin; -1: the beginning"},
	}
	return []route{
		{method: "GET", path: "/healthz", handler: a.healthz, summary: "200 while the process lives", text: "text/plain"},
		{method: "GET", path: "/readyz", handler: a.readyz, summary: "Whether the node should get traffic", answer: Readiness{}, codes: []int{503}},
		{method: "GET", path: "/metrics", handler: a.Metrics, summary: "All series in Prometheus text format", text: "text/plain"},
		{method: "GET", path: "/api/v1/openapi.json", handler: a.serveOpenAPI, summary: "This description", answer: anyObject{}},
		{method: "GET", path: "/api/v1/overview", handler: a.serveOverview, summary: "The process in one look: counts, sources, nodes, and what is wrong now, worst first", answer: Overview{}},
		{method: "GET", path: "/api/v1/apps", handler: a.apps, summary: "All applications, those that were never good among them", answer: AppsAnswer{}},
		{method: "GET", path: "/api/v1/apps/{id:*}", handler: a.app, summary: "One application with its definition (secrets redacted), peers and conflicts. One that never was good has no definition", answer: AppDetail{}, codes: []int{400, 404}},
		{method: "GET", path: "/api/v1/peers", handler: a.peers, summary: "The peers of all applications", answer: PeersAnswer{}},
		{method: "GET", path: "/api/v1/certs", handler: a.listCerts, summary: "The certificates that are served, and what is wrong in their sources", answer: CertsAnswer{}},
		{method: "GET", path: "/api/v1/sources", handler: a.sources, summary: "The sources of applications", answer: SourcesAnswer{}},
		{method: "GET", path: "/api/v1/conflicts", handler: a.conflicts, summary: "Frontends that are not served because of others", answer: ConflictsAnswer{}},
		{method: "GET", path: "/api/v1/explain", handler: a.explain, summary: "What would happen to a request, and why", answer: Explanation{}, codes: []int{400}, params: []param{
			{name: "url", kind: "string", about: "URL of the request", required: true},
			{name: "method", kind: "string", about: "its method; default GET"},
			{name: "header", kind: "string", about: "a field of it as Name: value", many: true},
		}},
		{method: "GET", path: "/api/v1/events", handler: a.events, summary: "Server-sent events: hello, then change for each applied change", text: "text/event-stream", stream: true,
			events: map[string]any{"hello": EventsHello{}, "change": gateway.Event{}}, codes: []int{503}},
		{method: "GET", path: "/api/v1/live", handler: a.serveLive, summary: "Server-sent events that the page follows: first hello, overview, rows and traffic with all there is, then what is different, and beat every two seconds", text: "text/event-stream", stream: true,
			events: map[string]any{"hello": LiveHello{}, "overview": Overview{}, "rows": LiveRows{}, "traffic": LiveBeat{}, "beat": LiveBeat{}, "change": LiveChange{}}, codes: []int{503}},
		{method: "GET", path: "/api/v1/cluster", handler: a.cluster, summary: "The event bus and its nodes", answer: Cluster{}},
		{method: "GET", path: "/api/v1/history", handler: a.serveHistory, summary: "The changes of an application in the event log, newest first", answer: HistoryAnswer{}, codes: []int{404, 503}, params: []param{
			{name: "app", kind: "string", about: "id of the application", required: true},
		}},
		{method: "POST", path: "/api/v1/rollback", handler: a.serveRollback, summary: "Set an application to what it was after a change", body: RollbackCall{}, answer: RollbackAnswer{}, token: true, codes: []int{400, 404, 409, 415, 503}},
		{method: "POST", path: "/api/v1/drain", handler: a.serveDrain, summary: "Take a peer out of balancing on this node, or put it back", body: DrainCall{}, answer: DrainCall{}, token: true, codes: []int{400, 404, 415}},
		{method: "GET", path: "/api/v1/ip-rules", handler: a.ipRules, summary: "The rules of client addresses that are in service", answer: IPRules{}},
		{method: "DELETE", path: "/api/v1/cache", handler: a.purge, summary: "Drop what the cache of an application (option caching) has stored on this node", answer: PurgeAnswer{}, token: true, codes: []int{400, 404, 409}, params: []param{
			{name: "app", kind: "string", about: "id of the application", required: true},
			{name: "host", kind: "string", about: "only of this host"},
			{name: "prefix", kind: "string", about: "only targets that begin with it"},
		}},
		{method: "GET", path: "/api/v1/log", handler: a.withToken(a.logRead), summary: "Entries of the event log", answer: remote.Entries{}, stream: true, token: true, codes: []int{400, 404, 503}, params: append(stream,
			param{name: "limit", kind: "integer", about: "how many, up to 1000"})},
		{method: "GET", path: "/api/v1/log/last", handler: a.withToken(a.logLast), summary: "The last version of a stream", answer: remote.Position{}, stream: true, token: true, codes: []int{400, 404, 503}, params: stream},
		{method: "GET", path: "/api/v1/log/wait", handler: a.withToken(a.logWait), summary: "Answers when there is something after a version, or after 20 s", answer: struct{}{}, stream: true, token: true, codes: []int{400, 404, 503}, params: stream},
		{method: "POST", path: "/api/v1/log", handler: a.withToken(a.logAppend), summary: "Append events to a stream", body: remote.Append{}, answer: remote.Position{}, token: true, codes: []int{400, 404, 409, 413, 503, 504}},
	}
}
