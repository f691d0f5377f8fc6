// Package middleware holds the handlers that change or answer a request on its
// way to a backend; one in each file. In this version there is one: the redirect
// that is the backend of that kind.
//
// Options from package app go in and are checked once, a handler comes out.
// Errors name the field to look at, in the words of the definition.
package middleware
