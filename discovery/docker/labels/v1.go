package labels

import (
	"slices"
	"strings"

	"edgerouter/app"
)

// v1Part is a container, or one segment of it, as the labels of Traefik v1
// declare it.
type v1Part struct {
	front    v1Frontend
	port     int
	protocol string
	weight   int

	portLabel string
	notes     notes
}

// v1PartOptions are the labels traefik.X and traefik.SEGMENT.X.
var v1PartOptions = options[v1Part]{
	"port":     {set: func(p *v1Part, v string) (err error) { p.port, err = parsePort(v); return err }},
	"protocol": {set: func(p *v1Part, v string) (err error) { p.protocol, err = parseScheme(v); return err }},
	"weight":   setInt(0, 1000000, func(p *v1Part) *int { return &p.weight }),
}

// reserved are the words that are no names of segments.
var reserved = []string{"frontend", "backend", "docker", "swarm", "http", "tcp", "udp", "tls", "enable", "port", "protocol", "weight", "domain", "tags"}

// segmentOf is the name in traefik.NAME.port, .protocol, .weight or .frontend.X,
// in lower case.
func segmentOf(key string) (string, bool) {
	rest, ok := strings.CutPrefix(key, "traefik.")
	if !ok {
		return "", false
	}
	first, _, _ := strings.Cut(rest, ".")
	if slices.Contains(reserved, first) {
		return "", false
	}
	if i := strings.Index(rest, ".frontend."); i > 0 {
		return rest[:i], true
	}
	i := strings.LastIndexByte(rest, '.')
	if i <= 0 {
		return "", false
	}
	_, ok = v1PartOptions[rest[i+1:]]
	return rest[:i], ok
}

// isV1 says whether a label is one of Traefik v1.
func isV1(key string) bool {
	rest := strings.TrimPrefix(key, "traefik.")
	first, _, _ := strings.Cut(rest, ".")
	switch first {
	case "frontend", "backend", "port", "protocol", "weight":
		return true
	}
	_, segment := segmentOf(key)
	return segment
}

// v1 makes the applications of the labels of Traefik v1.
func (c *compiler) v1() {
	var backend v1Backend
	segments := map[string][]*label{}
	var names []string
	var base []*label
	for _, l := range c.labels {
		if l.used {
			continue
		}
		name, isSegment := segmentOf(l.key)
		rest := strings.TrimPrefix(l.key, "traefik.")
		switch {
		case isSegment:
			l.used = true
			if segments[name] == nil {
				names = append(names, name)
			}
			segments[name] = append(segments[name], l)
		case c.readTLS(l) || c.readNetwork(l):
		case rest == "backend":
			l.used = true
			c.group(l)
		case rest == "port", rest == "protocol", rest == "weight", strings.HasPrefix(rest, "frontend."):
			l.used = true
			base = append(base, l)
		case strings.HasPrefix(rest, "backend."):
			v1BackendOptions.read(&backend, &backend.notes, l, l.name[len("traefik.backend."):])
		}
	}
	if len(names) == 0 {
		c.v1Draft(c.result.ID, v1Read(base, len("traefik.")), &backend)
		return
	}
	if len(names) > maxApps {
		c.all.fail("", "", "has too many segments", "")
		names = names[:maxApps]
	}
	for _, name := range names {
		// The labels of the container are the defaults of its segments.
		part := v1Read(base, len("traefik."))
		part.read(segments[name], len("traefik.")+len(name)+1)
		written := segments[name][0].name[len("traefik."):][:len(name)]
		c.v1Draft(c.result.ID+"-"+idPart(written), part, &backend)
	}
}

func v1Read(labels []*label, skip int) *v1Part {
	p := &v1Part{weight: 1, protocol: "http"}
	p.read(labels, skip)
	return p
}

// read takes labels whose own names begin after skip bytes.
func (p *v1Part) read(labels []*label, skip int) {
	for _, l := range labels {
		key := l.name[skip:]
		if rest, ok := strings.CutPrefix(lower(key), "frontend."); ok {
			p.front.label(l, rest)
			v1FrontendOptions.read(&p.front, &p.notes, l, key[len("frontend."):])
			continue
		}
		if lower(key) == "port" {
			p.portLabel = l.name
		}
		v1PartOptions.read(p, &p.notes, l, key)
	}
}

// group is traefik.backend, which makes several containers one application.
func (c *compiler) group(l *label) {
	switch {
	case l.value == "":
	case c.opts.Named:
		if l.value != c.result.ID {
			c.first.warn(l.name, l.value, "has no effect: the application has the name of its service", "")
		}
	case idPart(l.value) == "":
		c.all.fail(l.name, l.value, "has no letter or digit in it", "")
	default:
		c.result.ID = idPart(l.value)
	}
}

// readNetwork takes the label if it asks for a network.
func (c *compiler) readNetwork(l *label) bool {
	if l.key != "traefik.docker.network" && l.key != "traefik.swarm.network" {
		return false
	}
	l.used = true
	c.result.Network, c.result.NetworkLabel = l.value, l.name
	return true
}

// v1Draft makes the application of one part.
func (c *compiler) v1Draft(id string, p *v1Part, b *v1Backend) {
	d := &draft{id: id, portLabel: p.portLabel}
	d.peer = Peer{Scheme: p.protocol, Port: p.port, Weight: p.weight}
	d.peers.PassHostHeader = p.front.passHost == nil || *p.front.passHost
	d.notes.add(p.notes)
	d.notes.add(b.notes)
	b.apply(d)
	p.front.apply(c, d, b)
	if p.front.entries.off {
		c.off = len(c.drafts) == 0
		return
	}
	c.off = false
	c.drafts = append(c.drafts, d)
}

// idPart makes a name into a part of an application's id.
func idPart(name string) string {
	var b strings.Builder
	for i := 0; i < len(name) && b.Len() < 64; i++ {
		ch := name[i]
		switch {
		case ch >= 'a' && ch <= 'z', ch >= 'A' && ch <= 'Z', ch >= '0' && ch <= '9', ch == '.', ch == '_':
			b.WriteByte(ch)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	return strings.TrimRight(b.String(), "-")
}

// v1Backend is what the labels traefik.backend.X say.
type v1Backend struct {
	method    app.Policy
	sticky    bool
	cookie    string
	health    app.HealthCheck
	maxConn   int
	extractor string
	maxBody   app.Size
	notes     notes
}
