package cli

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"edgerouter/discovery/docker"
	"edgerouter/discovery/docker/labels"
)

// maxLabelFile bounds what --labels reads.
const maxLabelFile = 4 << 20

// dockerCommand is "docker" with what is below it.
func dockerCommand() *cobra.Command {
	return group("docker", "What containers and services with labels become", dockerExplainCommand())
}

// dockerSettings say which engine there is, and how it is read; for serve and
// for the docker commands.
type dockerSettings struct {
	host, network, defaultAuth, entryPoints string
	trustLabels                             bool

	// What resolve makes of them. on is false when no engine is to be asked.
	options docker.Options
	on      bool
}

// dockerFlags are the flags with their environment variables, in the order in
// which they are looked at.
var dockerFlags = []setting{
	{flag: "docker", env: []string{"DOCKER_URL", "DOCKER_HOST"}},
	{flag: "docker-network", env: []string{"NETWORK_NAME"}},
	{flag: "docker-default-auth"},
	{flag: "docker-entrypoints"},
	{flag: "docker-trust-labels"},
}

func (s *dockerSettings) addFlags(f *pflag.FlagSet) {
	f.StringVar(&s.host, "docker", "", "Docker engine to watch: `unix:///path, tcp://host:port` or off (default "+docker.DefaultHost+" if it is there)")
	f.StringVar(&s.network, "docker-network", docker.DefaultNetwork, "`network` whose addresses of containers are used; "+docker.AutoNetwork+" takes a container's only one")
	f.StringVar(&s.defaultAuth, "docker-default-auth", "", "stands in for a missing label edgerouter.auth; only `public` makes sense")
	f.StringVar(&s.entryPoints, "docker-entrypoints", "", "what entry points in labels stand for besides web, http, websecure and https: `NAME=http|https|off,...`")
	f.BoolVar(&s.trustLabels, "docker-trust-labels", false, "let labels read files and variables of edgerouter, reach its own addresses and name Turbocharger manifests")
}

// resolve fills in the environment. What it returns is wrong usage.
func (s *dockerSettings) resolve(f *pflag.FlagSet, env func(string) (string, bool)) error {
	for _, v := range dockerFlags {
		if err := v.fromEnvironment(f, env); err != nil {
			return err
		}
	}
	s.options = docker.Options{Host: s.host, Network: s.network, DefaultAuth: s.defaultAuth, TrustLabels: s.trustLabels}
	points, err := labels.ParseEntryPoints(s.entryPoints)
	if err != nil {
		return usagef("--docker-entrypoints: %w", err)
	}
	s.options.EntryPoints = points
	s.on = s.host != "off"
	if s.host == "" {
		s.options.Host = docker.DefaultHost
		_, err := os.Stat(strings.TrimPrefix(docker.DefaultHost, "unix://"))
		s.on = err == nil
	}
	if !s.on {
		return nil
	}
	if s.options.TLS, err = dockerTLS(env); err != nil {
		return err
	}
	if _, err := docker.New(s.options); err != nil {
		return usagef("%w (--docker, DOCKER_URL or DOCKER_HOST; --docker off turns it off)", err)
	}
	return nil
}

// String is the engine that is watched, or off.
func (s dockerSettings) String() string {
	if !s.on {
		return "off"
	}
	return s.options.Host
}

// dockerTLS reads the client's certificate: base64 of PEM from the environment,
// or PEM files as docker itself has them.
func dockerTLS(env func(string) (string, bool)) (t docker.TLS, err error) {
	folder, _ := env("DOCKER_CERT_PATH")
	for _, part := range []struct {
		name, file string
		to         *[]byte
	}{
		{"DOCKER_CLIENTCERT", "cert.pem", &t.Cert},
		{"DOCKER_CLIENTCERT_KEY", "key.pem", &t.Key},
		{"DOCKER_CACERT", "ca.pem", &t.CA},
	} {
		if value, _ := env(part.name); value != "" {
			if *part.to, err = pemOf(value); err != nil {
				return t, usagef("%s: %w", part.name, err)
			}
			continue
		}
		if folder == "" {
			continue
		}
		if *part.to, err = os.ReadFile(filepath.Join(folder, part.file)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return t, fmt.Errorf("DOCKER_CERT_PATH: %w", err)
		}
	}
	return t, nil
}

// pemOf is PEM as it is, or out of base64. The error does not show the value.
func pemOf(value string) ([]byte, error) {
	if strings.Contains(value, "-----BEGIN ") {
		return []byte(value), nil
	}
	data, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(value), ""))
	if err != nil || !strings.Contains(string(data), "-----BEGIN ") {
		return nil, errors.New("want the base64 of a PEM file")
	}
	return data, nil
}

