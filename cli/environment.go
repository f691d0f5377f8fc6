package cli

import (
	"os"
	"slices"
	"strings"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"edgerouter/app"
)

// A variable whose name is misspelt sets nothing, and nobody notices.

const (
	variablePrefix = "EDGEROUTER_"
	testPrefix     = "EDGEROUTER_TEST_" // variables of the tests
)

// knownVariables are the variables of all flags of all commands, and those of
// settings that have further names.
func knownVariables(root *cobra.Command) []string {
	var known []string
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) { known = append(known, variable(f.Name)) })
		for _, below := range cmd.Commands() {
			walk(below)
		}
	}
	walk(root)
	for _, s := range slices.Concat(serveSettings, busEnvironment, s3DiscoverySettings, certEnvironment) {
		known = append(known, s.names()...)
	}
	return known
}

// unknownVariables returns the names in an environment that begin as ours do and
// that no setting has, sorted.
func unknownVariables(environ, known []string) []string {
	var unknown []string
	for _, pair := range environ {
		name, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, variablePrefix) && !strings.HasPrefix(name, testPrefix) && !slices.Contains(known, name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return slices.Compact(unknown)
}

// warnOfVariables logs the variables that set nothing, with the name that each may
// have been meant for. Values are not logged: they may be secrets.
func warnOfVariables(cmd *cobra.Command, log zerolog.Logger) {
	known := knownVariables(cmd.Root())
	for _, name := range unknownVariables(os.Environ(), known) {
		line := log.Warn().Str("variable", name)
		if near := app.Nearest(name, known); near != "" {
			line = line.Str("did_you_mean", near)
		}
		line.Msg("the environment variable sets nothing: no setting has this name")
	}
}
