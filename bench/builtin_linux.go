package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/valyala/fasthttp"
)

// builtinProxy is what the proxies that are built in are told: the flags of the
// hidden commands.
type builtinProxy struct {
	http, https, cert, key string
	origins                []string
	bare                   bool
}

func (p *builtinProxy) command(use, short string, serve func(ctx context.Context, p *builtinProxy, plain, secure net.Listener) error) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Hidden: true, Args: cobra.NoArgs}
	f := cmd.Flags()
	f.StringVar(&p.http, "http", "", "plain listener")
	f.StringVar(&p.https, "https", "", "TLS listener")
	f.StringVar(&p.cert, "cert", "", "certificate file")
	f.StringVar(&p.key, "key", "", "key file")
	f.StringSliceVar(&p.origins, "origin", nil, "addresses of the peers")
	f.BoolVar(&p.bare, "bare", false, "set no forwarding fields")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if len(p.origins) == 0 {
			return errors.New("--origin: at least one address is needed")
		}
		plain, err := net.Listen("tcp", p.http)
		if err != nil {
			return fmt.Errorf("--http: %w", err)
		}
		pair, err := tls.LoadX509KeyPair(p.cert, p.key)
		if err != nil {
			return fmt.Errorf("--cert, --key: %w", err)
		}
		secure, err := net.Listen("tcp", p.https)
		if err != nil {
			return fmt.Errorf("--https: %w", err)
		}
		secure = tls.NewListener(secure, &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}})
		ctx, stop := signalContext(cmd.Context())
		defer stop()
		return serve(ctx, p, plain, secure)
	}
	return cmd
}

// serveHTTPUtil is the standard library's proxy with its knobs set for this job.
func serveHTTPUtil(ctx context.Context, p *builtinProxy, plain, secure net.Listener) error {
	var urls []*url.URL
	for _, o := range p.origins {
		urls = append(urls, &url.URL{Scheme: "http", Host: o})
	}
	var turn atomic.Uint32
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(urls[turn.Add(1)%uint32(len(urls))])
			r.Out.Host = r.In.Host
			if !p.bare {
				r.SetXForwarded()
			}
		},
		Transport:  &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true, IdleConnTimeout: time.Hour},
		BufferPool: &buffers{},
		ErrorLog:   log.New(io.Discard, "", 0),
	}
	return serveBoth(ctx, &http.Server{Handler: proxy, ErrorLog: log.New(io.Discard, "", 0)}, plain, secure)
}

// serveBoth serves until ctx ends.
func serveBoth(ctx context.Context, srv *http.Server, plain, secure net.Listener) error {
	failed := make(chan error, 2)
	go func() { failed <- srv.Serve(plain) }()
	go func() { failed <- srv.Serve(secure) }()
	select {
	case <-ctx.Done():
		return srv.Close()
	case err := <-failed:
		return err
	}
}

type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[32 << 10]byte); ok {
		return p[:]
	}
	return make([]byte, 32<<10)
}

func (b *buffers) Put(p []byte) { b.pool.Put((*[32 << 10]byte)(p)) }

// serveFasthttp is the bare loop: what fasthttp costs with nothing of ours. It
// forwards a request as it came and sets no forwarding fields.
func serveFasthttp(ctx context.Context, p *builtinProxy, plain, secure net.Listener) error {
	var peers []*fasthttp.HostClient
	for _, o := range p.origins {
		peers = append(peers, &fasthttp.HostClient{
			Addr: o, MaxConns: 4096, MaxIdleConnDuration: time.Hour,
			NoDefaultUserAgentHeader: true, DisablePathNormalizing: true, DisableHeaderNamesNormalizing: true,
		})
	}
	var turn atomic.Uint32
	srv := &fasthttp.Server{
		Handler: func(ctx *fasthttp.RequestCtx) {
			ctx.Request.Header.Del("Connection")
			ctx.Request.URI().SetScheme("http")
			if err := peers[turn.Add(1)%uint32(len(peers))].Do(&ctx.Request, &ctx.Response); err != nil {
				ctx.Error("bad gateway", fasthttp.StatusBadGateway)
				return
			}
			ctx.Response.Header.Del("Connection")
		},
		NoDefaultServerHeader: true, NoDefaultDate: true, NoDefaultContentType: true,
		DisableHeaderNamesNormalizing: true, MaxRequestBodySize: 1 << 30,
	}
	failed := make(chan error, 2)
	go func() { failed <- srv.Serve(plain) }()
	go func() { failed <- srv.Serve(secure) }()
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}