func dockerExplainCommand() *cobra.Command {
	var (
		engine dockerSettings
		file   string
		id     string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "explain [CONTAINER|SERVICE]",
		Short: "Tell what labels became, and why",
		Long: `Tells which labels were read, what they became, what is wrong with them, and which address
and port were chosen and why: of a container, a Compose or Swarm service, an application, or of
everything that asks to be served.

With --labels a file is read instead of asking an engine: a JSON object, or lines KEY=VALUE.

Ends with code 1 when something is not served as its labels say.`,
		Example: `  edgerouter docker explain shop_web
  edgerouter docker explain --labels labels.txt
  docker inspect -f '{{json .Config.Labels}}' web | edgerouter docker explain --labels -`,
		Args: arguments(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := engine.resolve(cmd.Flags(), os.LookupEnv); err != nil {
				return err
			}
			var found []docker.Detail
			var err error
			switch {
			case file != "":
				if len(args) > 0 {
					return usagef("--labels and the name of a container do not go together; --id names the application")
				}
				data, err := readLabels(cmd, file)
				if err != nil {
					return err
				}
				given, err := docker.ParseLabels(data)
				if err != nil {
					return fmt.Errorf("--labels %s: %w", file, err)
				}
				found = docker.ExplainLabels(id, given, engine.options)
			case !engine.on:
				return usagef("there is no Docker engine to ask: give --docker (or DOCKER_HOST), or --labels FILE; %s is not there", docker.DefaultHost)
			default:
				if found, err = docker.Explain(cmd.Context(), engine.options, strings.Join(args, "")); err != nil {
					return err
				}
			}
			if asJSON {
				if found == nil {
					found = []docker.Detail{}
				}
				err = printJSON(cmd, found)
			} else {
				err = tellDetails(cmd.OutOrStdout(), found)
			}
			if err == nil && slices.ContainsFunc(found, func(d docker.Detail) bool { return d.In && (!d.Served || d.Kept) }) {
				return errTold
			}
			return err
		},
	}
	engine.addFlags(cmd.Flags())
	cmd.Flags().StringVar(&file, "labels", "", "read labels from this `file` (- is standard input) instead of asking an engine")
	cmd.Flags().StringVar(&id, "id", "app", "with --labels: `id` that the application would have")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func readLabels(cmd *cobra.Command, file string) ([]byte, error) {
	in := cmd.InOrStdin()
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("--labels: %w", err)
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxLabelFile+1))
	if err != nil {
		return nil, fmt.Errorf("--labels %s: %w", file, err)
	}
	if len(data) > maxLabelFile {
		return nil, fmt.Errorf("--labels %s: larger than %d bytes", file, maxLabelFile)
	}
	return data, nil
}

// tellDetails writes for people.
func tellDetails(w io.Writer, found []docker.Detail) error {
	var b strings.Builder
	if len(found) == 0 {
		b.WriteString("nothing asks to be served: no container and no service has labels that do\n")
	}
	for i := range found {
		if i > 0 {
			b.WriteByte('\n')
		}
		tellDetail(&b, &found[i])
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func tellDetail(b *strings.Builder, d *docker.Detail) {
	line := func(label, text string) {
		if text != "" {
			fmt.Fprintf(b, "%-12s%s\n", label, oneLine(text))
		}
	}
	lines := func(label string, texts []string) {
		for _, text := range texts {
			line(label, text)
			label = ""
		}
	}
	state := "served"
	switch {
	case !d.In:
		state = "not an application"
	case d.Kept:
		state = "served as before: the labels are broken"
	case !d.Served:
		state = "not served"
	}
	line("application", d.ID+" ("+state+")")
	if d.Name != "" {
		line("from", strings.ReplaceAll(string(d.Kind), "_", " ")+" "+d.Name)
	}
	why := d.Why
	if d.Dialect != "" {
		why += " (labels of " + d.Dialect + ")"
	}
	line("because", why)
	var labels []string
	for _, name := range slices.Sorted(maps.Keys(d.Labels)) {
		labels = append(labels, name+"="+d.Labels[name])
	}
	lines("labels", labels)
	var problems []string
	for _, p := range d.Problems {
		p.App = ""
		problems = append(problems, p.Error())
	}
	lines("problems", problems)
	line("became", d.Describe)
	var peers []string
	for _, p := range d.Peers {
		if p.Address == "" {
			peers = append(peers, p.Name+": "+p.State)
			continue
		}
		peers = append(peers, fmt.Sprintf("%s: %s (%s)", p.Name, p.Address, p.State), "  the address "+p.AddressWhy, "  the port "+p.PortWhy)
	}
	lines("peers", peers)
	if d.Application != nil {
		definition := strings.Builder{}
		enc := json.NewEncoder(&definition)
		enc.SetIndent(strings.Repeat(" ", 12), "  ")
		enc.SetEscapeHTML(false)
		if enc.Encode(d.Application) == nil {
			fmt.Fprintf(b, "%-12s%s", "definition", definition.String())
		}
	}
}
