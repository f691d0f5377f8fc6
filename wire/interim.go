package wire

// FieldRule is what is done to a field of every response: it gets Value in the
// place of what it had, or goes where that is empty.
type FieldRule struct{ Name, Value string }

// AppendInterim appends the head of a 1xx response to a client. Rules for final
// responses hold for it too: what a rule names does not pass, and values that
// rules set are put in. The first rule of a name counts.
func (x *Exchange) AppendInterim(dst []byte, h *ResponseHead, rules []FieldRule) []byte {
	dst = AppendStatusLine(dst, h.Status, h.Reason)
	all := make([]FieldRule, 0, len(rules)+8)
	for _, outer := range x.ResponseRules { // outermost first
		all = append(all, outer...)
	}
	all = append(all, rules...)
	for i := range h.Fields {
		f := &h.Fields[i]
		if (f.Kind == Ordinary || f.Kind == ContentType) && !ruled(all, f.Name) {
			dst = append(dst, f.Name...)
			dst = append(append(dst, ": "...), f.Value...)
			dst = append(dst, "\r\n"...)
		}
	}
	for i, r := range all {
		if r.Value != "" && !ruled(all[:i], r.Name) {
			dst = AppendField(dst, r.Name, []byte(r.Value))
		}
	}
	return append(dst, "\r\n"...)
}

func ruled[S []byte | string](rules []FieldRule, name S) bool {
	for i := range rules {
		if SameName(name, rules[i].Name) {
			return true
		}
	}
	return false
}
