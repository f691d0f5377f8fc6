package acme

import (
	"github.com/rs/zerolog"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// newZap is a zap logger, which certmagic wants, that writes to a zerolog one: a
// level lower than it was meant, because what matters to operators is told by
// this package in their words.
func newZap(log zerolog.Logger) *zap.Logger {
	return zap.New(&zapCore{log: log}, zap.WithFatalHook(zapcore.WriteThenGoexit))
}

type zapCore struct {
	log    zerolog.Logger
	fields []zapcore.Field
}

func (c *zapCore) level(l zapcore.Level) zerolog.Level {
	switch {
	case l >= zapcore.ErrorLevel:
		return zerolog.InfoLevel
	case l >= zapcore.InfoLevel:
		return zerolog.DebugLevel
	}
	return zerolog.TraceLevel
}

// Enabled implements zapcore.Core.
func (c *zapCore) Enabled(l zapcore.Level) bool { return c.level(l) >= c.log.GetLevel() }

// With implements zapcore.Core.
func (c *zapCore) With(fields []zapcore.Field) zapcore.Core {
	return &zapCore{c.log, append(c.fields[:len(c.fields):len(c.fields)], fields...)}
}

// Check implements zapcore.Core.
func (c *zapCore) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

// Write implements zapcore.Core.
func (c *zapCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range c.fields {
		f.AddTo(enc)
	}
	for _, f := range fields {
		f.AddTo(enc)
	}
	c.log.WithLevel(c.level(e.Level)).Fields(enc.Fields).Str("part", "certmagic").Msg(e.Message)
	return nil
}

// Sync implements zapcore.Core.
func (c *zapCore) Sync() error { return nil }
