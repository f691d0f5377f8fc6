package wire

// overrides reports whether a name, in any spelling, is one of those that make a
// backend take a request for another one: Proxy becomes the variable HTTP_PROXY
// of CGI (httpoxy, CVE-2016-5385), X-Original-URL and X-Rewrite-URL go before the
// target in IIS and some frameworks (CVE-2018-14773).
func overrides(name []byte) bool {
	switch len(name) {
	case 5:
		return EqualFold(name, "proxy")
	case 13:
		return SameName(name, "x-rewrite-url")
	case 14:
		return SameName(name, "x-original-url")
	}
	return false
}

// dropOverrides takes such fields out, unless they are to be kept.
func (h *RequestHead) dropOverrides(keep bool) {
	h.Overrides = false
	for i := range h.Fields {
		if h.Fields[i].Kind == Ordinary && overrides(h.Fields[i].Name) {
			h.Overrides = true
			if !keep {
				h.cutOverrides(i)
			}
			return
		}
	}
}

func (h *RequestHead) cutOverrides(from int) {
	kept := h.Fields[:from]
	for _, f := range h.Fields[from:] {
		if !overrides(f.Name) {
			kept = append(kept, f)
		}
	}
	h.Fields = kept
}
