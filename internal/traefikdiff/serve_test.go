package traefikdiff

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/traefik/traefik/v3/pkg/middlewares/requestdecorator"
	muxer "github.com/traefik/traefik/v3/pkg/muxer/http"
	"github.com/valyala/fasthttp"

	"edgerouter/app"
	"edgerouter/discovery/docker/labels"
	"edgerouter/gateway"
	"edgerouter/metrics"
	"edgerouter/server"
)

// route is a router: its rule, and its priority when that is not 0.
type route struct {
	rule     string
	syntax   string // v2, or v3 when empty
	priority int
}

// name is what answers for the route.
func name(i int) string { return fmt.Sprintf("r%d", i) }

// theirs is Traefik's muxer, behind what Traefik puts before it.
type theirs struct {
	handler http.Handler
	refused []error // by route; nil where it is served
}

func newTheirs(t *testing.T, routes []route) *theirs {
	t.Helper()
	parser, err := muxer.NewSyntaxParser()
	if err != nil {
		t.Fatal(err)
	}
	m := muxer.NewMuxer(parser, nil)
	out := &theirs{refused: make([]error, len(routes))}
	for i, r := range routes {
		priority := r.priority
		if priority == 0 {
			priority = muxer.GetRulePriority(r.rule)
		}
		answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, name(i)) })
		syntax := r.syntax
		if syntax == "" {
			syntax = "v3"
		}
		out.refused[i] = addRoute(m, r.rule, syntax, priority, answer)
	}
	decorator := requestdecorator.New(nil)
	// Traefik's entry points do this unless they are told not to.
	out.handler = http.AllowQuerySemicolons(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		decorator.ServeHTTP(w, r, m.ServeHTTP)
	}))
	return out
}

// addRoute also catches the panics of its parser.
func addRoute(m *muxer.Muxer, rule, syntax string, priority int, h http.Handler) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return m.AddRoute(rule, syntax, priority, "docker", h)
}

// ask returns who answers, "" for nobody.
func (s *theirs) ask(raw string) string {
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader([]byte(raw))))
	if err != nil {
		return ""
	}
	r.RemoteAddr = "127.0.0.1:40000"
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		return ""
	}
	return w.Body.String()
}

// ours is edgerouter on a listener of its own.
type ours struct {
	t       *testing.T
	gateway *gateway.Gateway
	conn    net.Conn
	in      *bufio.Reader
	addr    string
}

// named is a backend that answers with the id of its application.
type named string

func (n named) Handler(bool) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString(string(n)) }
}
func (named) Close() {}

func newOurs(t *testing.T) *ours {
	t.Helper()
	set := metrics.NewSet()
	o := &ours{t: t, gateway: gateway.New(gateway.Options{
		Builders: map[app.BackendKind]gateway.Builder{app.BackendPeerSet: func(id string, _ app.Backend) (gateway.Backend, error) { return named(id), nil }},
		Metrics:  set, Log: zerolog.Nop(), Grace: time.Nanosecond,
	})}
	t.Cleanup(o.gateway.Close)
	ln, err := server.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.addr = ln.Addr().String()
	s := server.New(server.Config{Lookup: o.gateway.Lookup, Unmatched: set.App(""), Log: zerolog.Nop()})
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Serve(ln, false)
	}()
	t.Cleanup(func() {
		if o.conn != nil {
			o.conn.Close()
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s.Shutdown(ctx, 0)
		<-done
	})
	return o
}

// serve serves the routes, each of a container of its own, and returns what is
// wrong with each.
func (o *ours) serve(routes []route) (refused []error) {
	refused = make([]error, len(routes))
	set := gateway.SourceSet{Source: "docker"}
	for i, r := range routes {
		given := map[string]string{
			"edgerouter.auth":                    "public",
			"traefik.http.routers.r.rule":        r.rule,
			"traefik.http.routers.r.entrypoints": "web",
		}
		if r.priority != 0 {
			given["traefik.http.routers.r.priority"] = fmt.Sprint(r.priority)
		}
		if r.syntax != "" {
			given["traefik.http.routers.r.rulesyntax"] = r.syntax
		}
		for _, a := range labels.Compile(name(i), given, labels.Options{}).Apps {
			if a.Broken {
				refused[i] = a.Problems[0]
				continue
			}
			set.Apps = append(set.Apps, a.With([]labels.Address{{Host: "192.0.2.1", Port: 80, Peer: a.Peer}}))
		}
	}
	o.gateway.Apply([]gateway.SourceSet{set})
	return refused
}

// ask returns who answers, "" for nobody, and the status code.
func (o *ours) ask(raw string) (string, int) {
	for try := 0; ; try++ {
		if o.conn == nil {
			conn, err := net.Dial("tcp", o.addr)
			if err != nil {
				o.t.Fatal(err)
			}
			o.conn, o.in = conn, bufio.NewReader(conn)
		}
		o.conn.SetDeadline(time.Now().Add(30 * time.Second))
		_, err := io.WriteString(o.conn, raw)
		var r *http.Response
		if err == nil {
			r, err = http.ReadResponse(o.in, nil)
		}
		if err != nil {
			if o.conn.Close(); try == 1 {
				o.t.Fatalf("%q: %v", raw, err)
			}
			o.conn = nil // it may have been closed after the answer before
			continue
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			o.t.Fatal(err)
		}
		if r.Close {
			o.conn.Close()
			o.conn = nil
		}
		if r.StatusCode != http.StatusOK {
			return "", r.StatusCode
		}
		return string(body), r.StatusCode
	}
}
