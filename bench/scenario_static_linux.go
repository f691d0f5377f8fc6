package bench

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"edgerouter/bench/load"
	"edgerouter/bench/peer"
)

// staticGzip is asked for by every request for a file, as by any browser.
const staticGzip = "Accept-Encoding: gzip"

// nginxUnchanged is nginx answering 304 while the others answer 404.
const nginxUnchanged = "nginx-304"

// statics are the scenarios of a static site: the same files for edgerouter, nginx
// and Caddy.
func statics() []*scenario {
	const said = ", the same files and Cache-Control for all: edgerouter from a Turbocharger store, nginx with gzip_static, open_file_cache and sendfile, Caddy with file_server and precompressed."
	large := []string{"cpu_us", "cpu_ms_gb", "mb_s", "p50_us", "p99_us", "rss_mb", "proxy_core", "load_core", "system", "errors"}
	list := []*scenario{
		static("static-1k", "Static, 1 KB", "32 kept connections, each asking for a file of 1,024 random bytes"+said, "1k.bin", 32),
		static("static-18k-gzip", "Static, 18 KB of gzip", "32 kept connections, each asking for a style sheet of 28 KB whose gzip form has 18 KB"+said, "18k.css", 32),
		static("static-64k", "Static, 64 KB", "32 kept connections, each asking for a file of 65,536 random bytes"+said, "64k.bin", 32),
		static("static-1m", "Static, 1 MB", "16 kept connections, each asking for a file of 1,048,576 random bytes"+said, "1m.bin", 16),
		static("static-10m", "Static, 10 MB", "16 kept connections, each asking for a file of 10,485,760 random bytes"+said, "10m.bin", 16),
		static("static-304", "Static, not modified", "32 kept connections, each asking for the style sheet with the ETag that the proxy gave it, answered with 304"+said, "18k.css", 32),
		static("static-404", "Static, not found", "32 kept connections, each asking for a path that is not there, answered with 404 and the site's page for it (9 bytes)"+said+
			" nginx-304 is nginx answering 304, as in the scenario before this one.", "nowhere", 32),
	}
	for _, s := range list[3:5] {
		s.columns, s.ratios = large, []string{"cpu_us", "cpu_ms_gb", "mb_s", "p50_us", "p99_us", "rss_mb"}
	}
	list[5].load = func(b *bed) load.Config { return b.unchanged(32) }
	list[6].variants = func(p peer.Proxy) []peer.Proxy {
		n, ok := p.(peer.Nginx)
		if !ok {
			return []peer.Proxy{p}
		}
		again := n
		again.Label = nginxUnchanged
		return []peer.Proxy{n, again}
	}
	list[6].load = func(b *bed) load.Config {
		if b.proxy.Name() == nginxUnchanged {
			return b.unchanged(32)
		}
		cfg := b.file("nowhere", 32)
		cfg.Status, cfg.Length = http.StatusNotFound, int64(len(notHere))
		return cfg
	}
	return list
}

func static(name, title, about, file string, connections int) *scenario {
	return &scenario{
		name: name, title: title, about: about, optional: true,
		columns: usual, ratios: usualRatios,
		takes: func(proxy string) bool {
			return !slices.Contains([]string{"haproxy", "httputil", "fasthttp"}, proxy)
		},
		prepare: prepareSite,
		job:     func(o *Options, _ string, j *peer.Job) { j.Site = o.site },
		ready:   func(ctx context.Context, b *bed) error { return b.settle(ctx, name, file) },
		load:    func(b *bed) load.Config { return b.file(file, connections) },
	}
}

// file is the load that asks for one file of the site.
func (b *bed) file(name string, connections int) load.Config {
	cfg := b.config(0)
	cfg.Requests = []load.Request{load.NewRequest("GET", peer.Host, "/"+name, 0, staticGzip)}
	cfg.Connections, cfg.Length = min(cfg.Connections, connections), b.length
	return cfg
}

// unchanged is the load of a client that has the style sheet already.
func (b *bed) unchanged(connections int) load.Config {
	cfg := b.file("18k.css", connections)
	cfg.Requests = []load.Request{load.NewRequest("GET", peer.Host, "/18k.css", 0, staticGzip, "If-None-Match: "+b.tag)}
	cfg.Status, cfg.Length = http.StatusNotModified, 0
	return cfg
}

const (
	settledFor = 400 * time.Millisecond
	settlePoll = 20 * time.Millisecond
)

