#!/usr/bin/env bash
# From an image of containers to the image of a system, as an upgrade does it, beside gzip, tar and mke2fs: build-image.sh
# Needs root, loop devices, e2fsprogs, perl, tar and time; works in $BENCH_DIRECTORY (default /var/tmp), about 4 GB.
# $DIRECTORIES (default 95) says how large the image is, 4 MB each beside 240 MB; $RUNS (default 5) how often both run, in
# turns; $FILE_SYSTEM (default ext4) what is built.
set -euo pipefail
directories=${DIRECTORIES:-95} runs=${RUNS:-5} file_system=${FILE_SYSTEM:-ext4}
benches=$(realpath "$(dirname "$0")")
build=$(cargo bench --quiet -p cosette --bench build_image --no-run --message-format=json |
    sed -n 's/.*"name":"build_image".*"executable":"\([^"]*\)".*/\1/p')
directory=$(mktemp -d "${BENCH_DIRECTORY:-/var/tmp}/cosette-bench.XXXXXX")
trap 'rm -rf "$directory"' EXIT
cd "$directory"
# shellcheck source=image-of-four-layers.sh
. "$benches/image-of-four-layers.sh"

cat >reference.sh <<'SH'
for layer in 1 2 3 4; do gzip -dc "$layer.tar.gz" | tar x -C out/tree; done
size=$(du -sk out/tree | cut -f1)
mke2fs -q -t ext4 -d out/tree out/image "$((size + size / 8 + 65536))k"
SH
for run in $(seq 0 "$runs"); do
    for what in reference cosette; do
        rm -rf out
        mkdir -p out
        sync
        case $what in
            reference) mkdir out/tree && /usr/bin/time -a -o "$what" -f '%e %U %S %M' sh reference.sh ;;
            cosette)
                /usr/bin/time -a -o "$what" -f '%e %U %S %M' \
                    "$build" "oci-layout:$directory/layout" "$directory/out" "$file_system" >phases
                ;;
        esac
        # The first run is not counted.
        [ "$run" != 0 ] || rm "$what"
    done
done
tell_medians "gzip, tar and mke2fs"
echo "--- the phases of the last run"
cat phases
