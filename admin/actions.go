package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"time"

	"github.com/valyala/fasthttp"

	"edgerouter/app"
)

// HistoryRow is a change of an application in the event log.
type HistoryRow struct {
	Version int64      `json:"version"`
	At      time.Time  `json:"at"` // by the writer's clock
	User    string     `json:"user,omitempty"`
	Change  app.Change `json:"change"`
	// Invalid says that it changed nothing, because the definition was bad.
	Invalid bool `json:"invalid,omitempty"`
	// Rollback says that the application can be set to what it was after this
	// change, and Back lists what that would change now.
	Rollback bool     `json:"rollback"`
	Back     []string `json:"back,omitempty"`
}

// HistoryAnswer is the answer of /api/v1/history.
type HistoryAnswer struct {
	App  string       `json:"app"`
	Rows []HistoryRow `json:"rows"` // the last 100, newest first
}

// ErrUnknown is what Deps.History and Deps.Rollback say of an application or a
// version that is not in the log.
var ErrUnknown = errors.New("not in the event log")

// RollbackCall is the body of POST /api/v1/rollback.
type RollbackCall struct {
	App     string `json:"app"`
	Version int64  `json:"version"`
}

// RollbackAnswer says at which version of the stream the change is.
type RollbackAnswer struct {
	Generation int64 `json:"generation"`
}

// DrainCall is the body of POST /api/v1/drain.
type DrainCall struct {
	App   string `json:"app"`
	Peer  string `json:"peer"`
	Drain bool   `json:"drain"` // false: put it back
}

const (
	// tokenField carries the admin token of the page's calls. Authorization is left
	// to whatever stands in front of the page, and no form can send this one.
	tokenField = "X-Edgerouter-Token"
	// actionTimeout bounds an action on the event log.
	actionTimeout = 20 * time.Second
)

func (a *Admin) serveHistory(ctx *fasthttp.RequestCtx) {
	id := string(ctx.QueryArgs().Peek("app"))
	if a.deps.History == nil {
		fail(ctx, fasthttp.StatusNotFound, "this node has no event bus (--bus off), and so no history")
		return
	}
	asked, cancel := a.logContext(actionTimeout)
	defer cancel()
	rows, err := a.deps.History(asked, id)
	if err != nil {
		tellActionError(ctx, err)
		return
	}
	writeJSON(ctx, HistoryAnswer{App: id, Rows: list(rows)})
}

func (a *Admin) serveRollback(ctx *fasthttp.RequestCtx) {
	var call RollbackCall
	if !readCall(ctx, &call) {
		return
	}
	if a.deps.Rollback == nil {
		fail(ctx, fasthttp.StatusNotFound, "this node has no event bus (--bus off), and so no history")
		return
	}
	if call.App == "" || call.Version < 0 {
		fail(ctx, fasthttp.StatusBadRequest, `want {"app": "ID", "version": N} with a version that api/v1/history lists`)
		return
	}
	asked, cancel := a.logContext(actionTimeout)
	defer cancel()
	at, err := a.deps.Rollback(asked, call.App, call.Version)
	if err != nil {
		tellActionError(ctx, err)
		return
	}
	writeJSON(ctx, RollbackAnswer{Generation: at})
}

func (a *Admin) serveDrain(ctx *fasthttp.RequestCtx) {
	var call DrainCall
	if !readCall(ctx, &call) {
		return
	}
	one := a.deps.Snapshot().App(call.App)
	if one == nil {
		fail(ctx, fasthttp.StatusNotFound, "there is no application with this id; api/v1/apps lists them")
		return
	}
	if !one.DrainPeer(call.Peer, call.Drain) {
		fail(ctx, fasthttp.StatusNotFound, "the application has no such peer; api/v1/apps/ID lists them")
		return
	}
	a.live.look(time.Now()) // tells those who follow
	writeJSON(ctx, call)
}

// readCall reads the JSON body of a call that changes something.
func readCall(ctx *fasthttp.RequestCtx, v any) bool {
	kind, _, _ := mime.ParseMediaType(string(ctx.Request.Header.ContentType()))
	if kind != "application/json" {
		fail(ctx, fasthttp.StatusUnsupportedMediaType, "the body must be application/json")
		return false
	}
	d := json.NewDecoder(bytes.NewReader(ctx.PostBody()))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, err = d.Token(); err == io.EOF {
			return true
		}
		err = errors.New("there is more after its end")
	}
	fail(ctx, fasthttp.StatusBadRequest, "the body cannot be read: "+err.Error())
	return false
}

func tellActionError(ctx *fasthttp.RequestCtx, err error) {
	if errors.Is(err, ErrUnknown) {
		fail(ctx, fasthttp.StatusNotFound, err.Error())
		return
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.Join(errors.New("the event log did not answer in time"), err)
	}
	tellLogError(ctx, err)
}
