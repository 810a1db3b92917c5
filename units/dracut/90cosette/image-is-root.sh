#!/bin/sh
# Where the root file system is an image, `root=` names a device that only appears when the image is mounted: dracut
# must not wait for it before.

# shellcheck source=/dev/null
type getarg > /dev/null 2>&1 || . /lib/dracut-lib.sh

if { getarg cos-img/filename || getarg elemental.image; } > /dev/null \
    && ! getargbool 0 rd.cos.disable && ! getargbool 0 elemental.disable; then
    # shellcheck disable=SC2154
    case "$root" in
        LABEL=* | UUID=* | PARTUUID=* | PARTLABEL=* | /dev/*)
            _name=$(str_replace "$(label_uuid_to_dev "$root")" '/' '\x2f')
            rm -f -- "$hookdir/initqueue/finished/devexists-$_name.sh" "$hookdir/emergency/80-$_name.sh"
            unset _name
            ;;
    esac
    # systemd mounts it, by the units that the generator of cosette writes.
    # shellcheck disable=SC2034
    rootok=1
fi
