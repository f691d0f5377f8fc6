// Package load makes HTTP/1.1 load on the loopback interface and answers it:
// a generator and an origin that share one epoll loop.
//
// In goes a Config (where to, which requests, how many connections, closed loop
// or a constant rate, how long); out comes a Result (requests, errors by kind, a
// latency histogram). Everything runs on one goroutine with raw non-blocking
// system calls and allocates nothing per request, because load and origin share
// a core on the machines we measure on, and what is measured must be the proxy
// between them.
//
// Limits: loopback addresses only (ErrNotLoopback otherwise), every run is
// bounded in time, Linux only. Latency is in nanoseconds. With a rate, latency
// counts from the moment at which the request was due, so that a proxy that
// stalls pays for every request that it kept waiting (no coordinated omission).
package load
