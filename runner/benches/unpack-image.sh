#!/usr/bin/env bash
# An image of four layers from a registry on this machine, beside gzip and tar over the same layers:
# unpack-image.sh [path of a release build of cosette]
# Needs docker-registry, skopeo, perl, tar and time; works in $BENCH_DIRECTORY (default /dev/shm), about 3 GB.
# $DIRECTORIES (default 95) says how large the image is, 4 MB each beside 240 MB; $RUNS (default 7) how often both run, in turns.
set -euo pipefail
directories=${DIRECTORIES:-95} runs=${RUNS:-7}
cosette=$(realpath "${1:-target/release/cosette}") benches=$(realpath "$(dirname "$0")")
directory=$(mktemp -d "${BENCH_DIRECTORY:-/dev/shm}/cosette-bench.XXXXXX")
registry=
trap '[ -z "$registry" ] || kill "$registry"; rm -rf "$directory"' EXIT
cd "$directory"

# shellcheck source=image-of-four-layers.sh
. "$benches/image-of-four-layers.sh"

port=$(perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport')
printf 'version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: "127.0.0.1:%s"}\n' \
    "$directory/storage" "$port" >registry.yml
docker-registry serve registry.yml >/dev/null 2>&1 &
registry=$!
until skopeo copy --quiet --insecure-policy --dest-tls-verify=false oci:layout "docker://127.0.0.1:$port/image:1" 2>/dev/null; do
    sleep 0.2
done
rm -r layout

cat >stage.yaml <<YAML
stages:
  bench:
    - unpack_images: [{source: "127.0.0.1:$port/image:1", target: /out, platform: linux/amd64}]
YAML
cat >reference.sh <<'SH'
for layer in 1 2 3 4; do gzip -dc "$layer.tar.gz" | tar x -C root/out; done
SH
for run in $(seq 0 "$runs"); do
    for what in reference cosette; do
        rm -rf root
        mkdir -p root/out
        sync
        case $what in
            reference) /usr/bin/time -a -o "$what" -f '%e %U %S %M' sh reference.sh ;;
            cosette) /usr/bin/time -a -o "$what" -f '%e %U %S %M' "$cosette" --quiet --root root apply -s bench stage.yaml ;;
        esac
        # The first run is not counted.
        [ "$run" != 0 ] || rm "$what"
    done
done
median() { cut -d' ' -f"$2" "$1" | sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }
for what in reference cosette; do
    echo "--- $what: median of $runs: $(median $what 1) s, $(median $what 2) s of the processor and $(median $what 3) s in the kernel," \
        "$(cut -d' ' -f1 $what | sort -n | sed -n '1p;$p' | paste -sd- -) s; at most $(cut -d' ' -f4 $what | sort -n | tail -1) KiB"
done
echo "$(median cosette 1) $(median reference 1)" | awk '{ printf "--- %.2f times as long as gzip and tar\n", $1 / $2 }'
mkdir expected
for layer in 1 2 3 4; do gzip -dc "$layer.tar.gz" | tar x -C expected; done
diff -r expected root/out && echo "--- the same files"
echo "--- the same again, which changes nothing"
/usr/bin/time -f '%e s' "$cosette" --quiet --root root apply -s bench stage.yaml
