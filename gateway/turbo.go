package gateway

import "edgerouter/app"

// addTurbo adds the kinds that serve content of the edge's own.
func (d Standard) addTurbo(kinds map[app.BackendKind]Builder) {
	if d.Turbo == nil {
		return
	}
	kinds[app.BackendTurbocharger] = func(id string, b app.Backend) (Backend, error) {
		if b.Turbocharger == nil {
			return nil, missing("turbocharger_opts")
		}
		backend, err := d.Turbo.NewBackend(id, *b.Turbocharger)
		if err != nil {
			return nil, inField("backend.turbocharger_opts", err)
		}
		return backend, nil
	}
}
