// Package proc starts the programs that are measured, pins them to a core, reads
// what they used, and stops them.
//
// CPU time is read from the kernel's per-process clock, which counts in
// nanoseconds and includes threads that have ended; memory from smaps_rollup and
// status. All figures are sums over a process and its descendants. Programs are
// started by exec in sessions of their own and stopped by the ids that
// were started here, never by name. Linux only.
package proc
