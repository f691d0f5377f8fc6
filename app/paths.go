package app

import (
	"path"
	"strings"
)

// checkPath says what is wrong with an absolute path that is compared with, or
// put into, the path of requests.
func checkPath(s string) *fault {
	if s[0] != '/' {
		return faultf("a path begins with a slash").suggest("write %q", "/"+s)
	}
	if i := strings.IndexAny(s, "?#"); i >= 0 {
		return faultf("a path has no %q; queries and fragments are not compared", s[i]).suggest("write %q", s[:i])
	}
	if strings.Contains(s, "\\") {
		return faultf("a path has no backslash")
	}
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			continue
		}
		if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
			return faultf("a percent sign is followed by two hexadecimal digits").suggest("write %%25 for the sign itself")
		}
		if s[i+1:i+3] == "00" {
			return faultf("a path has no %%00")
		}
	}
	if dotted := strings.ReplaceAll(strings.ReplaceAll(s, "%2e", "."), "%2E", "."); hasDots(dotted) || strings.Contains(s, "//") {
		clean := path.Clean(dotted)
		if strings.HasSuffix(s, "/") && clean != "/" {
			clean += "/"
		}
		return faultf("a path has no empty, \".\" or \"..\" segments").suggest("write %q", clean)
	}
	return nil
}

// checkPrefix is checkPath for prefixes, which need no star at their end.
func checkPrefix(s string) *fault {
	if short, ok := strings.CutSuffix(s, "*"); ok && strings.HasSuffix(short, "/") {
		return faultf("a prefix needs no star").suggest("write %q", short)
	}
	return checkPath(s)
}

func hasDots(s string) bool {
	for segment := range strings.SplitSeq(s, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

// checkDocument says what is wrong with the name of a file below a site's root,
// with or without a leading slash.
func checkDocument(s string) *fault {
	name := strings.TrimPrefix(s, "/")
	switch {
	case name == "" || strings.HasSuffix(name, "/"):
		return faultf("want the name of a file, this is a folder").suggest("write %q", s+"index.html")
	case strings.ContainsAny(name, "?#\\"):
		return faultf("want the name of a file, without a query or a fragment")
	}
	return checkPath("/" + name)
}

// samePrefix is the form in which two path prefixes are compared.
func samePrefix(s string) string { return strings.TrimRight(s, "/") }

// segmentPrefix says whether path is prefix or below it, by whole segments.
func segmentPrefix(p, prefix string) bool {
	p, prefix = samePrefix(p), samePrefix(prefix)
	return strings.HasPrefix(p, prefix) && (len(p) == len(prefix) || p[len(prefix)] == '/')
}
