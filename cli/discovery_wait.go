package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"edgerouter/admin"
)

func discoveryWait() *cobra.Command {
	var n node
	var servers []string
	var generation int64
	var nodes int
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "wait --generation N",
		Short: "Wait until all nodes have a generation in service",
		Long: `Waits until every node of the cluster has the generation that put, rm or rollback printed, or a later one,
in service, and fails when that takes longer than --timeout, with what is missing.

One node is asked, and tells of all that are connected by the event bus. Nodes on EventHorizon do not know
of one another: name each with --server.`,
		Example: `  edgerouter discovery wait --generation $(edgerouter discovery put blog.json)`,
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if generation < 0 || !cmd.Flags().Changed("generation") {
				return usagef("--generation is missing: it is the number that put, rm and rollback print")
			}
			if len(servers) == 0 {
				servers = []string{""}
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			for {
				var missing []string
				for _, s := range servers {
					asked := node{server: s, tokenFile: n.tokenFile}
					var c admin.Cluster
					if err := asked.get(ctx, "api/v1/cluster", nil, &c); err != nil {
						missing = append(missing, err.Error())
						continue
					}
					missing = append(missing, behind(c, generation, nodes)...)
				}
				if len(missing) == 0 {
					return nil
				}
				t := time.NewTimer(50 * time.Millisecond)
				select {
				case <-t.C:
				case <-ctx.Done():
					t.Stop()
					slices.Sort(missing)
					return fmt.Errorf("generation %d is not in service everywhere after %s: %s", generation, timeout, strings.Join(slices.Compact(missing), "; "))
				}
			}
		},
	}
	cmd.Flags().Int64Var(&generation, "generation", 0, "the `N` that put, rm or rollback printed")
	cmd.Flags().DurationVar(&timeout, "timeout", time.Minute, "how `long` to wait")
	cmd.Flags().IntVar(&nodes, "nodes", 0, "how many nodes there have to be at least (default: as many as the cluster's configuration names)")
	cmd.Flags().StringSliceVar(&servers, "server", nil, "`URLs` of nodes' admin listeners (default: the one of this machine)")
	cmd.Flags().StringVar(&n.tokenFile, "token-file", "", "file with the admin `token`, which a listener beyond loopback wants")
	return cmd
}

// behind says which nodes do not have the generation.
func behind(c admin.Cluster, generation int64, nodes int) []string {
	if c.Bus == busOff {
		return []string{fmt.Sprintf("node %q has no event bus (--bus off)", c.Node)}
	}
	var out []string
	for _, n := range c.Nodes {
		switch {
		case n.State == admin.NodeSilent:
			out = append(out, fmt.Sprintf("node %q is not heard of", n.Node))
		case n.Generation < generation:
			out = append(out, fmt.Sprintf("node %q has generation %d", n.Node, n.Generation))
		}
	}
	if want := max(nodes, c.Expected); len(c.Nodes) < want {
		out = append(out, fmt.Sprintf("%d of %d nodes are known", len(c.Nodes), want))
	}
	return out
}
