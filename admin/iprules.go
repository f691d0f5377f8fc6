package admin

import (
	"time"

	"github.com/valyala/fasthttp"
)

// IPRules tells which rules of client addresses are in service.
type IPRules struct {
	// Rules is how many prefixes there are; 0: everybody may enter.
	Rules int `json:"rules"`
	// Source is the file, or "event stream".
	Source string `json:"source,omitempty"`
	// Since is when they came into service.
	Since *time.Time `json:"since,omitempty"`
	// Problem says why newer rules are not in service.
	Problem string `json:"problem,omitempty"`
}

func (a *Admin) readIPRules() IPRules {
	if a.deps.IPRules == nil {
		return IPRules{}
	}
	return a.deps.IPRules()
}

func (a *Admin) ipRules(ctx *fasthttp.RequestCtx) { writeJSON(ctx, a.readIPRules()) }
