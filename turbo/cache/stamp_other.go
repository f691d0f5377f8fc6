//go:build !linux

package cache

import "os"

// stamp is what the file system says of a copy that was checked.
type stamp struct {
	size, modified int64
}

func stampOf(_ uintptr, f *os.File) (stamp, error) {
	info, err := f.Stat()
	if err != nil {
		return stamp{}, err
	}
	return stamp{info.Size(), info.ModTime().UnixNano()}, nil
}
