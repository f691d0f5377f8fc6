package cli

import (
	"time"

	"github.com/spf13/pflag"
)

// clientSettings are how long clients may take over what they are sent and what
// they send.
type clientSettings struct {
	writeIdle, linger time.Duration
}

var clientEnvironment = []setting{
	{flag: "write-idle"},
	{flag: "linger"},
}

func (s *clientSettings) addFlags(f *pflag.FlagSet) {
	f.DurationVar(&s.writeIdle, "write-idle", 5*time.Minute, "`duration` for which a client may take nothing of its response before its connection is reset")
	f.DurationVar(&s.linger, "linger", 5*time.Minute, "`duration` for which the rest of a request's body is read after an early answer, as long as it keeps coming")
}

func (s *clientSettings) check() error {
	for _, d := range []struct {
		flag  string
		value time.Duration
	}{{"write-idle", s.writeIdle}, {"linger", s.linger}} {
		if d.value <= 0 {
			return usagef("--%s %s: want a duration above 0, such as 5m", d.flag, d.value)
		}
	}
	return nil
}
