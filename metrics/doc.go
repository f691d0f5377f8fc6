// Package metrics counts what the edge does and writes it out in the Prometheus
// text format (version 0.0.4).
//
// A Set holds everything that one process shows on /metrics. Into it go
// counters, gauges and histograms that are registered by name, and the requests
// of applications, which an App counts:
//
//	er_requests_ok{app,code,method}      code below 400
//	er_requests_fail{app,code,method}    code 400 and above
//	er_request_duration_seconds{app}     histogram, le from 0.00025 s doubling to 8.192 s
//
// each also with app="_all", which includes applications that are gone. Out
// comes WritePrometheus: families sorted by name, each with its TYPE (and HELP
// where there is one), its series together and sorted.
//
// Counters and gauges are those of github.com/VictoriaMetrics/metrics. Its Set
// is not used: it removes a series by going through all of them, scatters the
// series of a family where names share a prefix, writes TYPE lines only by a
// switch that is global to the process, and its histograms have no le buckets.
//
// Label values never come from a client unless they are from a fixed list:
// methods other than the nine standard ones are OTHER, status codes without
// three digits are "other".
//
// Counting takes no lock and allocates nothing once a combination of code and
// method has been seen. The package keeps no state outside of a Set and starts
// no goroutine.
package metrics
