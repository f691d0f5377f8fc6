package jetstream

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"edgerouter/bus"
)

// The way from a node alone to a cluster. A server with a cluster cannot use the
// store of one without: it would delete what the cluster does not know. So the log
// is read out before the cluster's server starts, and copied into the cluster
// once that has a quorum. The old store stays until then, and is put aside under
// another name afterwards; a process that ends on the way begins again.

// storedLog is one stream of the store that a node alone had.
type storedLog struct {
	stream string
	log    *bus.Memory
}

// readAlone reads what the node had before it became one of a cluster.
func (b *Bus) readAlone(log *serverLog) ([]storedLog, error) {
	folder := filepath.Join(b.opts.Folder, folderAlone)
	if _, err := os.Stat(folder); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	closed := b.opts
	closed.Client = ""
	srv, err := startServer(closed, false, log)
	if err != nil {
		return nil, fmt.Errorf("reading the log that this node had alone (%s): %w", folder, err)
	}
	defer stopServer(srv)
	nc, err := dialServer(srv, b.opts)
	if err != nil {
		return nil, err
	}
	s := &session{nc: nc, ready: map[string]bool{}}
	defer nc.Close()
	if s.js, err = jetstream.New(nc, jetstream.WithDefaultTimeout(askTimeout)); err != nil {
		return nil, err
	}
	found, err := b.readStreams(s)
	if err != nil {
		return nil, fmt.Errorf("reading the log that this node had alone (%s): %w", folder, err)
	}
	if len(found) == 0 {
		return nil, b.putAside()
	}
	b.moving.Store(true)
	return found, nil
}

// readStreams reads all event streams of a server.
func (b *Bus) readStreams(s *session) ([]storedLog, error) {
	var found []storedLog
	names := s.js.StreamNames(b.ctx)
	for name := range names.Name() {
		stream, ours := streamPath(name)
		if !ours {
			continue
		}
		one, err := b.readWhole(s, stream)
		if err != nil {
			return nil, err
		}
		found = append(found, storedLog{stream, one})
	}
	return found, names.Err()
}

func (b *Bus) readWhole(s *session, stream string) (*bus.Memory, error) {
	var all []bus.Entry
	for at := bus.Start(stream); ; {
		some, more, err := b.batch(b.ctx, s, at, 1000)
		if err != nil {
			return nil, err
		}
		if all = append(all, some...); len(some) == 0 || !more {
			return bus.NewMemory(all)
		}
		at = some[len(some)-1].Cursor
	}
}

// moveIn copies the log into the cluster, however long that takes to have a quorum.
func (b *Bus) moveIn(old []storedLog) {
	defer b.moving.Store(false)
	told := ""
	for _, o := range old {
		for {
			ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
			done, err := bus.Copy(ctx, o.log, mover{b}, o.stream, nil)
			cancel()
			if err == nil {
				b.log.Info().Str("stream", o.stream).Int64("appended", done.Appended).Int64("there", done.There).
					Msg("the log that this node had alone is in the cluster's")
				break
			}
			if b.ctx.Err() != nil {
				return
			}
			if errors.Is(err, bus.ErrDiverged) {
				b.log.Error().Str("stream", o.stream).Str("folder", filepath.Join(b.opts.Folder, folderAlone)).Err(err).
					Msg("the cluster has a log of its own, so the one that this node had alone was left where it is; edgerouter discovery copies what is wanted of it")
				return
			}
			if err.Error() != told {
				told = err.Error()
				b.log.Warn().Str("stream", o.stream).Err(err).Msg("the log that this node had alone is not in the cluster's yet; it is tried until it is")
			}
			t := time.NewTimer(time.Second)
			select {
			case <-t.C:
			case <-b.ctx.Done():
				t.Stop()
				return
			}
		}
	}
	if err := b.putAside(); err != nil {
		b.log.Error().Err(err).Msg("the log is in the cluster, and its old store could not be put aside")
	}
}

// putAside renames the store of the node alone, once the cluster has all of it.
func (b *Bus) putAside() error {
	folder := filepath.Join(b.opts.Folder, folderAlone)
	return os.Rename(folder, folder+".moved-"+time.Now().UTC().Format(asideTime))
}

// mover is the bus for moveIn, while others have to wait for it.
type mover struct{ b *Bus }

func (m mover) Append(ctx context.Context, stream string, events ...string) (bus.Cursor, error) {
	return m.b.append(ctx, stream, nil, events)
}

func (m mover) AppendAfter(ctx context.Context, after bus.Cursor, events ...string) (bus.Cursor, error) {
	return m.b.append(ctx, after.Stream, &after.Version, events)
}

func (m mover) Read(ctx context.Context, after bus.Cursor, limit int) ([]bus.Entry, error) {
	return m.b.read(ctx, after, limit)
}

func (m mover) Last(ctx context.Context, stream string) (bus.Cursor, error) {
	return m.b.last(ctx, stream)
}

func (m mover) Wait(ctx context.Context, after bus.Cursor) error { return m.b.Wait(ctx, after) }

func (m mover) Close() error { return nil }

// errMoving is why the log cannot be used while it is on its way into the cluster.
var errMoving = fmt.Errorf("%w: the log that this node had alone is being copied into the cluster, which needs a majority of its nodes", bus.ErrUnavailable)
