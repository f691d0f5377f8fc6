package admin

import (
	"github.com/valyala/fasthttp"
)

// PurgeAnswer is the answer of DELETE /api/v1/cache.
type PurgeAnswer struct {
	// Purged is how many stored responses were dropped.
	Purged int `json:"purged"`
}

// purge drops what the cache of an application (option caching) has stored: all
// of it, or what host and prefix name.
func (a *Admin) purge(ctx *fasthttp.RequestCtx) {
	args := ctx.QueryArgs()
	id := string(args.Peek("app"))
	if id == "" {
		fail(ctx, fasthttp.StatusBadRequest, "app must say of which application, as in api/v1/cache?app=ID&host=HOST&prefix=/PATH")
		return
	}
	one := a.deps.Snapshot().App(id)
	if one == nil {
		fail(ctx, fasthttp.StatusNotFound, "there is no application with this id; api/v1/apps lists them")
		return
	}
	n, ok := one.Purge(string(args.Peek("host")), string(args.Peek("prefix")))
	if !ok {
		fail(ctx, fasthttp.StatusConflict, "the application has no cache (see caching in peer_set_opts)")
		return
	}
	writeJSON(ctx, PurgeAnswer{n})
}
