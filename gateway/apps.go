package gateway

import (
	"iter"
	"slices"
)

// Apps is a list of applications that never changes. Lists that differ in a few
// of them share the rest: with thousands of applications, copying their pointers
// would be most of what a change of one of them costs.
type Apps struct {
	pieces [][]*App // appsPiece of them in each but the last
}

// appsPiece is large enough for few pieces and small enough to copy one at each
// change.
const appsPiece = 256

// shown is an application at its place in a list.
type shown struct {
	index int
	app   *App
}

func newApps(list []*App) Apps { return Apps{slices.Collect(slices.Chunk(list, appsPiece))} }

// Len is how many there are.
func (l Apps) Len() int {
	last := len(l.pieces) - 1
	if last < 0 {
		return 0
	}
	return last*appsPiece + len(l.pieces[last])
}

// At is the application at a place from 0 to Len()-1.
func (l Apps) At(i int) *App { return l.pieces[i/appsPiece][i%appsPiece] }

// All are all of them, in order.
func (l Apps) All() iter.Seq[*App] {
	return func(yield func(*App) bool) {
		for _, piece := range l.pieces {
			for _, a := range piece {
				if !yield(a) {
					return
				}
			}
		}
	}
}

// with is the list with others at some places.
func (l Apps) with(others []shown) Apps {
	if len(others) == 0 {
		return l
	}
	pieces := slices.Clone(l.pieces)
	for _, o := range others {
		piece := &pieces[o.index/appsPiece]
		if sameSlice(*piece, l.pieces[o.index/appsPiece]) {
			*piece = slices.Clone(*piece)
		}
		(*piece)[o.index%appsPiece] = o.app
	}
	return Apps{pieces}
}
