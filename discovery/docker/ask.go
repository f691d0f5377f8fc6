package docker

import (
	"context"
	"slices"
	"strings"
	"sync"

	cerrdefs "github.com/containerd/errdefs"
)

// wants are what is to be asked of the engine.
type wants struct {
	all      bool // every container
	ids      map[string]bool
	inspect  map[string]bool
	services bool
	tasks    bool
	nodes    bool
	gateway  bool
}

func (w *wants) any() bool {
	return w.all || len(w.ids) > 0 || len(w.inspect) > 0 || w.services || w.tasks || w.nodes || w.gateway
}

// maxIDs is how many containers are asked for by id before all are.
const maxIDs = 32

func (w *wants) list(ids ...string) {
	for _, id := range ids {
		if w.ids == nil {
			w.ids = map[string]bool{}
		}
		w.ids[id] = true
	}
	if len(w.ids) > maxIDs {
		w.all, w.ids = true, nil
	}
}

func (w *wants) look(id string) {
	if id == "" {
		return
	}
	if w.inspect == nil {
		w.inspect = map[string]bool{}
	}
	w.inspect[id] = true
}

// answers are what the engine said.
type answers struct {
	asked      wants
	containers []*container
	services   []*service
	tasks      []*task
	nodes      map[string]node
	gateway    map[string]addresses
	details    map[string]*details
	noSwarm    string // why there are no services
	err        error
}

// maxInspects is how many containers are inspected at a time.
const maxInspects = 8

// answer asks for everything that is wanted. manager: the engine was a manager
// of a Swarm the last time.
func (e *engine) answer(ctx context.Context, w wants, manager bool) (a answers) {
	a.asked = w
	switch {
	case w.all:
		a.containers, a.err = e.containers(ctx, nil)
	case len(w.ids) > 0:
		a.containers, a.err = e.containers(ctx, sortedKeys(w.ids))
	}
	if a.err == nil && w.gateway {
		a.gateway, a.err = e.endpoints(ctx, GatewayNetwork)
	}
	if a.err == nil && len(w.inspect) > 0 {
		a.details = e.inspectAll(ctx, sortedKeys(w.inspect))
	}
	if a.err == nil && w.services {
		a.services, a.err = e.services(ctx)
	}
	if a.err == nil && (w.tasks || w.services) {
		a.tasks, a.err = e.tasks(ctx)
	}
	if w.tasks || w.services {
		if a.noSwarm = notManager(a.err, manager); a.noSwarm != "" {
			a.err = nil
			return a
		}
	}
	if a.err == nil && (w.nodes || w.all && w.services) {
		var err error
		if a.nodes, err = e.nodes(ctx); err != nil && !refused(err) {
			a.err = err
		}
	}
	return a
}

// inspectAll inspects some at a time. One that cannot be has no details.
func (e *engine) inspectAll(ctx context.Context, ids []string) map[string]*details {
	out := make(map[string]*details, len(ids))
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, maxInspects)
	for _, id := range ids {
		slots <- struct{}{}
		wg.Go(func() {
			d, err := e.inspect(ctx, id)
			if err != nil {
				d = &details{}
			}
			mu.Lock()
			out[id] = d
			mu.Unlock()
			<-slots
		})
	}
	wg.Wait()
	return out
}

// notManager says why there are no services to list, when the error is that
// there cannot be any. Of one that was a manager that takes clear words: without
// a leader, or locked, it is one still.
func notManager(err error, manager bool) string {
	if err == nil {
		return ""
	}
	text := strings.ToLower(err.Error())
	clear := strings.Contains(text, "not a swarm manager") || strings.Contains(text, "not part of a swarm")
	switch {
	case clear, !manager && cerrdefs.IsUnavailable(err) && !strings.Contains(text, "encrypted") && !strings.Contains(text, "leader"):
		return "the engine is not a manager of a Swarm"
	case !manager && refused(err):
		return "the engine refuses to list services"
	}
	return ""
}

// refused says whether a proxy before the engine, or the engine, does not let
// that be asked.
func refused(err error) bool {
	return cerrdefs.IsPermissionDenied(err) || cerrdefs.IsUnauthorized(err) || cerrdefs.IsNotFound(err) || cerrdefs.IsNotImplemented(err)
}

func sortedKeys(m map[string]bool) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
