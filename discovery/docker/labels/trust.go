package labels

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"edgerouter/app"
)

// whyTrust is how labels get what they may not have.
const whyTrust = "--docker-trust-labels allows it, for engines on which nobody starts a container who may not do that"

// places say which label each part of the definition came from.
func (d *draft) places(middlewareLabels []string) []place {
	places := slices.Clone(d.peerLabels)
	for i, l := range d.frontendLabels {
		places = append(places, place{fmt.Sprintf("frontends[%d]", i), l})
	}
	for i, l := range middlewareLabels {
		places = append(places, place{fmt.Sprintf("middlewares[%d]", i), l})
	}
	return places
}

// refuseFiles tells what would be read from the edge's files or environment:
// whoever may start a container may not have those.
func (d *draft) refuseFiles(a App, middlewareLabels []string, n *notes) {
	places := d.places(middlewareLabels)
	for _, field := range app.Outside(a.Definition) {
		n.errors = append(n.errors, inLabels(app.Problem{
			Field: field, Message: "would read a file or a variable of the edge, which labels may not", Suggestion: whyTrust,
		}, places))
	}
}

// refuseLocal keeps authentication servers off the edge's own addresses. A name is
// looked at when it is connected to.
func refuseLocal(a *App, middlewareLabels []string, n *notes) {
	for i := range a.Definition.Middlewares {
		m := &a.Definition.Middlewares[i]
		if m.ForwardAuth == nil {
			continue
		}
		opts := *m.ForwardAuth
		opts.RefuseLocal = true
		m.ForwardAuth = &opts
		u, err := url.Parse(opts.Address)
		if err != nil {
			continue // which is told elsewhere
		}
		host := strings.TrimSuffix(lower(u.Hostname()), ".")
		ip, err := netip.ParseAddr(host)
		if err == nil && app.LocalAddress(ip) || host == "localhost" || strings.HasSuffix(host, ".localhost") {
			n.fail(middlewareLabels[i], opts.Address, "is an address of the edge itself, which labels may not reach", whyTrust)
		}
	}
}
