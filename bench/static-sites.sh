#!/usr/bin/env bash
# CPU time per request of a static site: edgerouter (turbocharger), nginx (gzip_static, open_file_cache) and
# Caddy (file_server precompressed), each on core 0 by itself in turns, wrk on core 1.
#
#   bash bench/static-sites.sh EDGEROUTER [SECONDS] [ROUNDS]
#
# Needs nginx, caddy, wrk, curl and two cores. Each line is one slice: CPU time from /proc/PID/stat, so that a
# slice should be a second at least. "bad" counts answers that were not 2xx or 3xx, and broken connections.
set -euo pipefail
edgerouter=$(realpath "${1:?path of the edgerouter to measure}") seconds=${2:-2} rounds=${3:-3}
dir=$(mktemp -d)
pids=()
finish() {
  [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
  wait
  rm -rf "$dir"
}
trap finish EXIT
cd "$dir"
mkdir www tmp
head -c 1024 /dev/urandom >www/1k.bin
head -c 65536 /dev/urandom >www/64k.bin
head -c 1048576 /dev/urandom >www/1m.bin
head -c 10485760 /dev/urandom >www/10m.bin
# Text whose gzip form has about 18 KB.
head -c 14000 /dev/urandom | od -An -tx1 | tr -d ' \n' | fold -w 60 >www/18k.css
echo 'not here' >www/404.html
manifest=$(tar -C www -c . | "$edgerouter" turbocharger tar-deploy-to-store bench --data data 2>/dev/null)
gzip -9 -k www/18k.css

cat >nginx.conf <<CONF
$([ "$(id -u)" = 0 ] && echo 'user root;')
worker_processes 1; daemon off; pid $dir/nginx.pid; error_log stderr crit;
events { worker_connections 1024; }
http {
  access_log off; log_not_found off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 1000000000; keepalive_timeout 3600s;
  client_body_temp_path $dir/tmp; proxy_temp_path $dir/tmp; fastcgi_temp_path $dir/tmp; uwsgi_temp_path $dir/tmp; scgi_temp_path $dir/tmp;
  types { text/css css; } default_type application/octet-stream;
  open_file_cache max=10000 inactive=600s; open_file_cache_valid 600s; open_file_cache_errors on;
  gzip_static on; gzip_vary on; etag on; error_page 404 /404.html;
  server { listen 127.0.0.1:18090; root $dir/www; add_header Cache-Control no-cache; }
}
CONF
cat >Caddyfile <<CONF
{
	admin off
	auto_https off
	persist_config off
	log {
		level ERROR
	}
}
http://127.0.0.1:18092 {
	root * $dir/www
	header Cache-Control no-cache
	file_server {
		precompressed gzip
	}
}
CONF
cat >apps.json <<JSON
{"apps":[{"id":"site","frontends":[{"kind":"path_prefix","path_prefix":"/","allow_insecure_http":true}],
  "backend":{"kind":"turbocharger","turbocharger_opts":{"manifest":"$manifest"}}}]}
JSON
PATH=$PATH:/usr/sbin
taskset -c 0 nginx -p "$dir" -c "$dir/nginx.conf" &
pids+=($!)
GOMAXPROCS=1 taskset -c 0 "$edgerouter" serve --http 127.0.0.1:18091 --https "" --admin 127.0.0.1:18093 --data data --apps apps.json >serve.log 2>&1 &
pids+=($!)
GOMAXPROCS=1 HOME=$dir taskset -c 0 caddy run --adapter caddyfile --config Caddyfile >caddy.log 2>&1 &
pids+=($!)
for port in 18090 18091 18092; do
  for _ in $(seq 100); do curl -sf -o /dev/null "http://127.0.0.1:$port/1k.bin" && break; sleep 0.1; done
  for f in 1k.bin 18k.css 64k.bin 1m.bin 10m.bin; do curl -s -o /dev/null -H 'Accept-Encoding: gzip' "http://127.0.0.1:$port/$f"; done
done
sleep 1 # for the encodings that are made in the background
nginx_worker=$(cat /proc/${pids[0]}/task/${pids[0]}/children | cut -d' ' -f1)
ticks() { awk '{print $14 + $15}' "/proc/$1/stat"; }

# slice NAME PID PORT PATH [FIELD]
slice() {
  local before after out requests
  before=$(ticks "$2")
  out=$(taskset -c 1 wrk -t1 -c32 -d"$seconds" -H 'Accept-Encoding: gzip' ${5:+-H "$5"} "http://127.0.0.1:$3/$4")
  after=$(ticks "$2")
  requests=$(awk '/requests in/ {print $1}' <<<"$out")
  awk -v what="$4${5:+ 304}" -v name="$1" -v t=$((after - before)) -v n="$requests" -v s="$seconds" \
    -v bad="$(awk '/Non-2xx/ {print $NF} /Socket errors/ {print $0}' <<<"$out" | tr '\n' ' ')" \
    'BEGIN {printf "%-12s %-10s %8.2f us/request %8d requests/s  bad: %s\n", what, name, t * 10000 / n, n / s, bad == "" ? 0 : bad}'
}
for _ in $(seq "$rounds"); do
  for f in 1k.bin 18k.css 64k.bin 1m.bin 10m.bin; do
    slice nginx "$nginx_worker" 18090 $f
    slice edgerouter "${pids[1]}" 18091 $f
    slice caddy "${pids[2]}" 18092 $f
  done
  for server in "nginx $nginx_worker 18090" "edgerouter ${pids[1]} 18091"; do
    set -- $server
    tag=$(curl -sI -H 'Accept-Encoding: gzip' "http://127.0.0.1:$3/18k.css" | tr -d '\r' | awk 'tolower($1) == "etag:" {print $2 ($3 ? " " $3 : "")}')
    slice "$1" "$2" "$3" 18k.css "If-None-Match: $tag"
    slice "$1" "$2" "$3" nowhere
  done
done
