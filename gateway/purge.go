package gateway

// Purger is a Backend that stores answers and can forget them.
type Purger interface {
	// Purge drops what is stored for a host ("": any) and the targets that begin
	// with prefix, and says how many answers that were.
	Purge(host, prefix string) int
}

// Purge drops what the application's cache has stored; false: it has none.
func (a *App) Purge(host, prefix string) (n int, ok bool) { return purge(a.backend, host, prefix) }

// purge looks behind what stands before a backend.
func purge(b Backend, host, prefix string) (n int, ok bool) {
	switch inner := b.(type) {
	case Purger:
		return inner.Purge(host, prefix), true
	case *turbocharged:
		return purge(inner.Backend, host, prefix)
	case *guarded:
		return purge(inner.inner, host, prefix)
	}
	return 0, false
}
