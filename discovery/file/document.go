package file

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"unicode/utf8"

	"edgerouter/app"
	"edgerouter/internal/pace"
)

// document is the decoded content of one file; immutable. A change of one
// application decodes that one, and the others keep being the same values.
type document struct {
	parts    [][]app.Application // in pieces, of which a change makes few anew
	problems []app.Problem
	// broken are the last good versions of the applications that a problem names.
	broken []app.Application

	// What follows is known of files that split can read; the next version is
	// compared with it. aligned: parts hold the applications of the elements, one
	// of each.
	spans    []span
	elements []*element
	aligned  bool
}

// element is an application as it stands in a file.
type element struct {
	app      app.Application
	good     bool
	problems []app.Problem // lines and columns count from the element's start
}

// decoding is the making of a document out of the bytes of a file.
type decoding struct {
	name string
	data []byte
	pace pace.Pacer

	previous *document // the last good version; empty when there is none
	old      []byte    // its bytes
	front    int       // how many of them are the same at the beginning

	doc    *document
	reused reuse
}

// decode reads a file. A nil document means that the file as a whole is bad, and
// the problems say why.
func (d *decoding) decode() (*document, []app.Problem) {
	d.doc = &document{}
	if !d.byElements() {
		apps, problems := app.Decode(d.name, d.data)
		if len(apps) == 0 && wholeFile(problems) {
			return nil, problems
		}
		d.doc = &document{parts: cut(apps), problems: problems}
	}
	d.keepUnnamed()
	return d.doc, nil
}

// byElements decodes what changed since the previous version. false: the file
// is not of the form for that, or is not good as a whole.
func (d *decoding) byElements() bool {
	var ok bool
	if d.previous.elements != nil {
		d.doc.spans, d.reused, ok = resplit(version{d.old, d.previous.spans}, d.data, d.front)
	} else {
		d.doc.spans, ok = split(d.data)
	}
	if !ok || !d.decodeElements() {
		return false
	}
	d.pace.Block()
	d.collect()
	return d.unique()
}

// wholeFile says whether a problem is of the file and not of an application in it.
func wholeFile(problems []app.Problem) bool {
	for _, p := range problems {
		if p.App == "" {
			return true
		}
	}
	return false
}

// decodeElements fills in the elements: those of the previous version where the
// bytes are the same. false: one of them is not good JSON, so the file is not.
func (d *decoding) decodeElements() bool {
	doc, before := d.doc, d.previous
	doc.elements = make([]*element, len(doc.spans))
	copy(doc.elements, before.elements[:d.reused.front])
	copy(doc.elements[len(doc.elements)-d.reused.back:], before.elements[len(before.elements)-d.reused.back:])

	// What is between was changed, or moved.
	seed := maphash.MakeSeed()
	moved := map[uint64]int{}
	for i := d.reused.front; i < len(before.elements)-d.reused.back; i++ {
		o := before.spans[i]
		moved[maphash.Bytes(seed, d.old[o.start:o.end])] = i
	}
	for i := d.reused.front; i < len(doc.elements)-d.reused.back; i++ {
		d.pace.Block()
		raw := d.data[doc.spans[i].start:doc.spans[i].end]
		if at, there := moved[maphash.Bytes(seed, raw)]; there {
			if o := before.spans[at]; bytes.Equal(d.old[o.start:o.end], raw) {
				doc.elements[i] = before.elements[at]
				continue
			}
		}
		e, ok := decodeElement(d.name, raw)
		if !ok {
			return false
		}
		doc.elements[i] = e
	}
	return true
}

// An element is decoded as the only application of a file.
const (
	before = `{"apps":[`
	after  = `]}`
	// alone is what app.Decode calls an application without a usable id there.
	alone = "apps[0]"
)

func decodeElement(name string, raw []byte) (*element, bool) {
	apps, problems := app.Decode(name, bytes.Join([][]byte{[]byte(before), raw, []byte(after)}, nil))
	if wholeFile(problems) || len(apps) > 1 {
		return nil, false
	}
	e := &element{problems: problems}
	if len(apps) == 1 {
		e.app, e.good = apps[0], true
	}
	for i := range problems {
		if p := &problems[i]; p.Line == 1 {
			p.Column -= len(before)
		}
	}
	return e, true
}

