package discovery

// Originator is a Source that knows more of where its applications come from
// than its own name.
type Originator interface {
	// Origins says it for the applications that were emitted last, and for those
	// that are broken and were not, by id. It may be called from any goroutine.
	// Neither the map nor what is in it is changed afterwards.
	Origins() map[string]Origin
}

// Origin says where an application comes from that was made from something that
// runs, for the API and the admin page.
type Origin struct {
	// Engine is the address of what it runs on, and its name when it told one.
	Engine     string `json:"engine"`
	EngineName string `json:"engine_name,omitempty"`
	// Kind is what the application was made from, such as swarm_service.
	Kind string `json:"kind"`
	// Name is that of the service or container; of a Compose service
	// PROJECT/SERVICE.
	Name string `json:"name"`
	// Labels say in which dialect the labels are.
	Labels string `json:"labels,omitempty"`
	// Containers are those that run, whether they get requests or not.
	Containers []OriginContainer `json:"containers"`
	// Siblings are the other applications that were made from the same.
	Siblings []Sibling `json:"siblings,omitempty"`
}

// OriginContainer is a container of an application.
type OriginContainer struct {
	ID   string `json:"id,omitempty"` // unknown until its node tells it
	Name string `json:"name"`
	Task string `json:"task,omitempty"`
	Node string `json:"node,omitempty"` // of the cluster
	// Address is the peer, such as http://172.18.0.2:8080; "" when there is none.
	Address string `json:"address,omitempty"`
	// State is serving, draining, or why it gets no requests.
	State string `json:"state"`
}

// Sibling is another application of the same service or container.
type Sibling struct {
	ID     string `json:"id"`
	Served bool   `json:"served"`
	Broken bool   `json:"broken"` // as declared now; it may be served as it was before
}

// Origin says where an application of a source comes from; false when the source
// cannot tell.
func (m *Merge) Origin(source, id string) (Origin, bool) {
	for _, s := range m.sources {
		if s.name != source {
			continue
		}
		if o, ok := s.source.(Originator); ok {
			origin, known := o.Origins()[id]
			return origin, known
		}
	}
	return Origin{}, false
}
