package jetstream

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A node of a cluster whose store the server cannot make sense of gets the log
// from the others, as one that replaces a dead node does. That is safe only while
// they have all of it among themselves: two nodes that came back empty could
// outvote the one that has the log. So the node first connects to them without a
// store, and asks.

// errDamaged: the server cannot make sense of its store.
var errDamaged = errors.New("the store of the embedded event bus is damaged")

// folderDamaged is where the damaged store of a cluster's node is put; the one
// that was there before goes.
const folderDamaged = folderCluster + ".damaged"

// outside says that the reason why a store cannot be used is not in the store.
func outside(why string) bool {
	why = strings.ToLower(why)
	for _, cause := range []string{"no space", "quota", "permission denied", "not permitted", "read-only", "too many open files", "input/output", "insufficient", "cannot allocate"} {
		if strings.Contains(why, cause) {
			return true
		}
	}
	return false
}

// leaveStore puts a store aside with which the server does not start, once the
// others have the whole log.
func (b *Bus) leaveStore(log *serverLog, damage error) error {
	if err := b.othersHaveAll(log); err != nil {
		return b.staysDamaged(damage, err)
	}
	return b.putStoreAside(damage)
}

// damaged looks after a server that runs and cannot use a part of its store, as it
// says: it keeps what votes it has, until the others have the whole log. Then
// b.damage is set, and the server has to be started anew. before is what damaged
// returned last.
func (b *Bus) damaged(s *session, before error) error {
	if s.srv == nil || !b.opts.clustered() {
		return nil
	}
	damage := before
	if why := s.log.takeDamage(); why != "" {
		damage = fmt.Errorf("%w: %s: %s", errDamaged, filepath.Join(b.opts.Folder, folderCluster), why)
	}
	if damage == nil {
		return nil
	}
	err := b.askOthers(b.ctx, s.nc)
	switch {
	case err == nil:
		b.damage = damage
	case before == nil:
		b.log.Error().Err(b.staysDamaged(damage, err)).Msg("a part of the event bus is not running; the last state stays in service")
	}
	return damage
}

func (b *Bus) staysDamaged(damage, why error) error {
	return fmt.Errorf("%w; it stays as it is until the other nodes can be seen to have the whole log (%w). To have this node start anew all the same, stop it and remove %s",
		damage, why, filepath.Join(b.opts.Folder, folderCluster))
}

// putStoreAside makes the next server start with an empty store.
func (b *Bus) putStoreAside(damage error) error {
	aside := filepath.Join(b.opts.Folder, folderDamaged)
	// What was kept at the start is in it, and is not what the cluster deleted.
	kept := os.RemoveAll(filepath.Join(b.opts.Folder, folderKept))
	if err := errors.Join(kept, os.RemoveAll(aside), os.Rename(filepath.Join(b.opts.Folder, folderCluster), aside)); err != nil {
		return fmt.Errorf("%w, and could not be put aside: %w", damage, err)
	}
	b.log.Error().Err(damage).Str("set_aside_as", aside).
		Msg("the store of the event bus is not used; the other nodes have the whole log, and this one gets it from them")
	return nil
}

// Asking the others: for the first answer they may need an election.
const (
	askOthers      = 15 * time.Second
	askOthersAgain = 250 * time.Millisecond
)

// othersHaveAll is nil when every stream has a leader and current copies without
// this node.
func (b *Bus) othersHaveAll(log *serverLog) error {
	opts := serverOptions(b.opts, true)
	opts.JetStream, opts.StoreDir = false, ""
	srv, err := runServer(opts, log)
	if err != nil {
		return err
	}
	defer stopServer(srv)
	ctx, cancel := context.WithTimeout(b.ctx, askOthers)
	defer cancel()
	again := time.NewTicker(askOthersAgain)
	defer again.Stop()
	nc, err := dialServer(srv, b.opts)
	if err != nil {
		return err
	}
	defer nc.Close()
	for {
		err := b.askOthers(ctx, nc)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-again.C:
		}
	}
}

func (b *Bus) askOthers(ctx context.Context, nc *nats.Conn) error {
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(askTimeout))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	streams := js.ListStreams(ctx)
	for info := range streams.Info() {
		if err := b.copiesElsewhere(info); err != nil {
			return err
		}
	}
	if err := streams.Err(); err != nil {
		return fmt.Errorf("asking them: %w", err)
	}
	return nil
}

// copiesElsewhere is nil when a stream has a leader and only current copies on
// the other nodes.
func (b *Bus) copiesElsewhere(info *jetstream.StreamInfo) error {
	if info.Cluster == nil || info.Cluster.Leader == "" {
		return fmt.Errorf("%s has no leader", info.Config.Name)
	}
	for _, r := range info.Cluster.Replicas {
		if r.Name != b.opts.Node && (!r.Current || r.Offline) {
			return fmt.Errorf("the copy of %s on %s lacks %d entries", info.Config.Name, r.Name, r.Lag)
		}
	}
	return nil
}
