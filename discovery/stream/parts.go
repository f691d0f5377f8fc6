package stream

import (
	"cmp"
	"slices"

	"edgerouter/app"
)

// partSize is how many applications a part has at most. A change copies one part,
// and those who compare two sets look into the parts that are not the same.
const partSize = 256

// parts are applications sorted by id, in slices of which none is ever written to
// after it was handed out.
type parts struct{ all [][]app.Application }

// list is the applications as they are; it stays as it is whatever comes.
func (p *parts) list() [][]app.Application { return append([][]app.Application{}, p.all...) }

// find returns the part an id belongs to and its place there; there is at least
// one part.
func (p *parts) find(id string) (part, index int, found bool) {
	// The last part whose first id is not after this one.
	part, exact := slices.BinarySearchFunc(p.all, id, func(s []app.Application, id string) int { return cmp.Compare(s[0].ID, id) })
	if !exact && part > 0 {
		part--
	}
	index, found = slices.BinarySearchFunc(p.all[part], id, func(a app.Application, id string) int { return cmp.Compare(a.ID, id) })
	return part, index, found
}

func (p *parts) get(id string) (app.Application, bool) {
	if len(p.all) == 0 {
		return app.Application{}, false
	}
	part, index, found := p.find(id)
	if !found {
		return app.Application{}, false
	}
	return p.all[part][index], true
}

func (p *parts) put(a app.Application) {
	if len(p.all) == 0 {
		p.all = [][]app.Application{{a}}
		return
	}
	part, index, found := p.find(a.ID)
	if found {
		changed := slices.Clone(p.all[part])
		changed[index] = a
		p.set(part, changed)
		return
	}
	grown := slices.Insert(slices.Clone(p.all[part]), index, a)
	if len(grown) <= partSize {
		p.set(part, grown)
		return
	}
	half := len(grown) / 2
	if part == len(p.all)-1 && index == len(grown)-1 {
		half = partSize // ids that come in order fill their parts
	}
	p.all = slices.Concat(p.all[:part], [][]app.Application{grown[:half:half], grown[half:]}, p.all[part+1:])
}

func (p *parts) remove(id string) {
	if len(p.all) == 0 {
		return
	}
	part, index, found := p.find(id)
	if !found {
		return
	}
	left := slices.Delete(slices.Clone(p.all[part]), index, index+1)
	if len(left) > 0 {
		p.set(part, left)
		return
	}
	p.all = slices.Concat(p.all[:part], p.all[part+1:])
}

func (p *parts) set(part int, s []app.Application) {
	p.all = slices.Clone(p.all)
	p.all[part] = s
}
