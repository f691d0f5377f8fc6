// Package report turns the raw rounds of a comparison into medians, ranges and
// ratios, a Markdown text and charts.
//
// In goes a Run (samples by scenario, proxy and round, with a description of the
// machine and the programs); out come text and SVG. It measures nothing and
// keeps no state: the same Run, read back from its JSON, gives the same report.
package report
