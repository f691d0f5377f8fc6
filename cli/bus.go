package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/rs/zerolog"
	"github.com/spf13/pflag"

	"edgerouter/bus"
	"edgerouter/bus/eventhorizon"
	"edgerouter/bus/jetstream"
	"edgerouter/metrics"
)

// busSettings are the flags of the event bus, which serve and the discovery
// commands have in common.
type busSettings struct {
	bus, tenant, nodeName     string
	nodeGiven                 bool // nodeName is not the default
	busListen, busClient      string
	busPeers                  []string
	busSecretFile, busCluster string
	busTLSCert, busTLSKey     string
	busTLSCA, busCredentials  string
	busPoll                   time.Duration
	eventhorizon              eventhorizon.Config // of EVENTHORIZON
	eventhorizonGiven         bool
}

// The kinds of bus that have no address.
const (
	busOff          = "off"
	busEmbedded     = "embedded"
	busEventHorizon = "eventhorizon"
)

var busEnvironment = []setting{
	{flag: "bus"},
	{flag: "tenant"},
	{flag: "node"},
	{flag: "bus-listen"},
	{flag: "bus-client"},
	{flag: "bus-peers"},
	{flag: "bus-secret-file"},
	{flag: "bus-cluster"},
	{flag: "bus-tls-cert"},
	{flag: "bus-tls-key"},
	{flag: "bus-tls-ca"},
	{flag: "bus-credentials"},
	{flag: "bus-poll"},
}

func (s *busSettings) addFlags(f *pflag.FlagSet) {
	f.StringVar(&s.bus, "bus", busEmbedded, "event bus: `embedded`, nats://HOST:4222,..., eventhorizon or off")
	f.StringVar(&s.tenant, "tenant", "1", "the `N` of the bus's streams /t-N/...")
	f.StringVar(&s.nodeName, "node", hostName(), "`name` of this node in the cluster")
	f.StringVar(&s.busListen, "bus-listen", "", "embedded bus: `address` for the other nodes")
	f.StringVar(&s.busClient, "bus-client", "", "embedded bus: `address` for tools such as the nats command")
	f.StringSliceVar(&s.busPeers, "bus-peers", nil, "embedded bus: `addresses` (--bus-listen) of the other nodes, two or four")
	f.StringVar(&s.busSecretFile, "bus-secret-file", "", "`file` with the secret that all nodes of the cluster share")
	f.StringVar(&s.busCluster, "bus-cluster", "edgerouter", "`name` of the cluster; nodes of another are refused")
	f.StringVar(&s.busTLSCert, "bus-tls-cert", "", "certificate (PEM `file`) of this node towards the other nodes or --bus nats://")
	f.StringVar(&s.busTLSKey, "bus-tls-key", "", "its key (PEM `file`)")
	f.StringVar(&s.busTLSCA, "bus-tls-ca", "", "certificates (PEM `file`) of the authority that the others' are from")
	f.StringVar(&s.busCredentials, "bus-credentials", "", "NATS credentials `file` for --bus nats://")
	f.DurationVar(&s.busPoll, "bus-poll", eventhorizon.DefaultPoll, "how `often` --bus eventhorizon looks for what others appended")
}

// hostName is the host's name as a node may be called.
func hostName() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "node"
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\r\n.*>/\\", r) {
			return '-'
		}
		return r
	}, name)
}

// resolve reads EVENTHORIZON and checks what does not need a file.
func (s *busSettings) resolve(f *pflag.FlagSet, env func(string) (string, bool)) error {
	if text, _ := env("EVENTHORIZON"); text != "" {
		var err error
		if s.eventhorizon, err = eventhorizon.ParseConfig(text); err != nil {
			return usagef("EVENTHORIZON: %w", err)
		}
		s.eventhorizonGiven = true
	}
	s.nodeGiven = f.Changed("node")
	switch {
	case s.bus == busOff, s.bus == busEmbedded:
	case s.bus == busEventHorizon:
		if !s.eventhorizonGiven {
			return usagef("--bus eventhorizon: the variable EVENTHORIZON is missing: env:tenant:accessKeyId:accessKeySecret:region")
		}
		if f.Changed("tenant") && s.tenant != s.eventhorizon.Tenant {
			return usagef("--tenant %s and EVENTHORIZON, which has tenant %s: they have to be the same", s.tenant, s.eventhorizon.Tenant)
		}
		s.tenant = s.eventhorizon.Tenant
	case strings.Contains(s.bus, "://"):
	default:
		return usagef("--bus %q: want embedded, nats://HOST:4222,..., eventhorizon or off", s.bus)
	}
	if err := bus.CheckStream(bus.StreamPath(s.tenant, "loadbalancer")); err != nil {
		return usagef("--tenant %q: want a number such as 1", s.tenant)
	}
	if s.busPoll < 100*time.Millisecond {
		return usagef("--bus-poll %s: must be 100ms or more", s.busPoll)
	}
	return nil
}

