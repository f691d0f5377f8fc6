package cli

import (
	"os"
	"path/filepath"

	"github.com/rs/zerolog"
)

// makeData makes the data folder for this user alone, and has all that the process
// makes from now on be readable by nobody else: there are keys, tokens and visitors'
// responses below it.
func makeData(folder string) error {
	maskFiles()
	return os.MkdirAll(folder, 0o700)
}

// tellWide warns of what is in the data folder and open to other users, made by an
// earlier version or by hand.
func tellWide(folder string, log zerolog.Logger) {
	tell := func(path string) bool {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm()&0o077 == 0 {
			return false
		}
		log.Warn().Str("path", path).Stringer("mode", info.Mode()).
			Msg("the data folder (--data) is open to other users of this machine: chmod -R go-rwx " + folder)
		return true
	}
	if tell(folder) {
		return
	}
	below, _ := os.ReadDir(folder)
	for _, entry := range below {
		if tell(filepath.Join(folder, entry.Name())) {
			return
		}
	}
}
