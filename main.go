// edgerouter is an edge proxy: it takes HTTP for many hostnames and hands each
// request to the application that is configured for it. See README.md.
package main

import (
	"context"
	"os"

	"edgerouter/cli"
)

func main() {
	os.Exit(cli.Execute(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
