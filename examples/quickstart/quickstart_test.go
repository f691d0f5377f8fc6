package quickstart

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"edgerouter/app"
	"edgerouter/turbo/content"
	"edgerouter/turbo/store"
)

func TestDefinitionsAreValid(t *testing.T) {
	for _, p := range []Params{
		{Peers: []string{"http://127.0.0.1:1", "http://127.0.0.1:2"}, Token: "secret", HTTPSPort: "8443", Manifest: strings.Repeat("A", 43)},
		{Peers: []string{"http://127.0.0.1:1"}, Token: `file:/a "folder"/token`, Manifest: strings.Repeat("A", 43)},
	} {
		data, err := Definitions(p)
		if err != nil {
			t.Fatal(err)
		}
		apps, problems := app.Decode("quickstart", data)
		for _, problem := range problems {
			t.Error(problem)
		}
		ids := map[string]app.Application{}
		for _, a := range apps {
			ids[a.ID] = a
		}
		for _, id := range []string{"hello", "secure", "site", "moved", "private", "admin", "metrics"} {
			if _, ok := ids[id]; !ok {
				t.Errorf("application %s is missing", id)
			}
		}
		if t.Failed() {
			return
		}
		if got := ids["hello"].Backend.PeerSet.Addrs; strings.Join(got, " ") != strings.Join(p.Peers, " ") {
			t.Errorf("peers %q, want %q", got, p.Peers)
		}
		if got := string(ids["private"].Backend.AuthV0.BearerToken); got != p.Token {
			t.Errorf("token %q, want %q", got, p.Token)
		}
		want := "https://secure.localhost{path}?{query}"
		if p.HTTPSPort != "" {
			want = "https://secure.localhost:" + p.HTTPSPort + "{path}?{query}"
		}
		if got := ids["moved"].Backend.Redirect.To; got != want {
			t.Errorf("redirect to %q, want %q", got, want)
		}
	}
}

// TestDeploySite: the second time there is nothing to do, and the manifest is the
// same.
func TestDeploySite(t *testing.T) {
	s, err := store.OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	first, err := DeploySite(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	second, err := DeploySite(t.Context(), s)
	if err != nil || first != second {
		t.Errorf("manifests %s and %s, %v", first, second, err)
	}
	id, _ := content.ParseID(first)
	m, _, err := store.Manifest(t.Context(), s, id)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/index.html", "/404.html", "/docs/index.html"} {
		if _, ok := m.Find([]byte(path)); !ok {
			t.Errorf("the site has no %s", path)
		}
	}
}

func TestPeers(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	addrs, err := StartPeers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(addrs) != 2 || addrs[0] == addrs[1] {
		t.Fatalf("peers at %q", addrs)
	}
	get := func(url string) string {
		t.Helper()
		resp, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	for i, addr := range addrs {
		name := []string{"peer-1", "peer-2"}[i]
		if got := get(addr + "/<b>"); !strings.Contains(got, "Hello from "+name) || strings.Contains(got, "<b>") {
			t.Errorf("page of %s:\n%s", addr, got)
		}
		var s seen
		if err := json.Unmarshal([]byte(get(addr+"/json?a=b")), &s); err != nil || s.Peer != name || s.Path != "/json?a=b" {
			t.Errorf("%s: %+v, %v", addr, s, err)
		}
	}
	peer := addrs[0]
	if got := get(peer + "/bytes?n=100000"); len(got) != 100000 {
		t.Errorf("download of %d bytes", len(got))
	}
	if got := get(peer + "/bytes?n=-1"); got != "n must be a number from 0 to 17179869184\n" {
		t.Errorf("a bad number: %s", got)
	}
	resp, err := http.Post(peer+"/count", "", strings.NewReader(strings.Repeat("x", 12345)))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if !strings.Contains(string(body), `"bytes": 12345`) {
		t.Errorf("upload: %s", body)
	}
	if got := strings.Count(get(peer+"/events?n=3&every=1"), "data: peer-1 at "); got != 3 {
		t.Errorf("%d events, want 3", got)
	}

	// An endless stream and a WebSocket, both open when the peers end.
	stream, err := http.Get(peer + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	if line, err := bufio.NewReader(stream.Body).ReadString('\n'); line != "id: 1\n" {
		t.Fatalf("first line %q, %v", line, err)
	}
	ws, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(peer, "http")+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.CloseNow()
	if err := ws.Write(t.Context(), websocket.MessageText, []byte("echo")); err != nil {
		t.Fatal(err)
	}
	if _, message, err := ws.Read(t.Context()); string(message) != "echo" {
		t.Fatalf("echo: %q, %v", message, err)
	}
	cancel()
	if _, _, err := ws.Read(t.Context()); err == nil {
		t.Error("the WebSocket outlives its peer")
	}
	// Whether it breaks or ends does not matter, only that it does.
	_, _ = io.ReadAll(stream.Body)
}
