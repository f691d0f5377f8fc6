package cli

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/pflag"

	"edgerouter/server"

	"edgerouter/turbo"
)

// settings are the flags of serve. Each may be given by its environment
// variable instead; a flag goes before it, and both go before --dev's defaults.
type settings struct {
	http, https, admin string
	adminTokenFile     string
	data               string
	apps               string
	dev                bool
	busSettings
	certSettings
	clientSettings
	limitSettings
	docker         dockerSettings
	certDir        string
	trustedProxies []string
	proxyProtocol  string
	httpsPort      uint16 // --https-public-port
	accessLog      string
	logLevel       string
	shutdownGrace  time.Duration
	busWait        time.Duration
	lambdaMemory   string
	metricsPath    string // METRICS_ENDPOINT
	store          string // of static sites
	warmUp         time.Duration
	s3             s3Discovery
	idServerURL    string
	ipRules        string

	quickstart *demo // set by --dev when no application is configured
	trusted    []netip.Prefix

	proxyPlain, proxySecure server.ProxyMode
	level                   zerolog.Level
}

// setting is one flag: its name, environment variables beside the one of
// variable, in the order in which they are looked at after it, and what --dev
// makes of its default.
type setting struct {
	flag string
	env  []string
	dev  string
}

var serveSettings = []setting{
	{flag: "http", dev: ":8080"},
	{flag: "https", dev: ":8443"},
	{flag: "admin"},
	{flag: "admin-token-file"},
	{flag: "data", dev: "./.edgerouter"},
	{flag: "apps"},
	{flag: "dev"},
	{flag: "turbocharger-store", env: []string{"TURBOCHARGER_STORE"}},
	{flag: "turbocharger-warm-up"},
	{flag: "cert-dir"},
	{flag: "trusted-proxies"},
	{flag: "proxy-protocol"},
	{flag: "https-public-port"},
	{flag: "access-log"},
	{flag: "log-level"},
	{flag: "lambda-memory"},
	{flag: "id-server-url", env: []string{"ID_SERVER_URL"}},
	{flag: "ip-rules"},
	{flag: "bus-wait"},
	{flag: "shutdown-grace"},
}

func (s *settings) addFlags(f *pflag.FlagSet) {
	f.StringVar(&s.http, "http", ":80", "plain HTTP listener `address`; empty turns it off")
	f.StringVar(&s.https, "https", ":443", "TLS listener `address`; empty turns it off")
	f.StringVar(&s.admin, "admin", defaultAdmin, "admin listener `address`")
	f.StringVar(&s.adminTokenFile, "admin-token-file", "", "`file` with the token for state-changing calls, made at the first start (default DATA/admin-token)")
	f.StringVar(&s.data, "data", "/var/lib/edgerouter", "`folder` of tokens, certificates and caches")
	f.StringVar(&s.apps, "apps", "", "`file or folder` of application definitions, watched (default applications.json if it exists)")
	f.BoolVar(&s.dev, "dev", false, "development: ports 8080 and 8443, data in ./.edgerouter, certificates of a local CA, and examples/quickstart when no application is configured")
	s.busSettings.addFlags(f)
	addStoreFlag(f, &s.store)
	f.DurationVar(&s.warmUp, "turbocharger-warm-up", turbo.DefaultWarmUp, "how `long` a new version of a site waits at most for the files that are in use, before it is served without them")
	s.s3.addFlags(f)
	s.docker.addFlags(f)
	s.certSettings.addFlags(f)
	s.clientSettings.addFlags(f)
	s.limitSettings.addFlags(f)
	f.StringVar(&s.certDir, "cert-dir", "", "`folder` of PEM certificates and keys, watched")
	f.StringSliceVar(&s.trustedProxies, "trusted-proxies", nil, "`CIDRs` of proxies whose X-Forwarded-* and PROXY protocol are believed")
	f.StringVar(&s.proxyProtocol, "proxy-protocol", "off", "PROXY protocol from --trusted-proxies, a `mode` (off, optional or required), or one for each listener: http=MODE,https=MODE")
	f.Uint16Var(&s.httpsPort, "https-public-port", 0, "`port` that redirects to https name, when clients reach --https by another one (default that of --https)")
	f.StringVar(&s.idServerURL, "id-server-url", "", "`URL` of the function61 id server, for auth_sso_opts that name none")
	f.StringVar(&s.ipRules, "ip-rules", "", "`file` that says which client addresses may enter, watched (default: all may)")
	f.StringVar(&s.accessLog, "access-log", "off", "access log on standard output: `off, json or console`")
	f.StringVar(&s.lambdaMemory, "lambda-memory", "", "`size` of the memory for events and payloads of Lambda functions (default 256MiB, or a quarter of the process's limit)")
	f.StringVar(&s.logLevel, "log-level", "info", "`level`: trace, debug, info, warn or error")
	f.DurationVar(&s.busWait, "bus-wait", 0, "`duration` after which a node is ready that has no snapshot and cannot read the event bus; 0: not before it has read it")
	f.DurationVar(&s.shutdownGrace, "shutdown-grace", 30*time.Second, "how `long` requests in flight may take to end after SIGTERM")
}

