package admin

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"edgerouter/auth"
	"edgerouter/bus"
	"edgerouter/bus/bustest"
	"edgerouter/bus/remote"
	"edgerouter/gateway"
	"edgerouter/internal/testkit"
)

// serveLog serves the admin API of a node with this log.
func serveLog(t *testing.T, log bus.Log, access Access) string {
	t.Helper()
	token, err := auth.NewToken([]byte("letmein"))
	if err != nil {
		t.Fatal(err)
	}
	a := New(Deps{
		Snapshot: func() *gateway.Snapshot { return &gateway.Snapshot{} }, Ready: func() []string { return nil },
		WriteMetrics: func(io.Writer) {}, Log: log, Gate: auth.NewGate(token, "test", auth.NewFailures()),
		Notes: func() []string { return []string{"the log is away"} },
		Cluster: func() Cluster {
			return Cluster{Bus: "embedded", Node: "a", Nodes: []ClusterNode{{NodeStatus: NodeStatus{Node: "a", Generation: 7}, State: NodeOK, Leader: true}}}
		},
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &fasthttp.Server{Handler: a.Handler(Exposure{Access: access})}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Shutdown() })
	return "http://" + ln.Addr().String()
}

// keep is a log that clients cannot close.
type keep struct{ bus.Log }

func (keep) Close() error { return nil }

// What the API gives is an event log like any other.
func TestRemoteContract(t *testing.T) {
	testkit.Long(t)
	server := serveLog(t, keep{&bus.Memory{}}, AccessToken)
	bustest.Run(t, bustest.Bed{Open: func(t *testing.T) bus.Log {
		l, err := remote.New(server, "letmein")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}})
}

// The log holds secrets, so the token is wanted even where reading is open.
func TestLogWantsToken(t *testing.T) {
	log := &bus.Memory{}
	if _, err := log.Append(t.Context(), "/t-1/x", bustest.Event(1)); err != nil {
		t.Fatal(err)
	}
	server := serveLog(t, log, AccessLoopback)
	for _, path := range []string{
		"/api/v1/log?stream=/t-1/x", "/api/v1/log/last?stream=/t-1/x", "/api/v1/log/wait?stream=/t-1/x", "/api/v1/%6cog?stream=/t-1/x", "/api/v1//log?stream=/t-1/x",
	} {
		resp, err := http.Get(server + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK || strings.Contains(string(body), "Test") {
			t.Errorf("%s without a token: %d %s", path, resp.StatusCode, body)
		}
	}
	resp, err := http.Post(server+"/api/v1/log", "application/json", strings.NewReader(`{"stream":"/t-1/x","events":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("an append without a token: %d", resp.StatusCode)
	}
}

func TestLogBadQuestions(t *testing.T) {
	server := serveLog(t, &bus.Memory{}, AccessToken)
	off := serveLog(t, nil, AccessToken)
	for _, c := range []struct {
		method, url, body string
		code              int
	}{
		{"GET", server + "/api/v1/log", "", 400},
		{"GET", server + "/api/v1/log?stream=x", "", 400},
		{"GET", server + "/api/v1/log?stream=/t-1/x&after=y", "", 400},
		{"GET", server + "/api/v1/log?stream=/t-1/x&after=-2", "", 400},
		{"GET", server + "/api/v1/log?stream=/t-1/x&limit=0", "", 400},
		{"POST", server + "/api/v1/log", "{", 400},
		{"POST", server + "/api/v1/log", `{"stream": "/t-1/x", "events": ["x"]}`, 400},
		{"POST", server + "/api/v1/log", `{"stream": "/t-1/x", "after": 4, "events": ["2026-11-01T12:00:00.000Z A    {}"]}`, 409},
		{"DELETE", server + "/api/v1/log", "", 405},
		{"GET", off + "/api/v1/log?stream=/t-1/x", "", 404},
	} {
		req, _ := http.NewRequest(c.method, c.url, strings.NewReader(c.body))
		req.Header.Set("Authorization", "Bearer letmein")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		var told struct{ Error string }
		if resp.StatusCode != c.code || json.Unmarshal(body, &told) != nil || told.Error == "" {
			t.Errorf("%s %s %s: %d %s, want %d", c.method, c.url, c.body, resp.StatusCode, body, c.code)
		}
	}
}

func TestClusterView(t *testing.T) {
	server := serveLog(t, &bus.Memory{}, AccessLoopback)
	for path, wants := range map[string][]string{
		"/api/v1/cluster": {`"bus": "embedded"`, `"generation": 7`, `"leader": true`},
		"/readyz":         {`"ready": true`, `"the log is away"`},
	} {
		resp, err := http.Get(server + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		for _, want := range wants {
			if !strings.Contains(string(body), want) {
				t.Errorf("%s has no %s: %s", path, want, body)
			}
		}
	}
}
