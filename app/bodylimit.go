package app

// LimitsBody reports whether the application has a limit of its own on request
// bodies, by max_request_body of its peers or by the middleware of that name.
func (a *Application) LimitsBody() bool {
	return limitBody(a.Middlewares) || a.Backend.limitsBody()
}

func (b *Backend) limitsBody() bool {
	if b.PeerSet != nil && b.PeerSet.MaxRequestBody > 0 {
		return true
	}
	_, inner, _ := authorized(b.AuthV0, b.AuthSSO, b.AuthForward, b.AuthOIDC)
	return inner != nil && inner.limitsBody()
}

func limitBody(list []Middleware) bool {
	for i := range list {
		m := &list[i]
		if m.Kind == MiddlewareMaxRequestBody || m.Chain != nil && limitBody(m.Chain.Middlewares) {
			return true
		}
	}
	return false
}
