package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"edgerouter/bus"
	"edgerouter/bus/jetstream"
	"edgerouter/metrics"
)

// backupPrefix names a file as a log: backup:PATH.
const backupPrefix = "backup:"

// storedPrefix names the log of a stopped node of a cluster: store:DATA/bus, or a
// folder that a node put aside.
const storedPrefix = "store:"

func discoveryCopy() *cobra.Command {
	var l logFlags
	var from, to string
	var streams []string
	cmd := &cobra.Command{
		Use:   "copy --from BUS --to BUS",
		Short: "Copy the event log from one bus to another, or to a file and back",
		Long: `Copies streams entry by entry, so that every event keeps its version. What the destination has already
is compared; a copy that was broken off goes on where it was, and one to a log with other events fails.

BUS is what --bus takes, or the URL of a running node's admin listener, or backup:FILE, which is a file
with one entry in a line, or (to read) store:FOLDER, which is the log of a stopped node of a cluster:
DATA/bus, or a folder in it that the node put aside.

Without --stream that is everything: applications, certificates and the vault of ACME, so that what is
restored has its certificates.`,
		Example: `  edgerouter discovery copy --from http://127.0.0.1:9090 --to backup:events.jsonl
  edgerouter discovery copy --from embedded --to nats://10.0.0.1:4222`,
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if from == "" || to == "" || from == to {
				return usagef("name two different buses with --from and --to")
			}
			if err := l.resolve(cmd); err != nil {
				return err
			}
			if len(streams) == 0 {
				for _, name := range []string{"loadbalancer", "certbus", "vault"} {
					streams = append(streams, bus.StreamPath(l.tenant, name))
				}
			}
			source, err := l.named(cmd, from)
			if err != nil {
				return fmt.Errorf("--from %s: %w", shownBus(from), err)
			}
			defer source.Close()
			if path, ok := strings.CutPrefix(to, backupPrefix); ok {
				return writeBackup(cmd, source, path, streams)
			}
			destination, err := l.named(cmd, to)
			if err != nil {
				return fmt.Errorf("--to %s: %w", shownBus(to), err)
			}
			defer destination.Close()
			return copyStreams(cmd, source, destination, streams)
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "`BUS` to read")
	cmd.Flags().StringVar(&to, "to", "", "`BUS` to append to")
	cmd.Flags().StringSliceVar(&streams, "stream", nil, "`paths` of the streams (default /t-N/loadbalancer, /t-N/certbus and /t-N/vault)")
	l.addFlags(cmd)
	return cmd
}

// shownBus is a bus without the password that its URL may have.
func shownBus(text string) string {
	if i := strings.LastIndexByte(text, '@'); i >= 0 {
		if scheme, _, ok := strings.Cut(text, "://"); ok {
			return scheme + "://" + text[i+1:]
		}
	}
	return text
}

// named opens the log that an argument names, with the other flags as they are.
func (l *logFlags) named(cmd *cobra.Command, name string) (bus.Log, error) {
	if path, ok := strings.CutPrefix(name, backupPrefix); ok {
		return readBackup(path)
	}
	if path, ok := strings.CutPrefix(name, storedPrefix); ok {
		return openStored(cmd, path)
	}
	other := *l
	if strings.HasPrefix(name, "http://") || strings.HasPrefix(name, "https://") {
		return other.remote(name)
	}
	other.bus, other.server = name, ""
	if err := other.busSettings.resolve(cmd.Flags(), os.LookupEnv); err != nil {
		return nil, err
	}
	if other.bus == busOff {
		return nil, usagef("off is no bus")
	}
	if other.bus == busEmbedded && len(other.busPeers) > 0 {
		return other.remote("http://" + adminAddress())
	}
	log, err := other.busSettings.open(cmd.Context(), other.data, metrics.NewSet(), zerolog.New(cmd.ErrOrStderr()).Level(zerolog.ErrorLevel))
	if errors.Is(err, jetstream.ErrCluster) {
		return openStored(cmd, busFolder(other.data))
	}
	return log, err
}

func copyStreams(cmd *cobra.Command, from, to bus.Log, streams []string) error {
	for _, s := range streams {
		ctx, cancel := context.WithTimeout(cmd.Context(), commandPatience)
		last, err := lastOf(ctx, from, s)
		if err == nil {
			_, err = lastOf(ctx, to, s)
		}
		cancel()
		if err != nil {
			return err
		}
		if last.Version < 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: the source has no such stream\n", s)
			continue
		}
		done, err := bus.Copy(cmd.Context(), from, to, s, func(c bus.Copied) {
			if c.Appended%1000 == 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s: %d of %d entries\n", s, c.There+c.Appended, last.Version)
			}
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s appended, %d were there\n", s, countEntries(done.Appended), done.There)
	}
	return nil
}

// writeBackup writes whole streams into a file, which is there when all of it is.
// The file is for its owner only, because definitions hold secrets.
func writeBackup(cmd *cobra.Command, from bus.Log, path string, streams []string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".backup-*")
	if err != nil {
		return fmt.Errorf("--to backup:%s: %w", path, err)
	}
	defer os.Remove(f.Name())
	w := bufio.NewWriter(f)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	n := 0
	for _, s := range streams {
		ctx, cancel := context.WithTimeout(cmd.Context(), commandPatience)
		all, err := entries(ctx, from, s)
		cancel()
		if err != nil {
			return err
		}
		for _, e := range all {
			if err := enc.Encode(e); err != nil {
				return err
			}
		}
		n += len(all)
	}
	if err := errors.Join(w.Flush(), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s of %d streams in %s\n", countEntries(int64(n)), len(streams), path)
	return nil
}

// readBackup reads a file of entries, one JSON object after the other.
func readBackup(path string) (bus.Log, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	dec := json.NewDecoder(bufio.NewReader(f))
	dec.DisallowUnknownFields()
	var all []bus.Entry
	for dec.More() {
		var e bus.Entry
		if err := dec.Decode(&e); err != nil {
			return nil, fmt.Errorf("%s: entry %d is damaged, or the file is no backup: %w", path, len(all)+1, err)
		}
		if err := bus.CheckStream(e.Stream); err != nil {
			return nil, fmt.Errorf("%s: entry %d: %w", path, len(all)+1, err)
		}
		all = append(all, e)
	}
	log, err := bus.NewMemory(all)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return log, nil
}

func countEntries(n int64) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprint(n, " entries")
}