// resolve fills in the environment and --dev's defaults, and checks what a
// parser of flags cannot. What it returns is wrong usage.
func (s *settings) resolve(f *pflag.FlagSet, env func(string) (string, bool)) error {
	for _, v := range slices.Concat(serveSettings, busEnvironment, s3DiscoverySettings, certEnvironment, clientEnvironment, limitEnvironment) {
		if err := v.fromEnvironment(f, env); err != nil {
			return err
		}
	}
	if err := s.docker.resolve(f, env); err != nil {
		return err
	}
	if s.dev {
		for _, v := range serveSettings {
			if v.dev != "" && !f.Changed(v.flag) {
				f.Set(v.flag, v.dev)
			}
		}
	}
	s.metricsPath, _ = env("METRICS_ENDPOINT")
	if s.metricsPath != "" && !strings.HasPrefix(s.metricsPath, "/") {
		s.metricsPath = "/" + s.metricsPath
	}
	if s.adminTokenFile == "" {
		s.adminTokenFile = s.data + "/admin-token"
	}
	if err := s.busSettings.resolve(f, env); err != nil {
		return err
	}
	if err := s.certSettings.resolve(); err != nil {
		return err
	}
	if err := s.clientSettings.check(); err != nil {
		return err
	}
	return s.check()
}

// variable is the environment variable of a flag: EDGEROUTER_ and its name in
// capitals.
func variable(flag string) string {
	return "EDGEROUTER_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// names are the environment variables of the flag, that of variable first.
func (v *setting) names() []string { return append([]string{variable(v.flag)}, v.env...) }

// fromEnvironment sets a flag that was not given from the first of its variables
// that is.
func (v *setting) fromEnvironment(f *pflag.FlagSet, env func(string) (string, bool)) error {
	if f.Changed(v.flag) {
		return nil
	}
	for _, name := range v.names() {
		value, given := env(name)
		// Compose files pass on variables that are not set as empty ones, but
		// an empty listener is an answer.
		if value == "" && v.flag != "http" && v.flag != "https" {
			continue
		}
		if given {
			if err := f.Set(v.flag, value); err != nil {
				return usagef("%s=%q: %w", name, value, err)
			}
			return nil
		}
	}
	return nil
}

func (s *settings) check() error {
	for _, l := range []struct{ flag, addr string }{{"http", s.http}, {"https", s.https}, {"admin", s.admin}} {
		if l.addr == "" && l.flag != "admin" {
			continue
		}
		if _, port, err := net.SplitHostPort(l.addr); err != nil || port == "" {
			return usagef("--%s %q: want HOST:PORT or :PORT", l.flag, l.addr)
		} else if _, err := net.LookupPort("tcp", port); err != nil {
			return usagef("--%s %q: %q is not a port", l.flag, l.addr, port)
		}
	}
	if s.http == "" && s.https == "" {
		return usagef("--http and --https are both empty: there would be nothing to serve")
	}
	if !slices.Contains([]string{"off", "json", "console"}, s.accessLog) {
		return usagef("--access-log %q: want off, json or console", s.accessLog)
	}
	if s.idServerURL != "" {
		if u, err := url.Parse(s.idServerURL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return usagef("--id-server-url %q: want an http or https URL", s.idServerURL)
		}
	}
	var err error
	if s.level, err = zerolog.ParseLevel(s.logLevel); err != nil || s.logLevel == "" {
		return usagef("--log-level %q: want trace, debug, info, warn or error", s.logLevel)
	}
	if s.busWait < 0 {
		return usagef("--bus-wait %s: must not be negative", s.busWait)
	}
	if s.shutdownGrace < 0 {
		return usagef("--shutdown-grace %s: must not be negative", s.shutdownGrace)
	}
	if s.warmUp < 0 {
		return usagef("--turbocharger-warm-up %s: must not be negative; 0 waits for no file", s.warmUp)
	}
	for _, c := range s.trustedProxies {
		p, err := parsePrefix(strings.TrimSpace(c))
		if err != nil {
			return usagef("--trusted-proxies %q: want addresses or CIDRs such as 10.0.0.0/8: %w", c, err)
		}
		s.trusted = append(s.trusted, p)
	}
	if s.proxyPlain, s.proxySecure, err = parseProxyProtocol(s.proxyProtocol); err != nil {
		return err
	}
	if s.proxyPlain+s.proxySecure != server.ProxyOff && len(s.trusted) == 0 {
		return usagef("--proxy-protocol %s: it is believed of trusted proxies only, and --trusted-proxies names none", s.proxyProtocol)
	}
	if _, err := lambdaMemory(s.lambdaMemory); err != nil {
		return err
	}
	if err := s.limitSettings.check(); err != nil {
		return err
	}
	return s.s3.check()
}

// publicPort is the port of https that clients know: --https-public-port or that of
// --https; 0 without TLS.
func (s *settings) publicPort() int {
	if s.httpsPort != 0 {
		return int(s.httpsPort)
	}
	_, port, _ := net.SplitHostPort(s.https)
	n, _ := net.LookupPort("tcp", port)
	return n
}

func parsePrefix(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, err
		}
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, err
	}
	if p.Masked() != p {
		return p, fmt.Errorf("the address has bits beyond the prefix; did you mean %s?", p.Masked())
	}
	return p, nil
}

// logTime is how times are written: with milliseconds.
const logTime = "2006-01-02T15:04:05.000Z07:00"

// newLogger writes JSON lines, or readable ones on a terminal.
func newLogger(f *os.File, level zerolog.Level, terminal bool) zerolog.Logger {
	// zerolog has these for the whole process.
	zerolog.TimeFieldFormat = logTime
	zerolog.DurationFieldFormat = zerolog.DurationFormatString
	if terminal {
		return zerolog.New(zerolog.ConsoleWriter{Out: f, TimeFormat: "15:04:05.000"}).Level(level).With().Timestamp().Logger()
	}
	return zerolog.New(f).Level(level).With().Timestamp().Logger()
}
