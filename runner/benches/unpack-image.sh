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
serve_image

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
tell_medians "gzip and tar"
mkdir expected
for layer in 1 2 3 4; do gzip -dc "$layer.tar.gz" | tar x -C expected; done
diff -r expected root/out && echo "--- the same files"
echo "--- the same again, which changes nothing"
/usr/bin/time -f '%e s' "$cosette" --quiet --root root apply -s bench stage.yaml
