#!/bin/sh
# Boots a real systemd in namespaces of its own, over a throw-away copy of the root, and leaves nothing behind.
# Runs in a mount namespace of its own:
#   unshare --mount boot.sh DIRECTORY COSETTE
# DIRECTORY/units has units to add and DIRECTORY/documents documents, which become /documents; the number of the
# process that is systemd is written to DIRECTORY/pid.
set -eu
work=$1 cosette=$2

mount --make-rprivate /
mkdir "$work/memory"
mount -t tmpfs none "$work/memory"
cd "$work/memory"
mkdir upper work root cgroup
mount -t overlay -o "lowerdir=/,upperdir=$PWD/upper,workdir=$PWD/work" none root
mount -t cgroup2 none cgroup
group=cgroup/cosette-test-$$
mkdir "$group"

mount -t tmpfs -o mode=755 none root/run
mount -t tmpfs none root/tmp
mount -t tmpfs -o mode=755 none root/dev
mkdir root/dev/shm root/dev/pts
for device in null zero full random urandom tty; do
    : >"root/dev/$device"
    mount --bind "/dev/$device" "root/dev/$device"
done
# Only what the distribution brings along, whatever this machine has enabled.
mount -t tmpfs -o mode=755 none root/etc/systemd/system
mkdir -p root/documents root/usr/local/lib/systemd/system
cp -R "$work/units/." root/usr/local/lib/systemd/system/
cp "$work/documents/"* root/documents/
: >root/cosette
mount --bind "$cosette" root/cosette
echo 0123456789abcdef0123456789abcdef >root/etc/machine-id

# The group is entered first, so that the new namespace begins with it.
cat >init <<'END'
set -e
mount -t proc none root/proc
mount -t sysfs none root/sys
mount -t cgroup2 none root/sys/fs/cgroup
cd root
exec env -i container=cosette-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    chroot . /lib/systemd/systemd --system --unit=booted.target --log-target=journal --show-status=no
END
sh -c 'echo $$ >"$0/cgroup.procs"; exec unshare --mount --pid --fork --kill-child --uts --ipc --net --cgroup sh init' \
    "$group" </dev/null >"$work/console" 2>&1 &
outer=$!
trap 'kill -9 $outer' TERM
tries=0
until inner=$(pgrep -P $outer); do
    tries=$((tries + 1))
    [ $tries -lt 100 ] || { cat "$work/console" >&2; exit 1; }
    sleep 0.05
done
echo "$inner" >"$work/pid.new"
mv "$work/pid.new" "$work/pid"
wait $outer || :
for _ in 1 2 3 4 5 6 7 8 9 10; do
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null && break
    sleep 0.1
done
