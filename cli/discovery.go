package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"edgerouter/bus"
	"edgerouter/bus/jetstream"
	"edgerouter/bus/remote"
	"edgerouter/discovery/stream"
	"edgerouter/metrics"
)

func discoveryCommand() *cobra.Command {
	return group("discovery", "Applications in the event log",
		discoveryLs(), discoveryCat(), discoveryPut(), discoveryRm(), discoveryHistory(), discoveryRollback(),
		discoveryCopy(), discoveryWait())
}

// logFlags say which event log a command works on: that of a running node
// (--server), or the one that the flags of serve name.
type logFlags struct {
	busSettings
	node
	data string
}

func (l *logFlags) addFlags(cmd *cobra.Command) {
	l.busSettings.addFlags(cmd.Flags())
	l.node.addFlags(cmd)
	cmd.Flags().StringVar(&l.data, "data", "/var/lib/edgerouter", "`folder` of an embedded bus")
}

// resolve fills in the environment as serve does.
func (l *logFlags) resolve(cmd *cobra.Command) error {
	settings := append(slices.Clone(busEnvironment), setting{flag: "data"})
	for _, v := range settings {
		if err := v.fromEnvironment(cmd.Flags(), os.LookupEnv); err != nil {
			return err
		}
	}
	if l.bus == busOff && l.server == "" {
		return usagef("--bus off: there is no event log to work on; name a bus, or a running node with --server")
	}
	return l.busSettings.resolve(cmd.Flags(), os.LookupEnv)
}

// open opens the log. An embedded bus that a running node has is reached through
// that node's API.
func (l *logFlags) open(cmd *cobra.Command) (bus.Log, error) {
	if err := l.resolve(cmd); err != nil {
		return nil, err
	}
	if l.server != "" {
		return l.remote(l.server)
	}
	if l.bus == busEmbedded && len(l.busPeers) > 0 {
		// Beside the node of this machine there can be no other with its name.
		return l.remote("http://" + adminAddress())
	}
	if l.bus == busEmbedded {
		if _, err := os.Stat(busFolder(l.data)); errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("there is no event log in %s (--data): name the data folder of a node, or a running node with --server", l.data)
		}
	}
	log := zerolog.New(cmd.ErrOrStderr()).Level(zerolog.ErrorLevel)
	opened, err := l.busSettings.open(cmd.Context(), l.data, metrics.NewSet(), log)
	switch {
	case errors.Is(err, jetstream.ErrLocked):
		return l.remote("http://" + adminAddress())
	case errors.Is(err, jetstream.ErrCluster):
		return openStored(cmd, busFolder(l.data))
	}
	return opened, err
}

// openStored opens the log of a stopped node of a cluster, for reading only.
func openStored(cmd *cobra.Command, folder string) (bus.Log, error) {
	log, err := jetstream.OpenStored(cmd.Context(), folder)
	if err == nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s has the log of a stopped node of a cluster: it is read as it is, and may lack what the cluster has appended since\n", folder)
	}
	return log, err
}

// remote is the log of a running node. The token of a node on this machine is in
// its data folder.
func (l *logFlags) remote(server string) (bus.Log, error) {
	path := l.tokenFile
	if path == "" {
		path = filepath.Join(l.data, "admin-token")
		if _, err := os.Stat(path); err != nil {
			path = ""
		}
	}
	token := ""
	if path != "" {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("--token-file: %w", err)
		}
		token = strings.TrimSpace(string(content))
	}
	log, err := remote.New(server, token)
	if err != nil {
		return nil, usageError{err}
	}
	return log, nil
}

// commandPatience bounds what a command waits for a bus.
const commandPatience = 30 * time.Second

// withLog runs f with the log.
func (l *logFlags) withLog(cmd *cobra.Command, f func(ctx context.Context, log bus.Log) error) error {
	log, err := l.open(cmd)
	if err != nil {
		return err
	}
	defer log.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), commandPatience)
	defer cancel()
	return f(ctx, log)
}

// entries reads a whole stream. Those who accept appends know where it ends, and
// what is read may be behind that for a moment.
func entries(ctx context.Context, log bus.Log, path string) ([]bus.Entry, error) {
	last, err := lastOf(ctx, log, path)
	if err != nil {
		return nil, err
	}
	var all []bus.Entry
	at := bus.Start(path)
	for at.Version < last.Version {
		some, err := log.Read(ctx, at, 1000)
		if err != nil {
			return nil, err
		}
		if len(some) == 0 {
			if err := log.Wait(ctx, at); err != nil {
				return nil, fmt.Errorf("waiting for version %d of %s: %w", at.Version+1, path, err)
			}
			continue
		}
		all = append(all, some...)
		at = all[len(all)-1].Cursor
	}
	return all, nil
}

// lastOf asks until the bus has come up.
func lastOf(ctx context.Context, log bus.Log, path string) (bus.Cursor, error) {
	for {
		last, err := log.Last(ctx, path)
		if err == nil || !errors.Is(err, bus.ErrUnavailable) || strings.Contains(err.Error(), "--server") || ctx.Err() != nil {
			return last, err
		}
		t := time.NewTimer(200 * time.Millisecond)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return last, err
		}
	}
}

// state is what a stream's entries add up to.
func state(all []bus.Entry) *stream.State {
	s := &stream.State{}
	for _, e := range all {
		s.Apply(e)
	}
	return s
}

// current reads the state of the applications, and where it is of.
func (l *logFlags) current(ctx context.Context, log bus.Log) (*stream.State, bus.Cursor, error) {
	path := stream.Path(l.tenant)
	all, err := entries(ctx, log, path)
	if err != nil {
		return nil, bus.Cursor{}, err
	}
	at := bus.Start(path)
	if len(all) > 0 {
		at = all[len(all)-1].Cursor
	}
	return state(all), at, nil
}

// unknownApp is the error for an id that is not there.
func unknownApp(s *stream.State, id string) error {
	return fmt.Errorf("there is no application %q in %s; edgerouter discovery ls lists the %d that are there", id, s.At().Stream, len(s.Apps()))
}
