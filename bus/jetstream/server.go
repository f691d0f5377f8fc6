package jetstream

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"golang.org/x/sys/unix"
)

// The folders of the store. A node alone and a node of a cluster keep their logs
// in different forms, so each has its own; see migrate.go for the way from one
// to the other.
const (
	folderAlone   = "one"
	folderCluster = "cluster"
	lockFile      = "lock"
	secretUser    = "edgerouter"
)

const (
	startPatience = 20 * time.Second
	// maxStore bounds the store; a log of a million changes of applications has
	// about 1 GB.
	maxStore  = 16 << 30
	maxMemory = 32 << 20 // no stream is kept in memory
	// A route that does not answer is given up after this; raft has time-outs of
	// its own, but what is sent into a dead connection is lost for its readers.
	routePing     = 2 * time.Second
	routePingsOut = 2
	routeDeadline = 5 * time.Second
)

// ErrLocked says that another process uses the folder of an embedded bus.
var ErrLocked = errors.New("another process uses it")

// lock takes the folder for this process. The lock ends with the process,
// however that ends.
func lock(folder string) (*os.File, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of the event bus %s (--data): %w", folder, err)
	}
	path := filepath.Join(folder, lockFile)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock of the event bus (--data): %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = ErrLocked
		}
		return nil, fmt.Errorf("the event bus in %s (--data): %w", folder, err)
	}
	return f, nil
}

// startServer runs a server on a folder of the store. clustered says which form
// it has. errDamaged when the server cannot make sense of what is there.
func startServer(o Options, clustered bool, log *serverLog) (*server.Server, error) {
	opts := serverOptions(o, clustered)
	srv, err := runServer(opts, log)
	if err != nil {
		return nil, err
	}
	if !srv.JetStreamEnabled() {
		stopServer(srv)
		return nil, fmt.Errorf("the embedded event bus could not use its store %s: see the lines before; is the disk full, or the folder of another user?", opts.StoreDir)
	}
	return srv, nil
}

// serverOptions are the server's own, with its store.
func serverOptions(o Options, clustered bool) *server.Options {
	folder := folderAlone
	if clustered {
		folder = folderCluster
	}
	opts := &server.Options{
		ServerName: o.Node, DontListen: true, NoSigs: true, NoLog: false, DisableJetStreamBanner: true,
		JetStream: true, StoreDir: filepath.Join(o.Folder, folder), SyncAlways: true,
		JetStreamMaxStore: maxStore, JetStreamMaxMemory: maxMemory,
		WriteDeadline: routeDeadline,
	}
	if o.Secret != "" {
		opts.Username, opts.Password = secretUser, o.Secret
	}
	if o.Client != "" {
		opts.DontListen = false
		opts.Host, opts.Port, _ = splitAddr(o.Client)
	}
	if clustered {
		clusterOptions(opts, o)
		if o.Client == "" {
			// A server opens its routes only after its port for clients. That one is on
			// loopback, of the kernel's choosing, and wants the secret.
			opts.DontListen, opts.Host, opts.Port = false, "127.0.0.1", server.RANDOM_PORT
		}
	}
	return opts
}

// runServer starts a server and waits until it takes connections.
func runServer(opts *server.Options, log *serverLog) (*server.Server, error) {
	srv, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("the embedded event bus: %w", err)
	}
	srv.SetLoggerV2(log, true, false, false)
	log.takeFailure()
	log.takeDamage() // of the store that was put aside
	srv.Start()      // comes back when the store was read
	if why := log.takeFailure(); why != "" {
		stopServer(srv)
		if outside(why) {
			return nil, fmt.Errorf("the embedded event bus could not use its store %s: %s", opts.StoreDir, why)
		}
		return nil, fmt.Errorf("%w: %s: %s", errDamaged, opts.StoreDir, why)
	}
	if !srv.ReadyForConnections(startPatience) {
		stopServer(srv)
		return nil, fmt.Errorf("the embedded event bus in %s did not start in %s: is another program at its ports?", opts.StoreDir, startPatience)
	}
	return srv, nil
}

// clusterOptions make the server one of a cluster. For its first election a new
// server expects as many nodes as it has routes: two of three, or four of five,
// whose majorities always have a node in common.
func clusterOptions(opts *server.Options, o Options) {
	host, port, _ := splitAddr(o.Listen)
	opts.Cluster = server.ClusterOpts{
		Name: o.Cluster, Host: host, Port: port, Username: secretUser, Password: o.Secret,
		NoAdvertise: true, PoolSize: -1,
		PingInterval: routePing, MaxPingsOut: routePingsOut, WriteDeadline: routeDeadline,
		TLSConfig: o.RouteTLS, TLSTimeout: 5, AuthTimeout: 5,
	}
	if opts.Cluster.Host == "" {
		opts.Cluster.Host = "0.0.0.0"
	}
	user := url.UserPassword(secretUser, o.Secret)
	for _, addr := range o.Peers {
		opts.Routes = append(opts.Routes, &url.URL{Scheme: "nats-route", Host: addr, User: user})
	}
}

func stopServer(srv *server.Server) {
	srv.Shutdown()
	srv.WaitForShutdown()
}

// dialServer connects to a server of this process, without a port.
func dialServer(srv *server.Server, o Options, more ...nats.Option) (*nats.Conn, error) {
	options := append([]nats.Option{nats.InProcessServer(srv), nats.Name("edgerouter " + o.Node)}, more...)
	if o.Secret != "" {
		options = append(options, nats.UserInfo(secretUser, o.Secret))
	}
	nc, err := nats.Connect("", options...)
	if err != nil {
		return nil, fmt.Errorf("the embedded event bus: %w", err)
	}
	return nc, nil
}
