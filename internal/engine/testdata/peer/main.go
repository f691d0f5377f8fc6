// The program in the containers of the tests: a server that says who answers,
// can be made sick, and ends as servers should: on SIGTERM it goes on for a
// moment, then takes no new connections, ends what it has begun, and is gone.
//
//	GET  /?ms=N    the name of the container, after N milliseconds
//	POST /         the name, after the whole body was read
//	GET  /healthz  200, or 500 while it is sick
//	POST /sick     turns it sick and well again
//
// "peer check" asks /healthz: it is the health check of the image.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// linger is how long it goes on, so that it is out of service before it closes
// idle connections. A server that closes them at once may close one on which a
// POST waits that it has not looked at, which is lost whatever stands before it.
const linger = 100 * time.Millisecond

func main() {
	addr := os.Getenv("LISTEN")
	if addr == "" {
		addr = ":8080"
	}
	if len(os.Args) > 1 && os.Args[1] == "check" {
		resp, err := http.Get("http://127.0.0.1:8080/healthz")
		if err != nil || resp.StatusCode != http.StatusOK {
			os.Exit(1)
		}
		return
	}
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	server := &http.Server{Addr: addr, Handler: handler()}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		<-stop.Done()
		time.Sleep(linger)
		ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
		defer cancel()
		_ = server.Shutdown(ctx)
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	<-ended
}

func handler() http.Handler {
	name, _ := os.Hostname()
	var sick atomic.Bool
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if sick.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("POST /sick", func(http.ResponseWriter, *http.Request) { sick.Store(!sick.Load()) })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
		if ms, err := strconv.Atoi(r.FormValue("ms")); err == nil {
			time.Sleep(time.Duration(min(ms, 5000)) * time.Millisecond)
		}
		_, _ = io.WriteString(w, name)
	})
	return mux
}
