package cli

import (
	"fmt"
	"io"

	"edgerouter/gateway"
	"edgerouter/metrics"
	"edgerouter/server"
	"edgerouter/upstream"
)

// registerMetrics registers the figures of the parts that count for themselves.
func (e *edge) registerMetrics() {
	m := e.metrics
	gauge := func(name, help string, f func() float64) {
		m.Help(name, help)
		m.Gauge(name, f)
	}
	gauge("er_connections", "Open client connections.", func() float64 { return float64(e.server.Open()) })
	gauge("er_draining", "1 while the node is about to stop.", func() float64 {
		if e.draining.Load() {
			return 1
		}
		return 0
	})
	m.Help("er_build_info", "The version that runs.")
	m.Gauge(metrics.Name("er_build_info", "version", version()), func() float64 { return 1 })
}

// writeCounters writes what the parts count by themselves.
func (e *edge) writeCounters(w io.Writer) {
	server, up := &e.server.Stats, e.upstream
	for _, c := range []struct {
		name, help string
		value      func() uint64
	}{
		{"er_connections_accepted_total", "Client connections that were accepted.", server.Accepted.Load},
		{"er_requests_refused_total", "Requests that could not be read and were answered 400, 408, 414, 431, 501 or 505.", server.Refused.Load},
		{"er_tls_handshake_errors_total", "TLS handshakes of clients that failed.", server.HandshakeErrors.Load},
		{"er_proxy_protocol_errors_total", "Connections that were closed because their PROXY header was missing, malformed or not of a trusted proxy.", server.ProxyErrors.Load},
		{"er_client_gone_total", "Requests whose client left before the answer.", server.ClientGone.Load},
		{"er_received_bytes_total", "Bytes of request bodies that were read.", server.BytesReceived.Load},
		{"er_sent_bytes_total", "Bytes of responses that were sent.", server.BytesSent.Load},
		{"er_retries_total", "Requests that were tried on another peer.", up.Retries.Load},
		{"er_retries_denied_total", "Retries that the budget did not allow.", up.RetriesDenied.Load},
		{"er_stale_connections_total", "Pooled connections that the peer had closed when they were taken.", up.Stale.Load},
		{"er_connect_errors_total", "Connections to peers that could not be opened.", up.ConnectErrors.Load},
		{"er_upgrades_total", "Connections that were switched to another protocol.", up.Tunnels.Load},
		{"er_log_dropped_total", "Access log lines that were dropped because the reader was too slow.", e.access.dropped.Load},
	} {
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s counter\n%s %d\n", c.name, c.help, c.name, c.name, c.value())
	}
}

// writeLimits writes how often the limits of the listeners acted.
func writeLimits(w io.Writer, s *server.Server) {
	const name = "er_limit_hits_total"
	fmt.Fprintf(w, "# HELP %s How often a limit of the listeners acted, by its setting.\n# TYPE %s counter\n", name, name)
	s.LimitHits(func(setting string, n uint64) {
		fmt.Fprintf(w, "%s %d\n", metrics.Name("er_limit_hits_total", "limit", setting), n)
	})
}

// writePeers writes the figures of the peers that are in service now; they are
// bounded by what is configured.
func writePeers(w io.Writer, s *gateway.Snapshot) {
	type series struct {
		name, kind, help string
		value            func(p upstream.PeerStatus) float64
	}
	is := func(state string) func(upstream.PeerStatus) float64 {
		return func(p upstream.PeerStatus) float64 {
			if p.State == state {
				return 1
			}
			return 0
		}
	}
	type row struct {
		app string
		upstream.PeerStatus
	}
	var rows []row
	for a := range s.Apps.All() {
		for _, p := range a.Peers() {
			rows = append(rows, row{a.ID(), p})
		}
	}
	for _, m := range []series{
		{"er_peer_up", "gauge", "1 for a peer that takes requests.", is("up")},
		{"er_peer_ejected", "gauge", "1 for a peer that passive health keeps out.", is("ejected")},
		{"er_peer_ejections_total", "counter", "Ejections of the peer by passive health.", func(p upstream.PeerStatus) float64 { return float64(p.Ejections) }},
		{"er_peer_returns_total", "counter", "Ejections of the peer that are over.", func(p upstream.PeerStatus) float64 { return float64(p.Returns) }},
		{"er_peer_in_flight", "gauge", "Requests that the peer is working on.", func(p upstream.PeerStatus) float64 { return float64(p.InFlight) }},
		{"er_peer_requests_total", "counter", "Requests that were handed to the peer.", func(p upstream.PeerStatus) float64 { return float64(p.Requests) }},
		{"er_peer_failures_total", "counter", "Requests that the peer failed.", func(p upstream.PeerStatus) float64 { return float64(p.Failures) }},
	} {
		if len(rows) == 0 {
			return
		}
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", m.name, m.help, m.name, m.kind)
		for _, r := range rows {
			fmt.Fprintf(w, "%s %v\n", metrics.Name(m.name, "app", r.app, "peer", r.Addr), m.value(r.PeerStatus))
		}
	}
}
