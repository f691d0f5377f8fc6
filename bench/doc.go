// Package bench measures edgerouter and other proxies side by side, and is the
// `edgerouter bench` command.
//
// Compare starts an origin with two peers, each proxy as a process of its own
// with the same job, and a load; it pins the proxy to one core, load and origin
// to another, reads what the proxy used, and hands the rounds to package report.
// The work is in the packages below: load (generator and origin), peer
// (configurations), proc (processes, clocks, memory), report (medians, ratios,
// tables, charts). Nothing of the rest of edgerouter is imported: what is
// measured is the binary.
//
// Everything stays on loopback and is bounded in count and time. Linux only; on
// other systems the command says so.
package bench
