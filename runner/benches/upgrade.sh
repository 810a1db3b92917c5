#!/usr/bin/env bash
# An upgrade from a registry on this machine, from the source to the switch, beside gzip and tar over its layers and mke2fs
# over the result: upgrade.sh [path of a release build of cosette]
# Needs root, loop devices, docker-registry, skopeo, e2fsprogs, sfdisk, partx, perl, tar and time; works in $BENCH_DIRECTORY
# (default /var/tmp), about 10 GB. $DIRECTORIES (default 95) says how large the image is, 4 MB each beside 240 MB; $RUNS
# (default 3) how often both run, in turns.
set -euo pipefail
# Mounts of its own, which go away with it.
[ "${BENCH_MOUNTS:-}" = own ] || BENCH_MOUNTS=own exec unshare --mount --propagation private "$0" "$@"
directories=${DIRECTORIES:-95} runs=${RUNS:-3}
cosette=$(realpath "${1:-target/release/cosette}") benches=$(realpath "$(dirname "$0")")
directory=$(mktemp -d "${BENCH_DIRECTORY:-/var/tmp}/cosette-bench.XXXXXX")
registry='' disk=''
end() {
    [ -z "$registry" ] || kill "$registry"
    ! mountpoint --quiet view || umount -R view
    [ -z "$disk" ] || { partx --delete "$disk" && losetup --detach "$disk"; }
    cd / && rm -rf "$directory"
}
trap end EXIT
cd "$directory"

# shellcheck source=image-of-four-layers.sh
. "$benches/image-of-four-layers.sh"
serve_image

# A machine that runs its active system: the partition of the systems is the one that its initramfs has mounted.
truncate -s 6G disk
disk=$(losetup --find --show disk)
printf 'label: gpt\nsize=64MiB\nsize=64MiB\n-\n' | sfdisk --quiet --no-reread --no-tell-kernel "$disk"
# An earlier disk may have left some behind.
partx --delete "$disk" 2>/dev/null || true
partx --add "$disk"
number=0
for label in COS_OEM COS_RECOVERY COS_STATE; do
    number=$((number + 1))
    mkfs.ext4 -q -m 0 -L "$label" "${disk}p$number"
done
mkdir view
mount -t tmpfs tmpfs view
mkdir view/upper view/work view/root
mount -t overlay -o lowerdir=/,upperdir=view/upper,workdir=view/work overlay view/root
for below in dev proc sys; do mount --rbind "/$below" "view/root/$below"; done
mount -t tmpfs tmpfs view/root/run
state=$directory/view/root/run/initramfs/cos-state
mkdir -p view/root/run/cos view/root/oem "$state"
printf 1 >view/root/run/cos/active_mode
mount "${disk}p1" view/root/oem
mount "${disk}p3" "$state"
mkdir "$state/reference"

# The same work on the same file system, which is on the disk at the end, as an image is before an upgrade relies on it.
cat >reference.sh <<'SH'
for layer in 1 2 3 4; do gzip -dc "$layer.tar.gz" | tar x -C "$1/tree"; done
size=$(du -sk "$1/tree" | cut -f1)
mke2fs -q -t ext4 -d "$1/tree" "$1/image" "$((size + size / 8 + 65536))k"
sync "$1/image"
SH
for run in $(seq 0 "$runs"); do
    for what in reference cosette; do
        # Each begins with nothing in its place, nothing to be written, and its source in memory.
        rm -rf "$state"/reference/* "$state"/cOS "$state"/state.yaml "$state"/grubenv
        sync
        cat ./*.tar.gz >/dev/null
        find storage -name data -exec cat {} + >/dev/null
        case $what in
            reference)
                mkdir "$state/reference/tree"
                /usr/bin/time -a -o "$what" -f '%e %U %S %M' sh reference.sh "$state/reference"
                ;;
            cosette)
                /usr/bin/time -a -o "$what" -f '%e %U %S %M' \
                    "$cosette" --root "$directory/view/root" upgrade "127.0.0.1:$port/image:1" >told 2>&1 || { cat told; exit 1; }
                ;;
        esac
        # The first run is not counted.
        [ "$run" != 0 ] || rm "$what"
    done
done
paste -d' ' cosette reference | awk '{ printf "--- in turns: %.2f times as long, %.2f times the processor time\n", $1 / $5, ($2 + $3) / ($6 + $7) }'
tell_medians "gzip, tar and mke2fs"
