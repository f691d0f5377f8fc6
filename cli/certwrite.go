package cli

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"edgerouter/bus"
	"edgerouter/certs/certbus"
)

func certPutCommand() *cobra.Command {
	var (
		l                    logFlags
		cert, key, recipient string
		id, certbusKey       string
	)
	cmd := &cobra.Command{
		Use:   "put --cert FILE --key FILE",
		Short: "Write a certificate into CertBus's stream",
		Long: `Encrypts the private key for the nodes and appends the certificate to the event log; nodes that have the
other half of the key (--certbus-key of serve) serve it at once. Prints the Id.

Without --id, a certificate with the same names is renewed under the Id that it has. Nothing is written
that a node would refuse: a key that does not fit, or a certificate that has expired.`,
		Example: `  edgerouter cert keygen --out client.key > client.pub
  edgerouter cert put --cert fullchain.pem --key privkey.pem --for client.pub`,
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			p := certbus.Put{ID: id}
			var err error
			if p.For, err = recipientKey(recipient, certbusKey); err != nil {
				return err
			}
			for _, f := range []struct {
				flag, path string
				to         *[]byte
			}{{"cert", cert, &p.Cert}, {"key", key, &p.Key}} {
				if f.path == "" {
					return usagef("--%s is missing; usage: %s", f.flag, cmd.UseLine())
				}
				if *f.to, err = os.ReadFile(f.path); err != nil {
					return fmt.Errorf("--%s: %w", f.flag, err)
				}
			}
			return l.withLog(cmd, func(ctx context.Context, log bus.Log) error {
				w, err := certbusWriter(ctx, &l, log)
				if err != nil {
					return err
				}
				written, err := w.Put(ctx, p)
				if err != nil {
					return fmt.Errorf("--cert %s, --key %s: %w", cert, key, err)
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), written.ID)
				return err
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&cert, "cert", "", "PEM `file` with the certificate and its issuers")
	f.StringVar(&key, "key", "", "PEM `file` with its private key")
	f.StringVar(&recipient, "for", "", "`file` with the nodes' public key: a line of ssh-rsa, or PEM (default the one of --certbus-key)")
	f.StringVar(&id, "id", "", "`Id` of the certificate's timeline")
	addCertbusKey(f, &certbusKey)
	l.addFlags(cmd)
	return cmd
}

// recipientKey is whom a private key is encrypted for.
func recipientKey(path, certbusKey string) (*rsa.PublicKey, error) {
	if path != "" {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("--for: %w", err)
		}
		public, err := certbus.ParsePublic(content)
		if err != nil {
			return nil, fmt.Errorf("--for %s: %w", path, err)
		}
		return public, nil
	}
	if certbusKey == "" {
		certbusKey = os.Getenv("CERTBUS_CLIENT_PRIVKEY")
	}
	keys, err := certbusKeys(certbusKey)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, usagef("for whom is the private key to be encrypted? Give the nodes' public key with --for, or their key with --certbus-key; edgerouter cert keygen makes one")
	}
	return &keys[0].PublicKey, nil
}

func certRmCommand() *cobra.Command {
	var l logFlags
	cmd := &cobra.Command{
		Use:   "rm ID",
		Short: "Remove a certificate from CertBus's stream",
		Long: `Appends the removal of an Id to the event log. Names that another Id has as well are served with its
certificate again. edgerouter cert ls --stream lists the Ids.`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return l.withLog(cmd, func(ctx context.Context, log bus.Log) error {
				w, err := certbusWriter(ctx, &l, log)
				if err != nil {
					return err
				}
				return w.Remove(ctx, args[0])
			})
		},
	}
	l.addFlags(cmd)
	return cmd
}

func certKeygenCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "keygen --out FILE",
		Short: "Make the key that CertBus's certificates are encrypted for",
		Long: `Makes an RSA key. The private half goes into a new file (mode 0600), as serve wants it in
CERTBUS_CLIENT_PRIVKEY or with --certbus-key file:FILE. The public half is printed, for cert put --for
and for CertBus; ssh-keygen -lf shows the fingerprint that the events have.`,
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out == "" {
				return usagef("--out is missing: the file for the private key")
			}
			key, err := certbus.NewClientKey()
			if err != nil {
				return err
			}
			f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("--out %s: it is there already, and what is encrypted for that key would be lost", out)
			} else if err != nil {
				return fmt.Errorf("--out: %w", err)
			}
			_, err = fmt.Fprintln(f, certbus.MarshalClientKey(key))
			if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
				return fmt.Errorf("--out: %w", err)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), certbus.MarshalPublic(&key.PublicKey, "edgerouter"))
			return err
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "new `file` for the private key")
	return cmd
}
