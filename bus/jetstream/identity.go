package jetstream

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// A data folder belongs to one node. A cluster's server knows its members by
// name: one that comes back under another name is a stranger to it, whose copies
// of the log are nobody's and are deleted. So the name is written down at the
// first start, and every other one is refused.

// identityFile is in the folder of the embedded bus.
const identityFile = "node.json"

// identity is what the file holds.
type identity struct {
	Node string `json:"node"`
}

// ErrIdentity reports that the folder belongs to a node of another name.
var ErrIdentity = errors.New("the folder belongs to another node")

// RecordedNode returns the name of the node that the folder of an embedded bus
// belongs to; empty when no node has used it yet.
func RecordedNode(folder string) (string, error) {
	path := filepath.Join(folder, identityFile)
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("reading whose folder this is (--data): %w", err)
	}
	var id identity
	if err := json.Unmarshal(content, &id); err != nil || id.Node == "" {
		return "", fmt.Errorf(`%s is damaged: it should read {"node": "NAME"} with the name (--node) that this node had`, path)
	}
	return id.Node, nil
}

// ErrCluster reports that a node alone was to use the folder of a cluster's node.
var ErrCluster = errors.New("the log in this folder is that of a node of a cluster")

// checkFolder checks that the folder fits the options: it is this node's, and a
// node that was one of a cluster does not go on alone with a log of its own, in
// which nothing of the cluster's would be. The folder is locked.
func checkFolder(o Options) error {
	if !o.clustered() {
		streams, err := streamFolders(streamsFolder(filepath.Join(o.Folder, folderCluster)))
		if err != nil {
			return fmt.Errorf("looking for the log of a cluster (--data): %w", err)
		}
		if len(streams) > 0 {
			return fmt.Errorf("%s (--data): %w, and --bus-peers names no other node: start it with the --bus-listen and --bus-peers that it had; edgerouter discovery copy --from store:%s reads its log while it is stopped",
				filepath.Dir(o.Folder), ErrCluster, o.Folder)
		}
	}
	return identify(o)
}

// Rename gives the folder of an embedded bus to a node of another name. That is for
// a node alone: the other members of a cluster know this one by its name, so the
// name of one that was in a cluster stays (ErrCluster). ErrLocked while a process
// uses the folder.
func Rename(folder, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	held, err := lock(folder)
	if err != nil {
		return err
	}
	defer held.Close()
	members, err := metaMembers(filepath.Join(folder, folderCluster))
	if err != nil {
		return err
	}
	streams, err := streamFolders(streamsFolder(filepath.Join(folder, folderCluster)))
	if err != nil {
		return fmt.Errorf("looking for the log of a cluster (--data): %w", err)
	}
	if len(members) > 0 || len(streams) > 0 {
		return fmt.Errorf("renaming the node of %s (--data) to %s: %w: its other members know it by the name it has, and would delete its copy of the log", filepath.Dir(folder), name, ErrCluster)
	}
	return writeIdentity(folder, name)
}

// identify checks that the folder is this node's, and records the name when no
// node has used it yet. The folder is locked.
func identify(o Options) error {
	recorded, err := RecordedNode(o.Folder)
	if err != nil {
		return err
	}
	if recorded == o.Node {
		return nil
	}
	if recorded != "" {
		return fmt.Errorf("--node %s: %w: %s (--data) is the folder of node %s, and a cluster deletes the log of a member that changes its name; start it as --node %s, or without --node; edgerouter node rename %s renames a node that is in no cluster",
			o.Node, ErrIdentity, filepath.Dir(o.Folder), recorded, recorded, o.Node)
	}
	// A folder of a version that did not record names: the cluster's members are
	// known by a hash of theirs.
	members, err := metaMembers(filepath.Join(o.Folder, folderCluster))
	if err != nil {
		return err
	}
	if len(members) > 0 && !slices.Contains(members, memberID(o.Node)) {
		return fmt.Errorf("--node %s: %w: the cluster whose log is in %s (--data) has no member of that name, and would delete the log of one that comes back as another; start it under the name that it had",
			o.Node, ErrIdentity, filepath.Dir(o.Folder))
	}
	return writeIdentity(o.Folder, o.Node)
}

// writeIdentity replaces the file as a whole, so that a power cut leaves the old
// one or the new one.
func writeIdentity(folder, node string) error {
	content, err := json.Marshal(identity{Node: node})
	if err != nil {
		return err
	}
	path := filepath.Join(folder, identityFile)
	f, err := os.CreateTemp(folder, "."+identityFile+"-*")
	if err != nil {
		return fmt.Errorf("recording the name of this node (--data): %w", err)
	}
	defer os.Remove(f.Name()) // of no effect once it is renamed
	_, err = f.Write(append(content, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		err = syncFolder(folder)
	}
	if err != nil {
		return fmt.Errorf("recording the name of this node (--data): %w", err)
	}
	return nil
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// memberIDLength is the length of the ids by which nats-server's consensus groups
// know their members.
const memberIDLength = 8

// memberID is the id of a server's name: eight digits of base 62 from its SHA-256.
func memberID(name string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum := sha256.Sum256([]byte(name))
	id := make([]byte, memberIDLength)
	for i := range id {
		id[i] = digits[int(sum[i])%len(digits)]
	}
	return string(id)
}

// metaMembers returns the ids of the members that a cluster's store knows; none
// when the store is new. nats-server keeps them in peers.idx of its meta group: the
// size of the cluster and the number of members as 32 bits each, little endian,
// then the ids. A file that is damaged says nothing here: the server finds that out
// itself, see rebuild.go.
func metaMembers(store string) ([]string, error) {
	path := filepath.Join(store, "jetstream", "$SYS", "_js_", "_meta_", "peers.idx")
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the members of the cluster (--data): %w", err)
	}
	if len(content) < 8 {
		return nil, nil
	}
	n := int64(binary.LittleEndian.Uint32(content[4:]))
	content = content[8:]
	if n > maxNodes || n*memberIDLength > int64(len(content)) {
		return nil, nil
	}
	members := make([]string, n)
	for i := range members {
		members[i] = string(content[i*memberIDLength : (i+1)*memberIDLength])
	}
	return members, nil
}
