#!/usr/bin/env bash
# A download of 1 GB over loopback, beside curl: download.sh [path of a release build of cosette]
# Needs curl, python3, GNU time and 2.5 GB of /dev/shm.
set -euo pipefail
cosette=${1:-target/release/cosette}
directory=$(mktemp -d /dev/shm/cosette-bench.XXXXXX)
trap 'kill "$server" 2>/dev/null; rm -rf "$directory"' EXIT

mkdir "$directory/served" "$directory/root"
head -c 1000000000 /dev/urandom >"$directory/served/file"
python3 -u -c '
import functools, http.server, sys
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
print(server.server_address[1], flush=True)
server.serve_forever()' "$directory/served" >"$directory/port" 2>/dev/null &
server=$!
until [ -s "$directory/port" ]; do sleep 0.1; done
url=http://127.0.0.1:$(cat "$directory/port")/file

measured() { # measured LABEL COMMAND...: its time, processor time and peak memory
    local label=$1
    shift
    rm -rf "$directory/root/file"
    /usr/bin/time -f "$label: %e s, %U s + %S s of processor, peak memory %M KiB" "$@" >/dev/null
}
stage() { # stage KEYS: a stage that downloads it
    printf 'stages: {boot: [{downloads: [{path: /file, url: "%s"%s}]}]}\n' "$url" "$1" >"$directory/stage.yaml"
}

for _ in 1 2 3; do
    measured "curl" curl -sS -o "$directory/root/file" "$url"
    stage ""
    measured "cosette" "$cosette" -q --root "$directory/root" apply -s boot "$directory/stage.yaml"
    stage ", checksum: \"sha256:$(sha256sum "$directory/served/file" | cut -d ' ' -f 1)\""
    measured "cosette, with sha256" "$cosette" -q --root "$directory/root" apply -s boot "$directory/stage.yaml"
done
cmp "$directory/served/file" "$directory/root/file"
