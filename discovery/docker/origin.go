package docker

// Kind is what an application was made from; it is discovery.Origin.Kind.
type Kind string

// The kinds.
const (
	KindSwarm     Kind = "swarm_service"
	KindCompose   Kind = "compose_service"
	KindContainer Kind = "container"
)

// noun is the kind for people.
func (k Kind) noun() string {
	switch k {
	case KindSwarm:
		return "Swarm service"
	case KindCompose:
		return "Compose service"
	}
	return "container"
}

// order is in which order kinds get an id that two of them claim.
func (k Kind) order() int {
	switch k {
	case KindSwarm:
		return 0
	case KindCompose:
		return 1
	}
	return 2
}
