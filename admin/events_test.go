package admin

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"

	"edgerouter/gateway"
)

// serve runs a handler on a listener in memory and returns a client for it.
func serve(t *testing.T, handler fasthttp.RequestHandler) *http.Client {
	t.Helper()
	l := fasthttputil.NewInmemoryListener()
	server := &fasthttp.Server{Handler: handler}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	client := &http.Client{Transport: &http.Transport{
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return l.Dial() },
		DisableKeepAlives: true,
	}}
	t.Cleanup(func() {
		l.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return client
}

// nextEvent reads one event: its name and data.
func nextEvent(t *testing.T, r *bufio.Reader) (name, data string) {
	t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "":
			return name, data
		case strings.HasPrefix(line, "event: "):
			name = line[len("event: "):]
		case strings.HasPrefix(line, "data: "):
			data = line[len("data: "):]
		}
	}
}

func TestEvents(t *testing.T) {
	g := newGateway(t)
	a := newAdmin(t, g)
	client := serve(t, a.Handler(Exposure{Access: AccessLoopback}))
	resp, err := client.Get("http://localhost/api/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Content-Type"); got != "text/event-stream; charset=utf-8" {
		t.Errorf("content type %q", got)
	}
	r := bufio.NewReader(resp.Body)
	if name, data := nextEvent(t, r); name != "hello" || !strings.Contains(data, `"generation":1`) {
		t.Fatalf("first event: %s %s", name, data)
	}
	apply(t, g, strings.Replace(applications, "10.0.0.2", "10.0.0.9", 1))
	name, data := nextEvent(t, r)
	if name != "change" || !strings.Contains(data, `"generation":2`) || !strings.Contains(data, `"id":"shop"`) || !strings.Contains(data, "10.0.0.9") {
		t.Fatalf("second event: %s %s", name, data)
	}
	// The gateway ends its subscriptions when it is closed.
	g.Close()
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
		t.Errorf("after the end: %q, %v", rest, err)
	}
}

func TestEventStreamsAreBounded(t *testing.T) {
	g := newGateway(t)
	a := newAdmin(t, g)
	client := serve(t, a.Handler(Exposure{Access: AccessLoopback}))
	for i := range maxStreams + 1 {
		resp, err := client.Get("http://localhost/api/v1/events")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		want := 200
		if i == maxStreams {
			want = 503
		}
		if resp.StatusCode != want {
			t.Fatalf("stream %d: %s", i+1, resp.Status)
		}
	}
	g.Close()
}

// stream's own promises, in fake time: heartbeats, and the two ends.
func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stopping := make(chan struct{})
		a := &Admin{deps: Deps{Stopping: stopping}}
		r, w := io.Pipe()
		events := make(chan gateway.Event)
		ended := make(chan struct{})
		go func() {
			a.stream(bufio.NewWriter(w), events)
			close(ended)
			w.Close()
		}()
		in := bufio.NewReader(r)
		begin := time.Now()
		for i := range 3 {
			if line, err := in.ReadString('\n'); line != ": nothing new\n" {
				t.Fatalf("%q, %v", line, err)
			}
			if _, err := in.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			if got, want := time.Since(begin), time.Duration(i+1)*heartbeat; got != want {
				t.Fatalf("heartbeat %d after %v, want %v", i+1, got, want)
			}
		}
		go func() { events <- gateway.Event{Generation: 9} }()
		if name, data := nextEvent(t, in); name != "change" || !strings.Contains(data, `"generation":9`) {
			t.Fatalf("%s %s", name, data)
		}
		close(stopping)
		<-ended
	})
}

func TestStreamEndsWhenTheClientIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		r.Close()
		begin := time.Now()
		(&Admin{}).stream(bufio.NewWriter(w), make(chan gateway.Event))
		if got := time.Since(begin); got != heartbeat {
			t.Errorf("noticed after %v, want %v", got, heartbeat)
		}
	})
}
