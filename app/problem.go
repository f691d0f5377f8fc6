package app

import (
	"strconv"
	"strings"
)

// Problem is one thing that is wrong with a definition, told so that the
// operator finds it: where, what value, why, and what to write instead. It is
// an error. Values of secrets are redacted in it.
type Problem struct {
	// File is where the definition came from; empty when it was made in memory.
	File string `json:"file,omitempty"`
	// Line and Column are where in File the field stands, from 1, columns in
	// characters; 0 when it is not known.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
	// App is the application's id, or "apps[3]" for one without a usable id;
	// empty when the problem is of the whole file.
	App string `json:"app,omitempty"`
	// Field is a path such as frontends[0].hostname, in the names of the JSON form.
	Field string `json:"field,omitempty"`
	// Value is the bad value as it was given, shortened; empty when there is none.
	Value string `json:"value,omitempty"`
	// Message says what is wrong.
	Message string `json:"message"`
	// Suggestion says what to do, such as: did you mean "hostname"?
	Suggestion string `json:"suggestion,omitempty"`
}

// Error tells the problem in one line:
//
//	apps.json:12:7: application "shop": frontends[0].hostname: "shop.example.com:80": a hostname has no port: write "shop.example.com"
func (p Problem) Error() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(clean(p.File))
		if p.Line > 0 {
			b.WriteByte(':')
			b.WriteString(strconv.Itoa(p.Line))
			b.WriteByte(':')
			b.WriteString(strconv.Itoa(p.Column))
		}
		b.WriteString(": ")
	}
	if p.App != "" {
		b.WriteString("application ")
		b.WriteString(strconv.Quote(p.App))
		b.WriteString(": ")
	}
	if p.Field != "" {
		b.WriteString(clean(p.Field))
		b.WriteString(": ")
	}
	if p.Value != "" {
		b.WriteString(strconv.Quote(p.Value))
		b.WriteString(": ")
	}
	b.WriteString(p.Message)
	if p.Suggestion != "" {
		b.WriteString(": ")
		b.WriteString(p.Suggestion)
	}
	return b.String()
}

// maxShown bounds how much of a bad value a problem repeats.
const maxShown = 120

// shorten cuts a value for display, at a character's border.
func shorten(s string) string {
	if len(s) <= maxShown {
		return s
	}
	cut := maxShown
	for cut > 0 && s[cut]&0xc0 == 0x80 {
		cut--
	}
	return s[:cut] + "..."
}

// clean makes foreign text safe for one line of a log or terminal: control
// characters, which could move the cursor or fake a second line, are escaped.
func clean(s string) string {
	if _, bad := controlIn(s); !bad {
		return s
	}
	quoted := strconv.Quote(s)
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
}
