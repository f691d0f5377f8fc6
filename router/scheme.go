package router

// PlainHTTP matches requests that did not come over TLS, seen with trusted
// proxies considered. Attributes that cannot say (Secure() bool) have none.
func PlainHTTP() Matcher { return plainHTTP{} }

type plainHTTP struct{}

func (plainHTTP) Match(_, _ []byte, a Attributes) bool {
	s, ok := a.(interface{ Secure() bool })
	return ok && !s.Secure()
}

func (plainHTTP) String() string { return "PlainHTTP()" }
