package quickstart

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// StartPeers starts two HTTP servers on free ports of 127.0.0.1 and returns
// their URLs. They end with ctx, and what is open on them with it.
func StartPeers(ctx context.Context) (addrs []string, err error) {
	listeners := make([]net.Listener, 0, 2)
	for range cap(listeners) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			for _, open := range listeners {
				err = errors.Join(err, open.Close())
			}
			return nil, fmt.Errorf("starting the peers of the quickstart: %w", err)
		}
		listeners = append(listeners, l)
	}
	for i, l := range listeners {
		server := &http.Server{
			Handler:           peer(fmt.Sprint("peer-", i+1)),
			ReadHeaderTimeout: 10 * time.Second,
			BaseContext:       func(net.Listener) context.Context { return ctx },
		}
		addrs = append(addrs, "http://"+l.Addr().String())
		go func() {
			// Returns when the server is closed; nobody is left to tell then.
			_ = server.Serve(l)
		}()
		context.AfterFunc(ctx, func() { _ = server.Close() })
	}
	return addrs, nil
}
