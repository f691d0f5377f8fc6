package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

func certCommand() *cobra.Command {
	return group("cert", "Certificates: what is served, CertBus's stream, and the development CA",
		certListCommand(), certPutCommand(), certRmCommand(), certKeygenCommand(), certTrustCommand())
}

func certTrustCommand() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "trust",
		Short: "Tell how to make this machine trust the development CA",
		Long: `serve --dev signs its certificates with a CA of its own in the data folder. This prints the commands
that make programs trust it. It changes nothing by itself.

Trust it only on the machine where it was made: whoever can read its key can speak for any name.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := filepath.Abs(filepath.Join(devCAFolder(data), "ca.crt"))
			if err != nil {
				return err
			}
			if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("there is no development CA at %s (--data %s); edgerouter serve --dev makes one", path, data)
			} else if err != nil {
				return fmt.Errorf("the development CA (--data %s): %w", data, err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), trustText, path)
			return err
		},
	}
	cmd.Flags().StringVar(&data, "data", cmp.Or(os.Getenv("EDGEROUTER_DATA"), ".edgerouter"), "data `folder` of the node")
	return cmd
}

// trustText has the path of the CA's certificate for its only argument.
const trustText = `The development CA is
  %[1]s

For one command
  curl --cacert '%[1]s' https://hello.localhost:8443/
  SSL_CERT_FILE='%[1]s'         Go, OpenSSL, Ruby, PHP
  NODE_EXTRA_CA_CERTS='%[1]s'   Node.js
  REQUESTS_CA_BUNDLE='%[1]s'    Python requests

For this machine
  Debian, Ubuntu   sudo cp '%[1]s' /usr/local/share/ca-certificates/edgerouter-dev.crt && sudo update-ca-certificates
  Fedora, RHEL     sudo trust anchor '%[1]s'
  Arch             sudo trust anchor --store '%[1]s'
  macOS            sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain '%[1]s'
  Windows          certutil -addstore -user Root "%[1]s"

For browsers with a store of their own
  Chrome on Linux  certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n edgerouter-dev -i '%[1]s'
  Firefox          Settings, Privacy & Security, View Certificates, Authorities, Import

To take it back, remove it from where it was put; lists call it "edgerouter development CA".
`
