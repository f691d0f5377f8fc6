// Package app is what a user declares: an application with its frontends, its
// middlewares and its backend.
//
// JSON goes in (Decode), checked definitions come out, and with them every
// problem that was found, each with file, line, application, path, value and
// what to write instead. Validate checks definitions that were made otherwise,
// such as from container labels. Describe tells a definition in a line, Diff
// tells what changed between two sets, Redact makes a copy that can be shown.
// ParseRule reads rule expressions into a tree; what the tree matches is the
// router's business.
//
// The Go types are the one source of what a definition may hold. Their struct
// tags say what decoder, Validate and the JSON schema all obey:
//
//	json      the field's name; without omitempty the field is required
//	alias     an older name, read as well
//	enum      the allowed values, or the allowed elements of a list
//	enumalias an older value and what it is read as
//	default   what the field means when it is absent (told, not filled in)
//	min, max  bounds of a number, duration or size that is given
//	switch    true or false may stand for the field: for an object it sets the
//	          named field in it, for a text true copies the named neighbour
//
// The package holds no state, reads no file and no environment, and knows
// nothing of how a definition is served. Functions do not change their
// arguments.
package app

//go:generate go test -run ^TestSchema$DOLLAR -update .
