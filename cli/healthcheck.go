package cli

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// healthcheckTimeout is how long a node may take to say that it lives.
const healthcheckTimeout = 3 * time.Second

func healthcheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "healthcheck",
		Short: "Ask the node on this machine whether it lives (for HEALTHCHECK in containers)",
		Long: `Asks /healthz of the admin listener that EDGEROUTER_ADMIN names (default ` + defaultAdmin + `)
and ends with code 0 when it answers 200, else 1. An image FROM scratch has no other program to ask.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), healthcheckTimeout)
			defer cancel()
			url := "http://" + adminAddress() + "/healthz"
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				return fmt.Errorf("EDGEROUTER_ADMIN: %w", err)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return fmt.Errorf("the admin listener (EDGEROUTER_ADMIN) does not answer: %w", err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				return fmt.Errorf("%s answered %s", url, resp.Status)
			}
			return nil
		},
	}
}
