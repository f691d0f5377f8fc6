package jetstream

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A server of a cluster deletes the copy of a stream that the cluster does not
// know of: when a majority of its members came up empty, for one. Entries that
// were acknowledged must not go that way, so before each start of such a server
// the streams are kept a second time, as they are. When a stream is deleted, that
// copy is put aside for good, and reported.

const (
	// folderKept holds the streams as they were at the last start.
	folderKept = "kept"
	// deletedSuffix is followed by the time in the names of folders that hold what
	// the server deleted.
	deletedSuffix = ".deleted-"
	asideTime     = "20060102T150405.000"
)

// streamsFolder is where a server has its streams, below its store.
func streamsFolder(store string) string {
	return filepath.Join(store, "jetstream", "$G", "streams")
}

// streamFolders returns the names of the event streams that have a folder in a
// store, without looking into them.
func streamFolders(folder string) ([]string, error) {
	found, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range found {
		if _, ours := streamPath(e.Name()); ours && e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// keep makes the second copy of the streams, in place of that of the last start.
// What the last run of the server deleted is put aside before.
func (b *Bus) keep() error {
	if err := b.deleted(); err != nil {
		return err
	}
	kept := filepath.Join(b.opts.Folder, folderKept)
	source := streamsFolder(filepath.Join(b.opts.Folder, folderCluster))
	names, err := streamFolders(source)
	if err != nil {
		return fmt.Errorf("keeping the streams of the event bus (--data): %w", err)
	}
	b.kept = names
	if len(names) == 0 {
		return nil
	}
	fresh := kept + ".new"
	err = os.RemoveAll(fresh)
	for _, name := range names {
		err = errors.Join(err, keepFolder(filepath.Join(source, name), filepath.Join(fresh, name)))
	}
	if err == nil {
		err = errors.Join(os.RemoveAll(kept), os.Rename(fresh, kept), syncFolder(b.opts.Folder))
	}
	if err != nil {
		return fmt.Errorf("keeping the streams of the event bus before the cluster's server starts (--data): %w; is the disk full?", err)
	}
	return nil
}

// keepFolder copies the files of a stream. A block of messages is only ever
// appended to, and all but the last one are complete: those are linked.
func keepFolder(from, to string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	found, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	last := lastBlock(found)
	for _, e := range found {
		source, target := filepath.Join(from, e.Name()), filepath.Join(to, e.Name())
		switch {
		case e.IsDir() && e.Name() == "obs":
			continue // consumers; we have none
		case e.IsDir():
			err = keepFolder(source, target)
		case blockNumber(e.Name()) < last && os.Link(source, target) == nil:
		default:
			err = copyFile(source, target)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// blockNumber is the number of a block of messages, N.blk; very large for every
// other file.
func blockNumber(name string) int {
	digits, ok := strings.CutSuffix(name, ".blk")
	n, err := strconv.Atoi(digits)
	if !ok || err != nil {
		return int(^uint(0) >> 1)
	}
	return n
}

func lastBlock(found []fs.DirEntry) int {
	last := 0
	for _, e := range found {
		if strings.HasSuffix(e.Name(), ".blk") {
			last = max(last, blockNumber(e.Name()))
		}
	}
	return last
}

func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}

// deleted puts the second copy aside when a stream of it is not in the store any
// more, and reports that. It does nothing once that was done.
func (b *Bus) deleted() error {
	kept := filepath.Join(b.opts.Folder, folderKept)
	had, err := streamFolders(kept)
	if err != nil || len(had) == 0 {
		return err
	}
	has, err := streamFolders(streamsFolder(filepath.Join(b.opts.Folder, folderCluster)))
	if err != nil {
		return err
	}
	gone := slices.DeleteFunc(had, func(name string) bool { return slices.Contains(has, name) })
	if len(gone) == 0 {
		return nil
	}
	aside := filepath.Join(b.opts.Folder, folderCluster+deletedSuffix+time.Now().UTC().Format(asideTime))
	if err := errors.Join(os.Rename(kept, aside), syncFolder(b.opts.Folder)); err != nil {
		return fmt.Errorf("putting aside what the cluster deleted of the event bus (--data): %w", err)
	}
	b.log.Error().Strs("streams", gone).Str("kept_as", aside).
		Msg("the cluster does not know these streams, and its server deleted this node's copy of them; what this node had at its start is kept: edgerouter discovery copy --from store:" + aside + " reads it")
	return nil
}
