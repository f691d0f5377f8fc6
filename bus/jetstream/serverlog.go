package jetstream

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// serverLog hands the embedded server's lines on: warnings and errors, each
// once in a while, and the rest at debug level. Those about what operators have
// to do are told in our own words.
type serverLog struct {
	log zerolog.Logger
	// broken is set when the server says that it could not write: a stream does
	// not take anything any more after that, until the server is started again.
	broken *atomic.Bool

	mu      sync.Mutex
	told    map[string]time.Time
	failure string // why the server could not start its store
	damage  string // what it cannot use of it
}

// toldAgain is when a line that repeats is told again.
const (
	toldAgain = time.Minute
	maxTold   = 200
	// maxReason is how much of what follows a hint's words makes it another line.
	maxReason = 64
)

func newServerLog(log zerolog.Logger, broken *atomic.Bool) *serverLog {
	return &serverLog{log: log, broken: broken, told: map[string]time.Time{}}
}

// hints are what a line of the server means for the operator. level is that of
// the line that is told; a line that says it again is told at debug level for a
// while.
var hints = []struct {
	has   string
	level zerolog.Level
	hint  string
}{
	{"authentication error - user", zerolog.ErrorLevel, "a node or tool with another secret was refused; --bus-secret-file has to be the same on all nodes"},
	{"authentication error", zerolog.ErrorLevel, "a node or tool that showed no secret was refused; --bus-secret-file has to be given on all nodes, and --bus-tls-cert on all or on none"},
	{"authorization violation", zerolog.ErrorLevel, "another node refused this one; --bus-secret-file has to be the same on all nodes"},
	{"cluster name conflict", zerolog.ErrorLevel, wrongCluster},
	{"cluster name from remote server conflicts", zerolog.ErrorLevel, wrongCluster},
	{"duplicate name", zerolog.ErrorLevel, sameName},
	{"duplicate server name", zerolog.ErrorLevel, sameName},
	{"handshake error: remote error", zerolog.ErrorLevel, "another node did not take this one's certificate; see --bus-tls-cert and --bus-tls-ca on both"},
	{"handshake error", zerolog.ErrorLevel, "another node was refused because of its certificate, or has none; see --bus-tls-cert and --bus-tls-ca on both"},
	{"no space left", zerolog.ErrorLevel, diskFull},
	{"out of space", zerolog.ErrorLevel, diskFull},
	{"out of resources", zerolog.ErrorLevel, diskFull},
	{"trying to connect to route", zerolog.WarnLevel, "a node of --bus-peers cannot be reached"},
	{"contact with a meta leader", zerolog.WarnLevel, "waiting for a majority of the nodes"},
	{"waiting for routing", zerolog.WarnLevel, "waiting for a majority of the nodes"},
	{"no quorum", zerolog.WarnLevel, "there is no majority of the nodes: appends fail until there is, and what is in service stays"},
	{"stale connection", zerolog.WarnLevel, "the connection to another node was silent, and is made again"},
	{"error flushing", zerolog.WarnLevel, ""}, // a connection that has just ended
	{"no longer current", zerolog.WarnLevel, ""},
	{"plaintext passwords", zerolog.DebugLevel, ""}, // the secret is in memory only
	{"metalayer blocking snapshot", zerolog.DebugLevel, ""},
	{"self referential", zerolog.DebugLevel, ""},
}

const (
	wrongCluster = "a node of another cluster was met and refused; --bus-cluster has to be the same on all nodes, and --bus-peers has to name nodes of this cluster only"
	sameName     = "two nodes have the same name; --node has to be different on each"
	diskFull     = "the disk is full or fails; appends fail until there is room, and what is in service stays"
)

func (l *serverLog) tell(level zerolog.Level, format string, args []any) {
	text := fmt.Sprintf(format, args...)
	lower := strings.ToLower(text)
	if strings.Contains(lower, "critical write error") {
		l.broken.Store(true)
	}
	if _, why, ok := strings.Cut(text, "Can't start JetStream: "); ok {
		l.note(&l.failure, why)
		level = zerolog.DebugLevel // whoever starts the server tells it
	}
	if strings.HasPrefix(lower, "raft [") && strings.Contains(lower, "corrupt") {
		l.note(&l.damage, text)
	}
	hint, key := "", withoutNumbers(text)
	if level >= zerolog.InfoLevel {
		for _, h := range hints {
			if strings.Contains(lower, h.has) {
				level, hint = h.level, h.hint
				_, reason, _ := strings.Cut(lower, h.has)
				key = h.has + withoutNumbers(reason[:min(len(reason), maxReason)])
				break
			}
		}
	}
	if level == zerolog.InfoLevel { // notices: connections, start and end
		level = zerolog.DebugLevel
	}
	if level >= zerolog.WarnLevel && !l.fresh(key) {
		level = zerolog.DebugLevel
	}
	if level < l.log.GetLevel() {
		return
	}
	if hint != "" {
		l.log.WithLevel(level).Str("server", text).Msg("event bus: " + hint)
		return
	}
	l.log.WithLevel(level).Msg("event bus: " + text)
}

func (l *serverLog) note(what *string, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*what = text
}

// takeFailure is why the server could not start its store; empty: it could.
func (l *serverLog) takeFailure() string { return l.take(&l.failure) }

// takeDamage is what the server cannot use of its store; empty: it said nothing of
// that since this was last asked.
func (l *serverLog) takeDamage() string { return l.take(&l.damage) }

func (l *serverLog) take(what *string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := *what
	*what = ""
	return text
}

// withoutNumbers is what lines have in common that differ in ports and counters.
func withoutNumbers(text string) string {
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return -1
		}
		return r
	}, text)
}

// fresh says whether a line was not told lately.
func (l *serverLog) fresh(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if at, was := l.told[key]; was && now.Sub(at) < toldAgain {
		return false
	}
	if len(l.told) >= maxTold {
		clear(l.told)
	}
	l.told[key] = now
	return true
}

// The server's Logger interface. Its notices are about connections and start-up.

// Noticef implements server.Logger.
func (l *serverLog) Noticef(format string, v ...any) { l.tell(zerolog.InfoLevel, format, v) }

// Warnf implements server.Logger.
func (l *serverLog) Warnf(format string, v ...any) { l.tell(zerolog.WarnLevel, format, v) }

// Fatalf implements server.Logger. The server does not end the process itself.
func (l *serverLog) Fatalf(format string, v ...any) { l.tell(zerolog.ErrorLevel, format, v) }

// Errorf implements server.Logger.
func (l *serverLog) Errorf(format string, v ...any) { l.tell(zerolog.ErrorLevel, format, v) }

// Debugf implements server.Logger.
func (l *serverLog) Debugf(format string, v ...any) { l.tell(zerolog.TraceLevel, format, v) }

// Tracef implements server.Logger.
func (l *serverLog) Tracef(string, ...any) {}
