#!/usr/bin/env bash
# Tool and version: nginx 1.22.1-9+deb12u11 (Debian 12), upstream of two "server" lines without weights
# Guess: two lines share the requests half and half, whether a line has an address or a name.
# Seen:  a name that resolves to an IPv4 and an IPv6 address, as localhost does on most systems, is two servers of
#        weight 1 each: its line gets two thirds of the requests, and 127.0.0.1 on the other line one third.
#          100 address
#          200 name
set -euo pipefail

version=1.22.1-9+deb12u11
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download -qq -o APT::Sandbox::User=root "nginx=$version"
for package in *.deb; do dpkg-deb -x "$package" root; done
root/usr/sbin/nginx -v

printf '127.0.0.1 localhost\n::1 localhost\n' >hosts
cat >nginx.conf <<CONFIG
user root;
daemon off;
master_process off;
pid $work/pid;
error_log stderr crit;
events {}
http {
    access_log off;
    client_body_temp_path $work/temp;
    proxy_temp_path $work/temp;
    fastcgi_temp_path $work/temp;
    uwsgi_temp_path $work/temp;
    scgi_temp_path $work/temp;
    upstream both { server localhost:8001; server 127.0.0.1:8002; }
    server { listen 127.0.0.1:8000; location / { proxy_pass http://both; } }
    server { listen 127.0.0.1:8001; listen [::1]:8001; return 200 name; }
    server { listen 127.0.0.1:8002; return 200 address; }
}
CONFIG
cat >run.sh <<'INSIDE'
set -euo pipefail
mount --bind hosts /etc/hosts
ip link set lo up
root/usr/sbin/nginx -p "$PWD" -c "$PWD/nginx.conf" &
trap 'kill $! 2>/dev/null; wait' EXIT
urls=$(printf 'http://127.0.0.1:8000/%s ' {1..300})
curl --silent --retry 20 --retry-connrefused --retry-delay 1 --max-time 5 --output /dev/null http://127.0.0.1:8000/
# shellcheck disable=SC2086  # a list of addresses
curl --silent --write-out '\n' $urls | sort | uniq -c | tee counts
awk '{ n[$2] = $1 } END { exit !(n["name"] > 190 && n["name"] < 210 && n["name"] + n["address"] == 300) }' counts
INSIDE
timeout 60 unshare --user --map-root-user --net --mount bash run.sh
