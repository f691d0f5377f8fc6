package app

import "strings"

// maxID bounds an application's id: it is part of file names, URLs and labels.
const maxID = 128

// NotFoundID is the app label of requests that no application took, and
// AllID that of all requests together; no application may have it as its id.
const (
	NotFoundID = "appNotFound"
	AllID      = "_all"
)

// checkID says what is wrong with an id. What it allows needs no escaping in a
// metric's label, a URL's path, a file's name or a log line.
func checkID(id string) *fault {
	switch {
	case id == "":
		return faultf(missing)
	case id == NotFoundID || id == AllID:
		return faultf("this id is kept for metrics of edgerouter itself").suggest("choose another one")
	case len(id) > maxID:
		return faultf("longer than %d characters", maxID)
	}
	for i := 0; i < len(id); i++ {
		if !isIDByte(id[i]) {
			return faultf(`an id is made of letters, digits, ".", "_" and "-"`).suggest("%s", idSuggestion(id))
		}
	}
	if !isAlphanumeric(id[0]) {
		return faultf("an id begins with a letter or a digit").suggest("%s", idSuggestion(id))
	}
	return nil
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func isIDByte(c byte) bool { return isAlphanumeric(c) || c == '.' || c == '_' || c == '-' }

// idSuggestion is the id with runs of what is not allowed made into one "-".
func idSuggestion(id string) string {
	var b strings.Builder
	for i := 0; i < len(id); i++ {
		switch {
		case isIDByte(id[i]) && (b.Len() > 0 || isAlphanumeric(id[i])):
			b.WriteByte(id[i])
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	fixed := strings.TrimRight(b.String(), "-")
	if fixed == "" {
		return ""
	}
	return "write " + `"` + fixed + `"`
}
