package watch

import (
	"os"
	"path/filepath"
	"strings"
)

// maxLinks bounds the symbolic links on the way to a file, as the kernel does.
const maxLinks = 40

// places are what matters for a path at one moment.
type places struct {
	// dirs are the directories to watch.
	dirs map[string]os.FileInfo
	// links are the paths whose change can change everything: the path itself
	// and what it leads through.
	links map[string]bool
	// folders are those whose files are what is watched for.
	folders map[string]bool
}

// find says what matters for path now.
func find(path string, depth int) places {
	p := places{dirs: map[string]os.FileInfo{}, links: map[string]bool{}, folders: map[string]bool{}}
	path = filepath.Clean(path)
	p.through(path)
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		p.folder(path, depth)
	}
	return p
}

// through adds what lies on the way to path: it, the symbolic links it leads
// through, and the directories that hold them. Of a path that is not there, the
// nearest directory above it that is.
func (p places) through(path string) {
	for range maxLinks {
		p.links[path] = true
		if !p.watch(filepath.Dir(path)) {
			p.above(path)
			return
		}
		target, ok := p.firstLink(path)
		if !ok {
			return
		}
		path = target
	}
}

// firstLink finds the first symbolic link in path and returns path with it replaced.
func (p places) firstLink(path string) (string, bool) {
	at := ""
	if filepath.IsAbs(path) {
		at = string(filepath.Separator)
	}
	parts := strings.Split(strings.Trim(path, string(filepath.Separator)), string(filepath.Separator))
	for i, part := range parts {
		at = filepath.Join(at, part)
		info, err := os.Lstat(at)
		if err != nil {
			return "", false
		}
		if info.Mode()&os.ModeSymlink == 0 {
			continue
		}
		target, err := os.Readlink(at)
		if err != nil {
			return "", false
		}
		p.links[at] = true
		p.watch(filepath.Dir(at))
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(at), target)
		}
		return filepath.Join(append([]string{target}, parts[i+1:]...)...), true
	}
	return "", false
}

// above watches the nearest existing directory above a path that is not there.
func (p places) above(path string) {
	for path != filepath.Dir(path) {
		path = filepath.Dir(path)
		p.links[path] = true
		if p.watch(filepath.Dir(path)) {
			return
		}
	}
}

// folder adds a folder and those inside it, with the links among its entries.
func (p places) folder(path string, depth int) {
	p.folders[path] = true
	if !p.watch(path) {
		return
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return
	}
	for _, entry := range entries {
		name := filepath.Join(path, entry.Name())
		switch {
		case entry.Type()&os.ModeSymlink != 0:
			p.through(name)
			if info, err := os.Stat(name); err == nil && info.IsDir() && depth > 0 && !hidden(entry.Name()) {
				p.folder(name, depth-1)
			}
		case entry.IsDir() && depth > 0 && !hidden(entry.Name()):
			p.links[name] = true
			p.folder(name, depth-1)
		}
	}
}

// watch adds a directory, if it is one.
func (p places) watch(dir string) bool {
	if _, there := p.dirs[dir]; there {
		return true
	}
	info, err := os.Stat(dir)
	if err != nil || !info.IsDir() {
		return false
	}
	p.dirs[dir] = info
	p.links[dir] = true // its own removal or renaming
	return true
}

func hidden(name string) bool { return strings.HasPrefix(name, ".") }
