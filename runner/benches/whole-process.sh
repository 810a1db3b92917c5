#!/usr/bin/env bash
# Whole commands, timed by hyperfine: whole-process.sh [path of a release build of cosette]
set -euo pipefail
cosette=${1:-target/release/cosette}
directory=$(mktemp -d /dev/shm/cosette-bench.XXXXXX)
trap 'rm -rf "$directory"' EXIT

documents() { # documents NUMBER: as many documents of ten steps, each of which writes one templated file
    local at step
    mkdir -p "$directory/$1/oem"
    for at in $(seq -w "$1"); do
        {
            echo "name: document $at"
            echo "stages:"
            echo "  boot:"
            for step in 0 1 2 3 4 5 6 7 8 9; do
                echo "    - name: step $step"
                echo "      files:"
                echo "        - path: /out/$at/$step"
                echo "          permissions: 0644"
                echo "          content: |"
                echo "            {{ .Values.node.hostname }} $at $step {{ trunc 4 .MachineID }}"
            done
        } >"$directory/$1/oem/$at.yaml"
    done
}

peak() { # peak COMMAND...: the peak memory of a command
    /usr/bin/time -f "peak memory: %M KiB" "$@" 2>&1 >/dev/null | tail -n 1
}

fresh() { rm -rf "$directory/root"; mkdir "$directory/root"; }

echo "--- size: $(stat -c %s "$cosette") bytes"

echo "--- a stage that has nothing to do, beside /bin/true"
mkdir "$directory/root"
hyperfine -N --style basic --warmup 20 --runs 300 /bin/true \
    "$cosette --root $directory/root apply -s fs builtin:" 2>/dev/null
peak "$cosette" --root "$directory/root" apply -s fs builtin:

echo "--- the check of the default set"
hyperfine -N --style basic --warmup 20 --runs 300 "$cosette check builtin:" 2>/dev/null

echo "--- the generator, as in an initramfs"
if [ "$(id -u)" = 0 ]; then
    mkdir "$directory/bin" "$directory/early"
    ln -s "$(realpath "$cosette")" "$directory/bin/cosette-generator"
    echo "root=LABEL=COS_ACTIVE cos-img/filename=/cOS/active.img" >"$directory/cmdline"
    # What it says in the log of the kernel is for nobody here.
    # shellcheck disable=SC2016
    unshare --mount sh -euc '
        mount -t tmpfs none /etc
        touch /etc/initrd-release
        mount --bind "$1/cmdline" /proc/cmdline
        mount --bind /dev/null /dev/kmsg
        hyperfine -N --style basic --warmup 20 --runs 300 --prepare "find $1/early -mindepth 1 -delete" /bin/true \
            "$1/bin/cosette-generator $1/early $1/early $1/early" 2>/dev/null
        test -e "$1/early/sysroot.mount"
    ' - "$directory"
else
    echo "SKIPPED: it needs root"
fi

for number in 1000 10000; do
    documents "$number"
    echo "--- $number documents of 10 steps that each write a templated file: first run"
    hyperfine -N --style basic --runs 5 --prepare "rm -rf $directory/root/out" \
        "$cosette --quiet --root $directory/root apply -s boot $directory/$number/oem" 2>/dev/null
    fresh
    peak "$cosette" --quiet --root "$directory/root" apply -s boot "$directory/$number/oem"
    echo "--- the same, second run"
    hyperfine -N --style basic --runs 5 --warmup 1 \
        "$cosette --quiet --root $directory/root apply -s boot $directory/$number/oem" 2>/dev/null
    rm -rf "${directory:?}/root/out" "${directory:?}/$number"
done
