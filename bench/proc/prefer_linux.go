package proc

import (
	"bytes"
	"os"
)

// PreferSession raises the weight of this process's session, and with it of all
// that is started here, against the other sessions of the machine (sched(7),
// autogroup), so that a stray process does not take a scheduler tick from what is
// measured. The returned function undoes it. Where that is not allowed or not
// known, nothing happens.
func PreferSession() (undo func()) {
	const file, preferred = "/proc/self/autogroup", "-15"
	before, err := os.ReadFile(file)
	if err != nil {
		return func() {}
	}
	i := bytes.LastIndexByte(bytes.TrimSpace(before), ' ')
	nice := bytes.TrimSpace(before)[i+1:]
	if os.WriteFile(file, []byte(preferred), 0) != nil {
		return func() {}
	}
	return func() { _ = os.WriteFile(file, nice, 0) }
}
