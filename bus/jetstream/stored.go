package jetstream

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/minio/highwayhash"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"edgerouter/bus"
)

// OpenStored returns the log that a stopped node of a cluster has on disk: what it
// had when it ended, which may lack the last entries of the cluster. folder is the
// data folder of its bus (DATA/bus), or one that a node put aside
// (DATA/bus/cluster.deleted-TIME). Nothing is written there; the log that comes
// back is read-only, and its appends fail with ErrStored.
//
// ErrLocked when a process uses the folder, fs.ErrNotExist when it has no log of a
// cluster.
func OpenStored(ctx context.Context, folder string) (bus.Log, error) {
	source := folder
	if names, err := streamFolders(folder); err != nil || len(names) == 0 {
		source = streamsFolder(filepath.Join(folder, folderCluster))
	}
	names, err := streamFolders(source)
	if err != nil {
		return nil, fmt.Errorf("reading the log of a stopped node: %w", err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("reading the log of a stopped node: there is none in %s: %w", folder, fs.ErrNotExist)
	}
	if source != folder {
		held, err := lock(folder)
		if err != nil {
			return nil, err
		}
		defer held.Close()
	}
	// The server repairs and rewrites what it reads, so it works on a copy.
	work, err := os.MkdirTemp("", "edgerouter-log-*")
	if err != nil {
		return nil, fmt.Errorf("reading the log of a stopped node: %w", err)
	}
	defer os.RemoveAll(work)
	for _, name := range names {
		if err := copyFolder(filepath.Join(source, name), filepath.Join(streamsFolder(filepath.Join(work, folderAlone)), name)); err != nil {
			return nil, fmt.Errorf("reading the log of a stopped node: %w", err)
		}
		if err := makeAlone(filepath.Join(streamsFolder(filepath.Join(work, folderAlone)), name), name); err != nil {
			return nil, fmt.Errorf("reading the log of a stopped node: %w", err)
		}
	}
	return readStored(ctx, work, len(names))
}

// makeAlone changes the description of a stream in a copy of a store so that a
// server without a cluster takes it: one replica. nats-server keeps the description
// as JSON in meta.inf, and in meta.sum its HighwayHash under the SHA-256 of the
// stream's name.
func makeAlone(folder, name string) error {
	path := filepath.Join(folder, "meta.inf")
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var description map[string]json.RawMessage
	if err := json.Unmarshal(content, &description); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	description["num_replicas"] = json.RawMessage("1")
	if content, err = json.Marshal(description); err != nil {
		return err
	}
	key := sha256.Sum256([]byte(name))
	sum, err := highwayhash.NewDigest64(key[:])
	if err != nil {
		return err
	}
	sum.Write(content)
	return errors.Join(os.WriteFile(path, content, 0o600),
		os.WriteFile(filepath.Join(folder, "meta.sum"), []byte(hex.EncodeToString(sum.Sum(nil))), 0o600))
}

// readStored reads the streams of a store in a folder of its own. A stream that the
// server could not make sense of is an error.
func readStored(ctx context.Context, work string, streams int) (bus.Log, error) {
	b := &Bus{log: zerolog.Nop(), opts: Options{Node: "reader", Embedded: Embedded{Folder: work}}, ctx: ctx}
	srv, err := startServer(b.opts, false, newServerLog(b.log, new(atomic.Bool)))
	if err != nil {
		return nil, fmt.Errorf("reading the log of a stopped node: %w", err)
	}
	defer stopServer(srv)
	nc, err := dialServer(srv, b.opts)
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	s := &session{nc: nc, ready: map[string]bool{}}
	if s.js, err = jetstream.New(nc, jetstream.WithDefaultTimeout(askTimeout)); err != nil {
		return nil, err
	}
	found, err := b.readStreams(s)
	if err != nil {
		return nil, fmt.Errorf("reading the log of a stopped node: %w", err)
	}
	if len(found) != streams {
		return nil, fmt.Errorf("reading the log of a stopped node: %w: %d of its %d streams can be read", bus.ErrDamaged, len(found), streams)
	}
	out := Stored{}
	for _, one := range found {
		out[one.stream] = one.log
	}
	return out, nil
}

// copyFolder copies all files below a folder.
func copyFolder(from, to string) error {
	return filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rest, err := filepath.Rel(from, path)
		switch {
		case err != nil:
			return err
		case e.IsDir():
			return os.MkdirAll(filepath.Join(to, rest), 0o700)
		}
		return copyFile(path, filepath.Join(to, rest))
	})
}

// Stored is the log of a stopped node, read into memory, by stream.
type Stored map[string]*bus.Memory

// ErrStored is why nothing is appended to the log of a stopped node.
var ErrStored = errors.New("this is the log of a stopped node of a cluster, which only the cluster appends to: start the node, or name a running one with --server")

// Append implements bus.Log; it fails.
func (Stored) Append(context.Context, string, ...string) (bus.Cursor, error) {
	return bus.Cursor{}, ErrStored
}

// AppendAfter implements bus.Log; it fails.
func (Stored) AppendAfter(context.Context, bus.Cursor, ...string) (bus.Cursor, error) {
	return bus.Cursor{}, ErrStored
}

// Read implements bus.Log.
func (s Stored) Read(ctx context.Context, after bus.Cursor, limit int) ([]bus.Entry, error) {
	if one, ok := s[after.Stream]; ok {
		return one.Read(ctx, after, limit)
	}
	return nil, bus.CheckStream(after.Stream)
}

// Last implements bus.Log.
func (s Stored) Last(ctx context.Context, stream string) (bus.Cursor, error) {
	if one, ok := s[stream]; ok {
		return one.Last(ctx, stream)
	}
	return bus.Start(stream), bus.CheckStream(stream)
}

// Wait implements bus.Log: nothing comes any more.
func (Stored) Wait(ctx context.Context, _ bus.Cursor) error {
	<-ctx.Done()
	return ctx.Err()
}

// Close implements bus.Log.
func (Stored) Close() error { return nil }