// partSize is how many applications stand in one part.
const partSize = 256

// cut makes parts of a list, without copying it.
func cut(apps []app.Application) [][]app.Application {
	parts := make([][]app.Application, 0, len(apps)/partSize+1)
	for len(apps) > 0 {
		n := min(partSize, len(apps))
		parts = append(parts, apps[:n:n])
		apps = apps[n:]
	}
	return parts
}

// collect makes parts and problems out of the elements. Parts of the previous
// version that hold nothing else than elements that stayed are taken over.
func (d *decoding) collect() {
	doc := d.doc
	var head, tail [][]app.Application
	front, back := 0, len(doc.elements)
	if old := d.previous.parts; d.previous.aligned && len(old) <= 8+2*len(doc.elements)/partSize {
		for len(old) > 0 && front+len(old[0]) <= d.reused.front {
			front += len(old[0])
			head, old = append(head, old[0]), old[1:]
		}
		for len(old) > 0 && len(doc.elements)-back+len(old[len(old)-1]) <= d.reused.back {
			last := len(old) - 1
			back -= len(old[last])
			tail, old = append(tail, old[last]), old[:last]
		}
	}
	made := make([]app.Application, 0, back-front)
	good := 0
	for i := front; i < back; i++ {
		d.pace.Block()
		e := doc.elements[i]
		if e.good {
			made = append(made, e.app)
			good++
		}
		if len(e.problems) > 0 {
			doc.problems = append(doc.problems, placed(e.problems, d.data, doc.spans[i].start, i)...)
		}
	}
	slices.Reverse(tail)
	doc.parts = slices.Concat(head, cut(made), tail)
	doc.aligned = good == back-front && len(doc.problems) == 0
}

// unique says whether no id is there twice. It costs next to nothing when the ids
// are those of the previous version.
func (d *decoding) unique() bool {
	doc, before := d.doc, d.previous
	if doc.aligned && before.aligned && len(doc.elements) == len(before.elements) {
		same := true
		for i := d.reused.front; i < len(doc.elements)-d.reused.back; i++ {
			same = same && doc.elements[i].app.ID == before.elements[i].app.ID
		}
		if same {
			return true
		}
	}
	seen := make(map[string]struct{}, len(doc.elements))
	n := 0
	for _, part := range doc.parts {
		for i := range part {
			d.pace.Block()
			seen[part[i].ID] = struct{}{}
			n++
		}
	}
	return len(seen) == n
}

// placed tells the problems of the element at offset, the index'th of the file,
// with the file's lines and columns.
func placed(problems []app.Problem, data []byte, offset, index int) []app.Problem {
	lines := bytes.Count(data[:offset], []byte("\n"))
	column := utf8.RuneCount(data[bytes.LastIndexByte(data[:offset], '\n')+1 : offset])
	out := make([]app.Problem, len(problems))
	for i, p := range problems {
		if p.App == alone {
			p.App = fmt.Sprintf("apps[%d]", index)
		}
		if p.Line == 1 {
			p.Column += column
		}
		if p.Line > 0 {
			p.Line += lines
		}
		out[i] = p
	}
	return out
}

// keepUnnamed keeps the previous applications that are gone when an application
// without a usable id is there: any of them may be the one that is broken. Those
// that a problem names are kept by discovery.Merge; the document remembers them for
// the version in which no problem names them any more.
func (d *decoding) keepUnnamed() {
	doc := d.doc
	if len(doc.problems) == 0 {
		return
	}
	unnamed := false
	broken := map[string]bool{}
	for _, p := range doc.problems {
		unnamed = unnamed || p.App == "" || strings.HasPrefix(p.App, "apps[")
		broken[p.App] = true
	}
	there := make(map[string]bool, len(doc.elements))
	for _, part := range doc.parts {
		for i := range part {
			there[part[i].ID] = true
		}
	}
	var kept []app.Application
	for _, part := range append(slices.Clone(d.previous.parts), d.previous.broken) {
		for i := range part {
			switch id := part[i].ID; {
			case there[id]:
			case broken[id]:
				doc.broken = append(doc.broken, part[i])
			case unnamed:
				kept = append(kept, part[i])
			}
		}
	}
	if len(kept) > 0 {
		doc.parts = append(doc.parts, kept)
		doc.aligned = false
	}
}