// keepName makes the default of --node the name that the data folder of an embedded
// bus has: the name of a host changes, that of a member of a cluster must not.
func (s *busSettings) keepName(data string) error {
	if s.bus != busEmbedded || s.nodeGiven {
		return nil
	}
	recorded, err := jetstream.RecordedNode(busFolder(data))
	if err == nil && recorded != "" {
		s.nodeName = recorded
	}
	return err
}

// busFolder is where an embedded bus has its store.
func busFolder(data string) string { return filepath.Join(data, "bus") }

// open makes the event log that the settings name. Nothing is asked of it yet,
// except that the folder of an embedded one is locked.
func (s *busSettings) open(ctx context.Context, data string, m *metrics.Set, log zerolog.Logger) (bus.Log, error) {
	switch s.bus {
	case busEventHorizon:
		return s.openEventHorizon(ctx)
	case busEmbedded:
		if err := s.keepName(data); err != nil {
			return nil, err
		}
		return s.openJetStream(jetstream.Options{Embedded: jetstream.Embedded{
			Folder: busFolder(data), Client: s.busClient, Listen: s.busListen, Peers: s.busPeers, Cluster: s.busCluster,
		}}, m, log)
	}
	return s.openJetStream(jetstream.Options{URLs: strings.Split(s.bus, ","), Credentials: s.busCredentials}, m, log)
}

func (s *busSettings) openJetStream(o jetstream.Options, m *metrics.Set, log zerolog.Logger) (bus.Log, error) {
	o.Node, o.Metrics, o.Logger = s.nodeName, m, log
	if s.busSecretFile != "" {
		secret, err := os.ReadFile(s.busSecretFile)
		if err != nil {
			return nil, fmt.Errorf("--bus-secret-file: %w", err)
		}
		if o.Secret = strings.TrimSpace(string(secret)); o.Secret == "" {
			return nil, usagef("--bus-secret-file %s is empty; openssl rand -hex 32 makes a secret", s.busSecretFile)
		}
	}
	config, err := s.tlsConfig()
	if err != nil {
		return nil, err
	}
	o.TLS, o.RouteTLS = config, config
	b, err := jetstream.New(o)
	if err != nil {
		if errors.Is(err, jetstream.ErrLocked) || errors.As(err, new(*os.PathError)) {
			return nil, err
		}
		return nil, usageError{err}
	}
	return b, nil
}

// tlsConfig is nil when nothing of it is given. Both sides of a connection show a
// certificate.
func (s *busSettings) tlsConfig() (*tls.Config, error) {
	if s.busTLSCert == "" && s.busTLSKey == "" && s.busTLSCA == "" {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.busTLSCA != "" {
		pem, err := os.ReadFile(s.busTLSCA)
		if err != nil {
			return nil, fmt.Errorf("--bus-tls-ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("--bus-tls-ca %s has no certificate in PEM form", s.busTLSCA)
		}
		c.ClientCAs, c.ClientAuth = c.RootCAs, tls.RequireAndVerifyClientCert
	}
	if s.busTLSCert == "" && s.busTLSKey == "" {
		if len(s.busPeers) > 0 {
			return nil, usagef("--bus-tls-ca: nodes show each other certificates: give --bus-tls-cert and --bus-tls-key, too")
		}
		return c, nil
	}
	if len(s.busPeers) > 0 && s.busTLSCA == "" {
		return nil, usagef("--bus-tls-cert: without --bus-tls-ca no node could tell the others' certificates from a stranger's")
	}
	pair, err := tls.LoadX509KeyPair(s.busTLSCert, s.busTLSKey)
	if err != nil {
		return nil, fmt.Errorf("--bus-tls-cert %s and --bus-tls-key %s: %w", s.busTLSCert, s.busTLSKey, err)
	}
	c.Certificates = []tls.Certificate{pair}
	return c, nil
}

func (s *busSettings) openEventHorizon(ctx context.Context) (bus.Log, error) {
	options := []func(*awsconfig.LoadOptions) error{awsconfig.WithRegion(s.eventhorizon.Region)}
	if s.eventhorizon.KeyID != "" {
		options = append(options, awsconfig.WithCredentialsProvider(
			credentials.NewStaticCredentialsProvider(s.eventhorizon.KeyID, s.eventhorizon.Secret, "")))
	}
	config, err := awsconfig.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("--bus eventhorizon: the AWS configuration: %w", err)
	}
	return eventhorizon.New(eventhorizon.Options{
		Client: dynamodb.NewFromConfig(config), Table: s.eventhorizon.Table(), Poll: s.busPoll,
	}), nil
}
