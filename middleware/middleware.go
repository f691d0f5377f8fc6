// Package middleware holds the handlers that change or answer a request on its
// way to a backend, and what comes back; one in each file.
//
// Options from package app go in and are checked once, a Wrapper comes out (for
// the backend of kind redirect, a handler). Errors name the field to look at, in
// the words of the definition: "rate_limit_opts.per: ...".
//
// What a Wrapper keeps between requests is said where it is made, and is bounded.
// None starts a goroutine, so there is nothing to close; forward_auth keeps idle
// connections for a minute.
//
// The handlers work on ctx.Request and ctx.Response before and after the backend.
// A body that is still a stream when the backend has returned stays one: nothing
// here waits for its end. When the backend has answered by itself, as it does for
// WebSocket and other upgrades, the answer is gone and is left alone; so is that
// of a client that has left.
package middleware
