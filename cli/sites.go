package cli

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/rs/zerolog"
	"github.com/spf13/pflag"

	"edgerouter/httpcache"
	"edgerouter/internal/bucket"
	"edgerouter/s3site"
	"edgerouter/turbo"
	"edgerouter/turbo/cache"
	"edgerouter/turbo/store"
)

const storeFlag = "turbocharger-store"

func addStoreFlag(f *pflag.FlagSet, to *string) {
	f.StringVar(to, storeFlag, "", "store of static sites: `URL` s3://REGION/BUCKET or file:///PATH (default file://DATA/turbocharger)")
}

// openStore opens the store of static sites.
func openStore(ctx context.Context, url, data string) (store.Store, error) {
	if url == "" {
		if err := makeData(data); err != nil {
			return nil, fmt.Errorf("--data %s: %w", data, err)
		}
		return store.OpenFolder(filepath.Join(data, "turbocharger"))
	}
	if path, ok := strings.CutPrefix(url, "file://"); ok && path != "" {
		return store.OpenFolder(path)
	}
	region, name, err := bucket.ParseURL(url)
	if err != nil {
		return nil, usagef("--%s %q: want s3://REGION/BUCKET or file:///PATH", storeFlag, url)
	}
	b, err := openBucket(ctx, region, name)
	if err != nil {
		return nil, err
	}
	return store.InBucket(b), nil
}

// edgeSites is what a node has for content of its own.
type edgeSites struct {
	cache  *cache.Cache
	engine *turbo.Engine
	// caching counts for the option caching of peer_set.
	caching httpcache.Stats
	data    string
	log     zerolog.Logger
}

func newEdgeSites(s settings, log zerolog.Logger) (*edgeSites, error) {
	st, err := openStore(context.Background(), s.store, s.data)
	if err != nil {
		return nil, err
	}
	c, err := cache.Open(cache.Options{Dir: filepath.Join(s.data, "cache"), Log: log})
	if err != nil {
		return nil, fmt.Errorf("--data %s: %w", s.data, err)
	}
	engine := turbo.New(st, c, log)
	engine.WarmUp = s.warmUp
	return &edgeSites{cache: c, engine: engine, data: s.data, log: log}, nil
}

// s3 is what sites in S3 are given.
func (s *edgeSites) s3() s3site.Deps {
	return s3site.Deps{Engine: s.engine, Bucket: openBucket, Dir: filepath.Join(s.data, "s3sites"), Log: s.log}
}

func (s *edgeSites) close() {
	s.engine.Close()
	s.cache.Close()
}

// writeMetrics writes the figures of sites and cache.
func (s *edgeSites) writeMetrics(w io.Writer) {
	t, c, u, h := &s.engine.Stats, &s.cache.Stats, s.cache.Usage(), &s.caching
	for _, m := range []struct {
		name, kind, help string
		value            uint64
	}{
		{"er_site_hits_total", "counter", "Files of sites that were sent.", t.Hits.Load()},
		{"er_site_misses_total", "counter", "Requests that had to wait for a file to be fetched.", t.Misses.Load()},
		{"er_site_not_modified_total", "counter", "Requests for files that the client had already (304).", t.NotModified.Load()},
		{"er_site_not_found_total", "counter", "Requests for paths that the site does not have.", t.NotFound.Load()},
		{"er_site_earlier_version_total", "counter", "Files that only an earlier version has (deploy skew).", t.Earlier.Load()},
		{"er_site_deltas_total", "counter", "Files that were sent as a difference to what the client had (dcz, dcb).", t.Deltas.Load()},
		{"er_site_failed_total", "counter", "Files that could not be had: 503, or the origin was asked.", t.Failed.Load()},
		{"er_site_switches_total", "counter", "Changes to another version of a site.", t.Switches.Load()},
		{"er_turbocharger_takeovers_total", "counter", "Subtrees that an application had taken over.", t.Takeovers.Load()},
		{"er_turbocharger_ended_total", "counter", "Takeovers that the application ended.", t.Ended.Load()},
		{"er_turbocharger_refused_total", "counter", "Advertisements that could not be followed.", t.Refused.Load()},
		{"er_http_cache_hits_total", "counter", "Requests that the HTTP cache answered with a fresh response.", h.Hits.Load()},
		{"er_http_cache_misses_total", "counter", "Requests that the HTTP cache asked the peers for.", h.Misses.Load()},
		{"er_http_cache_stale_total", "counter", "Requests that a stale response answered.", h.Stale.Load()},
		{"er_http_cache_validated_total", "counter", "Stored responses that a peer confirmed (304).", h.Validated.Load()},
		{"er_http_cache_bypassed_total", "counter", "Requests that the HTTP cache has no part in.", h.Bypassed.Load()},
		{"er_http_cache_collapsed_total", "counter", "Requests that waited for the answer to another one.", h.Collapsed.Load()},
		{"er_http_cache_stored_total", "counter", "Responses that were stored.", h.Stored.Load()},
		{"er_http_cache_invalidated_total", "counter", "Stored responses that an unsafe request dropped.", h.Invalidated.Load()},
		{"er_cache_fetched_total", "counter", "Objects that were fetched from a store.", c.Fetched.Load()},
		{"er_cache_fetched_bytes_total", "counter", "Bytes of these objects.", c.FetchedBytes.Load()},
		{"er_cache_fetch_errors_total", "counter", "Attempts to fetch an object that failed.", c.FetchErrors.Load()},
		{"er_cache_damaged_total", "counter", "Objects that had other bytes than their hash says.", c.Damaged.Load()},
		{"er_cache_disk_errors_total", "counter", "Failures of the disk of cached files.", c.DiskErrors.Load()},
		{"er_cache_evicted_total", "counter", "Copies that memory had no room for.", c.Evicted.Load()},
		{"er_cache_trimmed_total", "counter", "Files that the disk had no room for.", c.Trimmed.Load()},
		{"er_cache_encoded_total", "counter", "Encodings that were made.", c.Encoded.Load()},
		{"er_cache_memory_bytes", "gauge", "Bytes of cached bodies in memory.", uint64(u.MemoryBytes)},
		{"er_cache_disk_bytes", "gauge", "Bytes of cached files on disk.", uint64(max(u.DiskBytes, 0))},
		{"er_cache_memory_copies", "gauge", "Cached bodies in memory.", uint64(u.MemoryCopies)},
		{"er_cache_open_files", "gauge", "Cached files that are open.", uint64(u.OpenFiles)},
		{"er_cache_encodings_queued", "gauge", "Encodings that are still to be made.", uint64(u.Queued)},
	} {
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n%s %d\n", m.name, m.help, m.name, m.kind, m.name, m.value)
	}
}