// settle asks for the files of a scenario until the answer is the same for a
// while: edgerouter makes the gzip form in the background, quickly first and well
// afterwards. It notes length and ETag, and writes the head down, which shows that
// all say the same.
func (b *bed) settle(ctx context.Context, scenario, file string) error {
	ctx, cancel := context.WithTimeout(ctx, b.opts.StartTimeout)
	defer cancel()
	if file == "nowhere" {
		file = "18k.css" // whose ETag nginx-304 needs
	}
	wanted := ""
	if strings.HasSuffix(file, ".css") {
		wanted = "gzip"
	}
	var since time.Time
	for {
		resp, body, err := b.fetch(ctx, false, load.NewRequest("GET", peer.Host, "/"+file, 0, staticGzip, "Connection: close"))
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", file, err)
		case resp.StatusCode != http.StatusOK:
			return fmt.Errorf("%s: status %d", file, resp.StatusCode)
		}
		n, tag := int64(len(body)), resp.Header.Get("ETag")
		if same := n == b.length && tag == b.tag && resp.Header.Get("Content-Encoding") == wanted; !same || since.IsZero() {
			since = time.Now()
		}
		b.length, b.tag = n, tag
		if time.Since(since) >= settledFor {
			var head bytes.Buffer
			fmt.Fprintf(&head, "%s %s\n", resp.Proto, resp.Status)
			_ = resp.Header.Write(&head)
			_ = os.WriteFile(filepath.Join(b.opts.Out, "answer-"+scenario+"-"+b.proxy.Name()+".txt"), head.Bytes(), 0o644)
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: within %s no answer that stays the same, with Content-Encoding %q: the last one has %q and %d bytes",
				file, b.opts.StartTimeout, wanted, resp.Header.Get("Content-Encoding"), n)
		case <-time.After(settlePoll):
		}
	}
}

const notHere = "not here\n"

// siteFiles are the files of the site. What is random is so from the same seed each
// time; /b/1 is what shows that a proxy is ready.
func siteFiles() map[string][]byte {
	source := rand.NewChaCha8([32]byte{'s', 'i', 't', 'e'})
	random := func(n int) []byte {
		b := make([]byte, n)
		_, _ = source.Read(b) // never fails
		return b
	}
	var css bytes.Buffer
	for text := hex.EncodeToString(random(15_900)); len(text) > 0; text = text[min(60, len(text)):] {
		fmt.Fprintln(&css, text[:min(60, len(text))])
	}
	return map[string][]byte{
		"1k.bin": random(1 << 10), "64k.bin": random(64 << 10), "1m.bin": random(1 << 20), "10m.bin": random(10 << 20),
		"18k.css": css.Bytes(), "404.html": []byte(notHere), "b/1": {'x'},
	}
}

// prepareSite writes the files for the others and deploys them for edgerouter.
func prepareSite(o *Options) (stop func(), err error) {
	if o.site != nil {
		return func() {}, nil
	}
	site := &peer.Site{Root: filepath.Join(o.temp, "site"), Store: "file://" + filepath.Join(o.temp, "store")}
	// nginx's worker may run as another user.
	if err := os.Chmod(o.temp, 0o755); err != nil {
		return nil, fmt.Errorf("make the site: %w", err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for name, content := range siteFiles() {
		path := filepath.Join(site.Root, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil {
			err = os.WriteFile(path, content, 0o644)
		}
		if err == nil && strings.HasSuffix(name, ".css") {
			err = os.WriteFile(path+".gz", gzipped(content), 0o644)
		}
		if err == nil {
			err = w.WriteHeader(&tar.Header{Name: name, Size: int64(len(content)), Mode: 0o644, Typeflag: tar.TypeReg})
		}
		if err == nil {
			_, err = w.Write(content)
		}
		if err != nil {
			return nil, fmt.Errorf("make the site: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("make the site: %w", err)
	}
	if site.Manifest, err = o.deploy(site.Store, &archive); err != nil {
		return nil, fmt.Errorf("deploy the site: %w", err)
	}
	o.site = site
	return func() {}, nil
}

// deploy puts a tar into a store and returns the manifest's id.
func (o *Options) deploy(store string, archive io.Reader) (manifest string, err error) {
	deploy := exec.Command(o.Edgerouter, "turbocharger", "tar-deploy-to-store", "bench", "--turbocharger-store", store)
	deploy.Stdin = archive
	id, err := deploy.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	return strings.TrimSpace(string(id)), err
}

// gzipped is what gzip -9 makes of a file.
func gzipped(content []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is a valid one
	_, _ = w.Write(content)                               // to memory
	_ = w.Close()
	return b.Bytes()
}
