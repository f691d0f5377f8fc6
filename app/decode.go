package app

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"
)

// maxProblems bounds how many problems of one application are told.
const maxProblems = 40

// Decode reads the applications of a file: {"apps":[...]}, or one application
// object by itself. file is its name, for the problems only.
//
// Decoding is strict: a field nobody knows, a field given twice (also by its
// older name), a wrong type, a value that Validate refuses and a second
// application with the same id are problems of that application, which is left
// out; the others are returned. What is not JSON to its end, or not of one of the
// two forms, is a problem of the whole file, and no application is returned.
//
// A "$schema" of the file or an application, which editors use, is read over.
func Decode(file string, data []byte) ([]Application, []Problem) {
	d := newDecoder(file, data)
	if !d.whole() {
		return nil, d.problems
	}
	return d.apps, d.problems
}

// UnmarshalJSON reads one application as strictly as Decode does, aliases
// included, but does not call Validate. The error is one Problem or several
// joined.
func (a *Application) UnmarshalJSON(data []byte) error {
	d := newDecoder("", data)
	app := Application{}
	if d.readable() {
		if d.application(&app, ""); !d.finish() || d.err != nil {
			d.syntaxProblem()
		}
	}
	if len(d.findings) > 0 {
		d.report(app.ID, 0, d.findings)
	}
	if len(d.problems) == 0 {
		*a = app
		return nil
	}
	all := make([]error, len(d.problems))
	for i, p := range d.problems {
		all[i] = p
	}
	return errors.Join(all...)
}

// decoder is the reading of one file.
type decoder struct {
	scanner
	file     string
	lines    lines
	apps     []Application
	problems []Problem

	findings []finding      // of the application that is being read
	firsts   map[string]int // offset of each id's first application
}

// finding is a problem whose place is not yet in the file's terms.
type finding struct {
	path    fieldPath
	also    fieldPath // a second place that the problem explains
	offset  int       // -1: where path leads
	problem Problem
}

func newDecoder(file string, data []byte) *decoder {
	d := &decoder{file: file, scanner: scanner{data: data}, lines: lines{data: data}}
	// Editors on Windows write a byte order mark, which RFC 8259 lets readers skip.
	if bytes.HasPrefix(data, []byte("\ufeff")) {
		d.pos = len("\ufeff")
	}
	return d
}

// readable says whether the data may be JSON at all.
func (d *decoder) readable() bool {
	if !utf8.Valid(d.data) {
		bad := 0
		for r, n := utf8.DecodeRune(d.data); r != utf8.RuneError || n > 1; r, n = utf8.DecodeRune(d.data[bad:]) {
			bad += n
		}
		d.fail(bad, fmt.Sprintf("the byte 0x%02x is not UTF-8", d.data[bad]), "save the file as UTF-8")
		d.syntaxProblem()
		return false
	}
	if d.peek() == 0 && d.err == nil && d.pos == len(d.data) {
		d.fileProblem(0, "the file is empty", `write {"apps": []} for no applications`)
		return false
	}
	return true
}

// whole reads the file and says whether its applications count.
func (d *decoder) whole() bool {
	if !d.readable() {
		return false
	}
	switch c := d.peek(); {
	case d.err != nil:
	case c == '[':
		d.fileProblem(d.pos, "the file is a list", `put the list into an object: {"apps": [...]}`)
		return false
	case c != '{':
		d.skip()
		if d.err == nil {
			d.fileProblem(0, fmt.Sprintf("the file is %s", kindOf(c)), `want an object: {"apps": [...]}, or one application`)
			return false
		}
	default:
		switch hasApps, hasField := d.topLevel(); {
		case d.err != nil:
		case hasApps:
			d.appsFile()
		case hasField:
			d.one("")
		default:
			d.fileProblem(d.pos, "the file has neither \"apps\" nor the fields of an application", `write {"apps": [...]}, or one application by itself`)
			return false
		}
	}
	if !d.finish() {
		d.apps, d.problems = nil, nil
		d.syntaxProblem()
		return false
	}
	return true
}

// finish says whether the document was without syntax errors and nothing
// follows it.
func (d *decoder) finish() bool {
	if d.err == nil && d.peek() != 0 || d.err == nil && d.pos < len(d.data) {
		d.fail(d.pos, "something follows the end of the document", `a file holds one object; several applications stand in {"apps": [...]}`)
	}
	return d.err == nil
}

// topLevel says whether the object at pos has a field "apps", and whether it has
// a field of an application. "apps" is nearly always the first field, so that
// this costs nothing for long files.
func (d *decoder) topLevel() (hasApps, hasField bool) {
	s := scanner{data: d.data, pos: d.pos}
	names := plans()[typeApplication].byName
	for first := true; (!first || s.open()) && s.next(first, '}'); first = false {
		name, _, _ := s.key()
		if string(name) == "apps" {
			return true, false
		}
		if _, ok := names[string(name)]; ok {
			hasField = true
		}
		s.skip()
	}
	d.err = s.err
	return false, hasField
}

