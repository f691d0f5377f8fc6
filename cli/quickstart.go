package cli

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"edgerouter/admin"
	"edgerouter/examples/quickstart"
)

// demo is the quickstart that runs: what its URLs need.
type demo struct {
	path  string // of its definitions
	token string
}

// useQuickstart starts the peers of examples/quickstart and writes its
// definitions into the data folder, where they can be changed while they are
// served, unless applications are configured already.
func useQuickstart(ctx context.Context, s *settings) error {
	if appsPath(*s) != "" {
		return nil
	}
	token, err := admin.LoadOrMakeToken(filepath.Join(s.data, "quickstart-token"))
	if err != nil {
		return fmt.Errorf("--data %s: %w", s.data, err)
	}
	peers, err := quickstart.StartPeers(ctx)
	if err != nil {
		return fmt.Errorf("starting the peers of the quickstart: %w", err)
	}
	_, port, _ := net.SplitHostPort(s.https)
	if port == "443" {
		port = ""
	}
	path, err := filepath.Abs(filepath.Join(s.data, "quickstart-token"))
	if err != nil {
		return err
	}
	sites, err := openStore(ctx, s.store, s.data)
	if err != nil {
		return err
	}
	manifest, err := quickstart.DeploySite(ctx, sites)
	if err != nil {
		return err
	}
	definitions, err := quickstart.Definitions(quickstart.Params{Peers: peers, Token: "file:" + path, Manifest: manifest, HTTPSPort: port})
	if err != nil {
		return err
	}
	s.apps = filepath.Join(s.data, "quickstart.json")
	if err := os.WriteFile(s.apps, definitions, 0o600); err != nil {
		return fmt.Errorf("--data %s: %w", s.data, err)
	}
	s.quickstart = &demo{path: s.apps, token: string(token)}
	return nil
}

// urls lists what can be tried.
func (d *demo) urls(w io.Writer, http, https string) {
	fmt.Fprintf(w, "  proxied app    http://hello.localhost:%s/\n", http)
	if https != "" {
		fmt.Fprintf(w, "  over TLS       https://hello.localhost:%s/\n", https)
	}
	fmt.Fprintf(w, "  events (SSE)   http://hello.localhost:%s/events\n", http)
	fmt.Fprintf(w, "  static site    http://site.localhost:%s/\n", http)
	fmt.Fprintf(w, "  redirect       http://moved.localhost:%s/\n", http)
	fmt.Fprintf(w, "  with a token   curl -H 'Authorization: Bearer %s' http://private.localhost:%s/\n", d.token, http)
	fmt.Fprintf(w, "  definitions    %s (change it and see)\n", d.path)
}
