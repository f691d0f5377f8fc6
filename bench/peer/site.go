package peer

import (
	"bytes"
	"fmt"
)

// Site makes a job a static site in the place of the peers: the same files, and
// the same Cache-Control, for every proxy that can serve files.
type Site struct {
	Root     string // folder of the files, with the gzip form beside what has one
	Store    string // URL of a Turbocharger store that has the same files
	Manifest string // their version in it
}

func siteApplication(s *Site) object {
	a := application("bench", Host, []string{"/"}, nil)
	a["backend"] = object{"kind": "turbocharger", "turbocharger_opts": object{"manifest": s.Manifest}}
	return a
}

// sitePlan is nginx with all that makes it quick with files: sendfile, open files
// that are kept, and compressed forms made beforehand.
func (n Nginx) sitePlan(j Job) (Plan, error) {
	var b bytes.Buffer
	p := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	if j.Root {
		p("user root;")
	}
	p("worker_processes 1;")
	p("daemon off;")
	p("pid %s;", j.path("nginx.pid"))
	p("error_log stderr crit;")
	p("events { worker_connections %d; }", j.Conns+256)
	p("http {")
	p("  access_log off;")
	p("  log_not_found off;")
	p("  server_tokens off;")
	p("  sendfile on;")
	p("  tcp_nopush on;")
	p("  tcp_nodelay on;")
	p("  keepalive_timeout 3600s;")
	p("  keepalive_requests 1000000000;")
	for _, temp := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		p("  %s_temp_path %s;", temp, j.path(temp))
	}
	p("  types { text/css css; text/html html; }")
	p("  default_type application/octet-stream;")
	p("  open_file_cache max=1000 inactive=3600s;")
	p("  open_file_cache_valid 3600s;")
	p("  open_file_cache_errors on;")
	p("  gzip_static on;")
	p("  gzip_vary on;")
	p("  etag on;")
	p("  server {")
	p("    listen %s default_server backlog=4096;", j.HTTP)
	p("    root %s;", j.Site.Root)
	p("    error_page 404 /404.html;")
	p("    add_header Cache-Control no-cache;")
	p("  }")
	p("}")
	return Plan{
		Argv:  []string{n.Binary, "-p", j.Dir, "-c", j.path("nginx.conf")},
		Files: map[string][]byte{"nginx.conf": b.Bytes()},
	}, nil
}

// sitePlan is Caddy's file_server.
func (c Caddy) sitePlan(j Job) (Plan, error) {
	var b bytes.Buffer
	p := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	p("{")
	p("\tadmin off")
	p("\tauto_https off")
	p("\tpersist_config off")
	p("\tstorage file_system %s", j.path("storage"))
	p("\tservers {")
	p("\t\tprotocols h1")
	p("\t}")
	p("\tlog {")
	p("\t\tlevel ERROR")
	p("\t}")
	p("}")
	p("http://:%d {", j.HTTP.Port())
	p("\tbind %s", j.HTTP.Addr())
	p("\troot * %s", j.Site.Root)
	p("\theader Cache-Control no-cache")
	p("\tfile_server {")
	p("\t\tprecompressed gzip")
	p("\t}")
	p("\thandle_errors {")
	p("\t\trewrite * /404.html")
	p("\t\tfile_server")
	p("\t}")
	p("}")
	return Plan{
		Argv:  []string{c.Binary, "run", "--adapter", "caddyfile", "--config", j.path("Caddyfile")},
		Files: map[string][]byte{"Caddyfile": b.Bytes()},
	}, nil
}