func (d *decoder) appsFile() {
	seen := false
	for first := true; (!first || d.open()) && d.next(first, '}'); first = false {
		raw, offset, ok := d.key()
		if !ok {
			return
		}
		name := string(raw)
		switch c := d.peek(); {
		case name == "$schema":
			d.skip()
		case name != "apps":
			d.fileProblemAt(offset, name, "unknown field of the file", `a file has one field, "apps", whose elements are the applications`)
			d.skip()
		case seen:
			d.fileProblemAt(offset, name, "the field is given twice", "join the two lists")
			d.skip()
		case c != '[':
			seen = true
			d.fileProblemAt(d.pos, name, fmt.Sprintf("want a list, this is %s", kindOf(c)), `write {"apps": [...]}`)
			d.skip()
		default:
			seen = true
			for i := 0; (i > 0 || d.open()) && d.next(i == 0, ']'); i++ {
				d.one("apps[" + strconv.Itoa(i) + "]")
			}
		}
	}
}

// one reads an application and keeps it when it is good. place stands for its id
// when it has none that can be shown.
func (d *decoder) one(place string) {
	d.peek()
	start := d.pos
	d.findings = d.findings[:0]
	var a Application
	if !d.application(&a, place) || d.err != nil {
		return
	}
	findings := d.findings
	if len(findings) == 0 {
		findings = a.check()
	} else {
		for _, f := range a.check() {
			if !explained(f, d.findings) {
				findings = append(findings, f)
			}
		}
	}
	label := a.ID
	if checkID(label) != nil {
		label = place
	}
	if len(findings) > 0 {
		d.report(label, start, findings)
		return
	}
	if first, again := d.firsts[a.ID]; again {
		line, _ := d.lines.position(first)
		d.report(a.ID, start, []finding{{
			path: fieldPath{{name: "id"}}, offset: -1,
			problem: Problem{Value: a.ID, Message: fmt.Sprintf("the id is taken by the application in line %d of this file", line), Suggestion: "ids are unique; only the first one is used"},
		}})
		return
	}
	if d.firsts == nil {
		d.firsts = map[string]int{}
	}
	d.firsts[a.ID] = start
	d.apps = append(d.apps, a)
}

// application reads one application's object; false when there is no object.
func (d *decoder) application(a *Application, place string) bool {
	if c := d.peek(); c != '{' {
		offset := d.pos
		d.skip()
		if d.err == nil {
			d.report(place, 0, []finding{{offset: offset, problem: Problem{Message: fmt.Sprintf("want an application's object, this is %s", kindOf(c))}}})
		}
		return false
	}
	d.object(a)
	return true
}

// explained says whether a problem of Validate comes from one that the decoder
// has told already.
func explained(f finding, told []finding) bool {
	for _, t := range told {
		if f.path.within(t.path) || t.path.within(f.path) || t.also != nil && f.path.within(t.also) {
			return true
		}
	}
	return false
}

// report turns the findings of one application, which begins at start, into
// problems, in the order of the file.
func (d *decoder) report(label string, start int, findings []finding) {
	rest := max(len(findings)-maxProblems, 0)
	findings = findings[:len(findings)-rest]
	for i := range findings {
		f := &findings[i]
		written, offset := locate(d.data, start, f.path)
		f.path = written
		if f.offset < 0 {
			f.offset = offset
		}
	}
	slices.SortStableFunc(findings, func(a, b finding) int { return a.offset - b.offset })
	for _, f := range findings {
		p := f.problem
		p.File, p.App, p.Field = d.file, label, f.path.String()
		p.Line, p.Column = d.lines.position(f.offset)
		d.problems = append(d.problems, p)
	}
	if rest > 0 {
		d.problems = append(d.problems, Problem{File: d.file, App: label, Message: fmt.Sprintf("%d more problems", rest)})
	}
}

func (d *decoder) syntaxProblem() {
	if d.err != nil {
		d.fileProblem(d.err.offset, "not JSON: "+d.err.message, d.err.suggestion)
	}
}

func (d *decoder) fileProblem(offset int, message, suggestion string) {
	d.fileProblemAt(offset, "", message, suggestion)
}

func (d *decoder) fileProblemAt(offset int, field, message, suggestion string) {
	line, column := d.lines.position(offset)
	d.problems = append(d.problems, Problem{File: d.file, Line: line, Column: column, Field: field, Message: message, Suggestion: suggestion})
}
