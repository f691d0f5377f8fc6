package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// defaultAdmin is the default of --admin.
const defaultAdmin = "127.0.0.1:9090"

// maxAnswer bounds what is read from a node.
const maxAnswer = 256 << 20

// adminAddress is where this machine's node has its admin listener, as a client
// has to write it: a listener on all addresses is asked on loopback.
func adminAddress() string {
	addr := os.Getenv("EDGEROUTER_ADMIN")
	if addr == "" {
		return defaultAdmin
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// node is the admin API of a running node, as the flags --server and
// --token-file say.
type node struct {
	server    string
	tokenFile string
}

func (n *node) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&n.server, "server", "", "`URL` of a node's admin listener (default: the one of this machine, http://"+adminAddress()+")")
	cmd.Flags().StringVar(&n.tokenFile, "token-file", os.Getenv("EDGEROUTER_ADMIN_TOKEN_FILE"), "file with the admin `token`, which a listener beyond loopback wants")
}

// get asks for path, which is relative to the server, and decodes the answer into v.
func (n *node) get(ctx context.Context, path string, query url.Values, v any) error {
	server := n.server
	if server == "" {
		server = "http://" + adminAddress()
	}
	base, err := url.Parse(server)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return usagef("--server %q: want a URL such as http://127.0.0.1:9090", server)
	}
	base = base.JoinPath(path)
	base.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base.String(), nil)
	if err != nil {
		return usagef("--server %q: %w", server, err)
	}
	if n.tokenFile != "" {
		token, err := os.ReadFile(n.tokenFile)
		if err != nil {
			return fmt.Errorf("--token-file: %w", err)
		}
		req.Header.Set("Authorization", "Bearer "+string(bytes.TrimSpace(token)))
	}
	client := &http.Client{Timeout: time.Minute}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("asking the node at %s (--server): %w; is it running?", server, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("reading the answer of the node at %s: %w", server, err)
	}
	if resp.StatusCode != http.StatusOK {
		return refused(server, resp.StatusCode, body)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("the answer of %s is not that of an edgerouter: %w", server, err)
	}
	return nil
}

// refused tells an answer other than 200 in the node's words.
func refused(server string, code int, body []byte) error {
	var told struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &told) != nil || told.Error == "" {
		told.Error, _, _ = strings.Cut(string(body[:min(200, len(body))]), "\n")
	}
	err := fmt.Errorf("the node at %s answered %d %s: %s", server, code, http.StatusText(code), told.Error)
	if code == http.StatusUnauthorized {
		err = fmt.Errorf("%w; give the admin token with --token-file", err)
	}
	return err
}
