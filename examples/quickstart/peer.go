package quickstart

import (
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/coder/websocket"
)

const (
	maxDownload = 16 << 30 // bytes
	maxEvents   = 100_000
)

var pageTemplate = template.Must(template.New("peer").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Peer}}</title>
<style>
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem }
pre { overflow: auto }
</style>
<h1>Hello from {{.Peer}}</h1>
<p>You asked for <code>{{.Method}} {{.Host}}{{.Path}}</code>. Reload: the other peer may answer.</p>
<p>More to try: <a href="/json">/json</a> (what the peer got), <a href="/events">/events</a> (server-sent
events), /ws (a WebSocket that echoes), <a href="/bytes?n=1000000">/bytes?n=1000000</a> (a download), and a POST
to /count (an upload).</p>
<pre>{{range $name, $values := .Header}}{{range $values}}{{$name}}: {{.}}
{{end}}{{end}}</pre>
`))

// seen is what a peer got.
type seen struct {
	Peer   string      `json:"peer"`
	Method string      `json:"method"`
	Host   string      `json:"host"`
	Path   string      `json:"path"` // with the query
	Header http.Header `json:"header"`
}

// peer is one of the servers behind the quickstart.
func peer(name string) http.Handler {
	mux := http.NewServeMux()
	look := func(r *http.Request) seen {
		return seen{Peer: name, Method: r.Method, Host: r.Host, Path: r.RequestURI, Header: r.Header}
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = pageTemplate.Execute(w, look(r))
	})
	mux.HandleFunc("/json", func(w http.ResponseWriter, r *http.Request) { writeJSON(w, look(r)) })
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) { events(name, w, r) })
	mux.HandleFunc("/ws", echo)
	mux.HandleFunc("/bytes", download)
	mux.HandleFunc("POST /count", upload)
	mux.HandleFunc("PUT /count", upload)
	return mux
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v)
}

// number reads a parameter of the query; the default when it is not there.
func number(w http.ResponseWriter, r *http.Request, name string, def, most int64) (int64, bool) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return def, true
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > most {
		http.Error(w, fmt.Sprintf("%s must be a number from 0 to %d", name, most), http.StatusBadRequest)
		return 0, false
	}
	return n, true
}

// events sends n server-sent events, one every "every" milliseconds. Each has
// the time at which it was sent, so that a delay on the way shows.
func events(peer string, w http.ResponseWriter, r *http.Request) {
	n, ok := number(w, r, "n", 60, maxEvents)
	if !ok {
		return
	}
	every, ok := number(w, r, "every", 1000, 60_000)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	for i := range n {
		if i > 0 {
			select {
			case <-r.Context().Done():
				return
			case <-time.After(time.Duration(every) * time.Millisecond):
			}
		}
		if _, err := fmt.Fprintf(w, "id: %d\ndata: %s at %s\n\n", i+1, peer, time.Now().Format(time.RFC3339Nano)); err != nil {
			return
		}
		if out.Flush() != nil {
			return
		}
	}
}

// echo sends every message of a WebSocket back.
func echo(w http.ResponseWriter, r *http.Request) {
	// Pages of any origin may try it: there is nothing here to protect.
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		return // answered by Accept
	}
	defer c.CloseNow()
	for {
		kind, message, err := c.Read(r.Context())
		if err != nil {
			return
		}
		if err := c.Write(r.Context(), kind, message); err != nil {
			return
		}
	}
}

// download sends n zero bytes.
func download(w http.ResponseWriter, r *http.Request) {
	n, ok := number(w, r, "n", 1<<20, maxDownload)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	_, _ = io.CopyN(w, zeros{}, n)
}

// upload reads the body and says how long it was.
func upload(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		http.Error(w, "the body ended early", http.StatusBadRequest)
		return
	}
	writeJSON(w, map[string]int64{"bytes": n})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
