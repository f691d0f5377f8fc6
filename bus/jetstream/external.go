package jetstream

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// dialExternal connects to a NATS cluster. The connection is kept up by itself
// from then on, whatever happens to the servers.
func (b *Bus) dialExternal() (*nats.Conn, error) {
	options := []nats.Option{
		nats.Name("edgerouter " + b.opts.Node),
		nats.Timeout(askTimeout), nats.PingInterval(5 * time.Second), nats.MaxPingsOutstanding(2),
		nats.MaxReconnects(-1), nats.ReconnectWait(250 * time.Millisecond),
		// What is published while the connection is away fails at once, and is
		// tried again by append.
		nats.ReconnectBufSize(-1),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				b.log.Warn().Err(err).Msg("the connection to the event bus was lost; it is tried again")
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			b.log.Info().Str("server", nc.ConnectedUrlRedacted()).Msg("connected to the event bus again")
			b.news.wake()
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			b.log.Warn().Err(b.explained(err)).Msg("event bus")
		}),
	}
	if b.opts.Credentials != "" {
		if err := checkCredentials(b.opts.Credentials); err != nil {
			return nil, err
		}
		options = append(options, nats.UserCredentials(b.opts.Credentials))
	}
	if b.opts.TLS != nil {
		options = append(options, nats.Secure(b.opts.TLS))
	}
	nc, err := nats.Connect(strings.Join(b.opts.URLs, ","), options...)
	if err != nil {
		return nil, fmt.Errorf("connecting to the event bus at %s (--bus): %w", strings.Join(b.Addresses(), ","), b.explained(err))
	}
	return nc, nil
}

// refused is why a connection is not there again, if a setting may be the reason:
// the client tries on without a word.
func (b *Bus) refused(nc *nats.Conn) error {
	if !b.opts.external() || !nc.IsReconnecting() {
		return nil
	}
	if err := nc.LastError(); err != nil && b.opts.hint(err) != "" {
		return b.explained(err)
	}
	return nil
}

// explained is an error with what to look at.
func (b *Bus) explained(err error) error {
	if hint := b.opts.hint(err); hint != "" {
		return fmt.Errorf("%w%s", err, hint)
	}
	return err
}

// Addresses are the servers of an external bus, without what may be secret.
func (b *Bus) Addresses() []string {
	var out []string
	for _, text := range b.opts.URLs {
		if u, err := url.Parse(text); err == nil {
			out = append(out, u.Scheme+"://"+u.Host)
		}
	}
	return out
}
