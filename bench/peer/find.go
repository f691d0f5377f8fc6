package peer

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// Names are the proxies that Find knows, in the order of the tables.
var Names = []string{"edgerouter", "nginx", "haproxy", "caddy", "fasthttp", "httputil"}

// Find looks for a proxy by name. self is how this program's bench command is
// called and binary is edgerouter's. An error says what is missing.
func Find(ctx context.Context, name, binary string, self []string) (Proxy, error) {
	switch name {
	case "edgerouter":
		// Any program can be named; only one that has serve can be measured.
		if out, err := say(ctx, binary, "serve", "--help"); err != nil {
			return nil, fmt.Errorf("edgerouter: %s has no serve command (see --edgerouter): %s", binary, out)
		}
		out, err := say(ctx, binary, "version")
		if err != nil {
			out = "version unknown"
		}
		return Edgerouter{Binary: binary, Says: out}, nil
	case "nginx":
		path, err := lookup("nginx", "/usr/sbin/nginx")
		if err != nil {
			return nil, err
		}
		out, _ := say(ctx, path, "-v")
		return Nginx{Binary: path, Says: strings.TrimPrefix(out, "nginx version: ")}, nil
	case "haproxy":
		path, err := lookup("haproxy", "/usr/sbin/haproxy")
		if err != nil {
			return nil, err
		}
		out, _ := say(ctx, path, "-v")
		if m := regexp.MustCompile(`version (\S+)`).FindStringSubmatch(out); m != nil {
			out = "haproxy/" + m[1]
		}
		return HAProxy{Binary: path, Says: out}, nil
	case "caddy":
		path, err := lookup("caddy", "/usr/local/bin/caddy")
		if err != nil {
			return nil, err
		}
		return Caddy{Binary: path, Says: caddyVersion(ctx, path)}, nil
	case "fasthttp":
		return Built{Label: name, Self: self, Sub: "proxy-fasthttp", Says: moduleVersion("github.com/valyala/fasthttp") + ", " + runtime.Version()}, nil
	case "httputil":
		return Built{Label: name, Self: self, Sub: "proxy-httputil", Says: "net/http/httputil.ReverseProxy, " + runtime.Version()}, nil
	}
	return nil, fmt.Errorf("no proxy is called %q: known are %s", name, strings.Join(Names, ", "))
}

func lookup(name, usual string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	if path, err := exec.LookPath(usual); err == nil {
		return path, nil
	}
	return "", fmt.Errorf("%s: not installed (neither in PATH nor at %s)", name, usual)
}

// say is the first line that a program prints.
func say(ctx context.Context, argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line, err
}

// caddyVersion prefers the module's version in the binary, which a caddy built by
// go install has and does not print.
func caddyVersion(ctx context.Context, path string) string {
	if info, err := buildinfo.ReadFile(path); err == nil && strings.HasPrefix(info.Main.Path, "github.com/caddyserver/caddy") {
		return "caddy/" + info.Main.Version + ", " + info.GoVersion
	}
	out, _ := say(ctx, path, "version")
	return "caddy/" + out
}
