package bus

import (
	"sync"
	"time"
)

// FollowerState says how a follower is doing.
type FollowerState string

// The states of a follower.
const (
	// Starting: nothing was read yet, neither a snapshot nor the log.
	Starting FollowerState = "starting"
	// FromSnapshot: the state is that of the snapshot; the log was not reached yet.
	FromSnapshot FollowerState = "snapshot"
	// Following: all that the log is known to have is applied, or is being applied.
	Following FollowerState = "following"
	// Unreachable: the log cannot be reached or has no quorum; the last state stays.
	Unreachable FollowerState = "unreachable"
	// Damaged: the log cannot be followed; the last state stays.
	Damaged FollowerState = "damaged"
	// Stopped: the follower was ended.
	Stopped FollowerState = "stopped"
)

// FollowerStatus is what a follower has applied and how it is doing.
type FollowerStatus struct {
	Stream string        `json:"stream"`
	State  FollowerState `json:"state"`
	// Version is that of the last entry that was applied; -1: none.
	Version int64 `json:"version"`
	// Head is the last version that the log is known to have; -1: none.
	Head int64 `json:"head"`
	// Digest sums up every entry that was applied, in their order: two nodes with
	// the same version and digest applied the same.
	Digest string `json:"digest"`
	// AppliedAt is when the last entry was applied; nil: none in this process.
	AppliedAt *time.Time `json:"applied_at,omitempty"`
	// ReachedAt is when the log last answered; nil: it has not in this process.
	ReachedAt *time.Time `json:"reached_at,omitempty"`
	// SnapshotVersion is the position of the snapshot on disk; -1: there is none.
	SnapshotVersion int64  `json:"snapshot_version"`
	Error           string `json:"error,omitempty"`
}

// Lag is how many entries the log is known to have beyond what was applied.
func (s FollowerStatus) Lag() int64 { return max(s.Head-s.Version, 0) }

// statusBoard is the status that Run writes and others read.
type statusBoard struct {
	mu sync.Mutex
	s  FollowerStatus
}

func (b *statusBoard) get() FollowerStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.s
}

func (b *statusBoard) change(f func(*FollowerStatus)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(&b.s)
}
