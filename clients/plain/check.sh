#!/usr/bin/env bash
# Uses kootask with curl: see plain.go. KOOTASK_HTTP is the address. Prints each check, and fails if one does.
set -uo pipefail
base=http://$KOOTASK_HTTP failed=0

# check NAME WANT GOT
check() {
	if [ "$2" = "$3" ]; then echo "ok   curl: $1"; else echo "FAIL curl: $1: $3"; failed=1; fi
}

status() { curl -s -m 30 -o /dev/null -w '%{http_code}' -H 'Authorization: Bearer plain' "$@"; }

for version in --http1.1 --http2-prior-knowledge; do
	check "a task $version" 200 "$(status $version "$base/v1/tasks/named")"
	check "a GET with an empty body of unknown length $version" 200 "$(status $version -X GET -T - "$base/v1/tasks/named" </dev/null)"
	check "a GET with a body $version" 400 "$(status $version -X GET -T - "$base/v1/tasks/named" <<<a)"
	check "HEAD of a page $version" 200 "$(status $version -I "$base/docs")"
	check "HEAD of a task $version" 405 "$(status $version -I "$base/v1/tasks/named")"
	check "a long header $version" 431 "$(status $version -H "X-Long: $(printf '%040000d' 0)" "$base/v1/tasks/named")"
	check "a loopback host in upper case $version" 200 "$(status $version -H "Host: LOCALHOST" "$base/v1/tasks/named")"
done
check 'the charset of events' 'text/event-stream; charset=utf-8' \
	"$(curl -s -m 30 -o /dev/null -w '%{content_type}' -H 'Authorization: Bearer plain' -H 'Accept: text/event-stream' "$base/v1/tasks/named:watch")"
exit $failed
