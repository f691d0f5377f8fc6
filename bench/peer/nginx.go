package peer

import (
	"bytes"
	"fmt"
)

// Nginx is nginx with one worker.
type Nginx struct {
	Binary, Says string
	// Label is shown instead of "nginx", for a second one with another load.
	Label string
}

func (n Nginx) Name() string {
	if n.Label != "" {
		return n.Label
	}
	return "nginx"
}
func (n Nginx) Version() string { return n.Says }

// Plan writes nginx.conf. Responses go on as they come through one buffer of 64k
// (proxy_buffering off): measured against buffering with 8 x 8k to 8 x 256k, that
// takes half the CPU time for 1 MB, 10% less for 16 KB and 5% less for 128 bytes.
func (n Nginx) Plan(j Job) (Plan, error) {
	if j.Site != nil {
		return n.sitePlan(j)
	}
	var b bytes.Buffer
	p := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	if j.Root {
		p("user root;")
	}
	p("worker_processes 1;")
	p("daemon off;")
	p("pid %s;", j.path("nginx.pid"))
	p("error_log stderr error;")
	p("events { worker_connections %d; }", 2*j.Conns+256) // those to the peers count too
	p("http {")
	p("  access_log off;")
	p("  server_tokens off;")
	p("  tcp_nodelay on;")
	p("  keepalive_timeout 3600s;")
	p("  keepalive_requests 1000000000;")
	p("  client_max_body_size 0;")
	p("  client_body_temp_path %s;", j.path("body"))
	p("  proxy_temp_path %s;", j.path("proxy"))
	p("  fastcgi_temp_path %s;", j.path("fastcgi"))
	p("  uwsgi_temp_path %s;", j.path("uwsgi"))
	p("  scgi_temp_path %s;", j.path("scgi"))
	// A map for each prefix: a server block for each host does the same and takes
	// more than a gigabyte and eight seconds with 10,000 of them.
	if j.Apps > 0 {
		p("  map_hash_max_size 262144;")
		p("  map_hash_bucket_size 128;")
	}
	for k := range Prefixes {
		if j.Apps == 0 {
			break
		}
		p("  map $host $prefix%d {", k)
		for i := range j.Apps {
			p("    %s peers;", AppHost(i))
		}
		p("  }")
	}
	p("  upstream peers {")
	for _, o := range j.Origins {
		p("    server %s;", o)
	}
	p("    keepalive 256;")
	p("    keepalive_requests 1000000000;")
	p("    keepalive_timeout 3600s;")
	p("  }")
	p("  proxy_http_version 1.1;")
	p("  proxy_set_header Connection \"\";")
	p("  proxy_set_header Host $http_host;")
	if !j.Bare {
		p("  proxy_set_header X-Forwarded-For $remote_addr;")
		p("  proxy_set_header X-Forwarded-Proto $scheme;")
		p("  proxy_set_header X-Forwarded-Host $http_host;")
		p("  proxy_set_header X-Real-IP $remote_addr;")
		p("  proxy_set_header X-Request-ID $request_id;")
	}
	p("  proxy_buffering off;")
	p("  proxy_buffer_size 64k;")
	p("  proxy_buffers 8 64k;") // unused, but must fit to the size above
	p("  proxy_request_buffering off;")
	p("  proxy_read_timeout 3600s;")
	p("  ssl_certificate %s;", j.Cert)
	p("  ssl_certificate_key %s;", j.Key)
	p("  ssl_protocols TLSv1.2 TLSv1.3;")
	p("  ssl_session_cache shared:tls:16m;")
	p("  ssl_session_tickets on;")
	listen := func(extra string) {
		p("    listen %s%s;", j.HTTP, extra)
		p("    listen %s ssl%s;", j.HTTPS, extra)
	}
	p("  server {")
	listen(" default_server backlog=4096")
	if j.Apps == 0 {
		p("    location / { proxy_pass http://peers; }")
	} else {
		for k, prefix := range Prefixes {
			p("    location %s { proxy_pass http://$prefix%d; }", prefix, k)
		}
	}
	p("  }")
	if j.Probe >= 0 {
		p("  server {")
		listen("")
		p("    server_name %s;", ProbeHost)
		p("    location / { proxy_pass http://%s; }", j.Origins[j.Probe])
		p("  }")
	}
	p("}")
	return Plan{
		Argv:  []string{n.Binary, "-p", j.Dir, "-c", j.path("nginx.conf")},
		Files: map[string][]byte{"nginx.conf": b.Bytes()},
	}, nil
}
