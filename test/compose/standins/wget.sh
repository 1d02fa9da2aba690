#!/bin/bash
# Stands in for BusyBox's wget -q -O /dev/null http://HOST:PORT/PATH: succeeds with
# an answer of status 200.
url=${*: -1}
url=${url#http://}
exec 3<>"/dev/tcp/${url%%:*}/$(sed -E 's,^[^:]*:([0-9]+)/.*,\1,' <<<"$url")"
printf 'GET /%s HTTP/1.0\r\n\r\n' "${url#*/}" >&3
read -r _ status _ <&3
[ "$status" = 200 ]
