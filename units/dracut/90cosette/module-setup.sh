#!/bin/bash
# The part of cosette that runs in the initramfs: mounting the root file system from its image, the stage rootfs, the
# immutable root, and the start of the stage initramfs.
# shellcheck disable=SC2154 # dracut sets what is not set here.

# called by dracut
check() {
    [[ $mount_needs ]] && return 1
    require_binaries /usr/bin/cosette || return 1
    return 0
}

# called by dracut
depends() {
    echo systemd-initrd dracut-systemd rootfs-block
    return 0
}

# called by dracut
installkernel() {
    # Of any machine, not of the one that builds the image. What the kernel has built in or lacks is left out.
    hostonly='' instmods loop overlay squashfs erofs ext4 xfs btrfs vfat iso9660 isofs \
        nls_cp437 nls_iso8859-1 nls_ascii nls_utf8
}

# called by dracut
install() {
    local unit

    inst_multiple /usr/bin/cosette mount umount
    # What documents and cosette itself use, as far as the system has it.
    inst_multiple -o \
        sh cat chmod chown cmp cp cut dd df du echo find grep head ln ls mkdir mktemp mv readlink rm rmdir sed sleep \
        sort stat sync tail touch tr uname wc \
        blkid blockdev findmnt fstrim hostname losetup lsblk mountpoint partprobe partx parted sfdisk sgdisk udevadm \
        wipefs modprobe systemctl \
        fsck e2fsck fsck.ext2 fsck.ext3 fsck.ext4 fsck.fat fsck.vfat fsck.xfs fsck.btrfs xfs_repair \
        mkfs mke2fs mkfs.ext2 mkfs.ext3 mkfs.ext4 mkfs.fat mkfs.vfat mkfs.xfs mkfs.btrfs mkswap \
        resize2fs tune2fs e2label xfs_growfs xfs_admin fatlabel btrfs \
        /etc/hosts /etc/mke2fs.conf /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt

    for unit in cos-setup-rootfs cos-immutable-rootfs cos-setup-initramfs; do
        inst_simple "$systemdsystemunitdir/$unit.service"
    done
    $SYSTEMCTL -q --root "$initdir" add-wants initrd-root-fs.target cos-setup-rootfs.service
    $SYSTEMCTL -q --root "$initdir" add-wants initrd-fs.target cos-immutable-rootfs.service
    $SYSTEMCTL -q --root "$initdir" add-wants initrd.target cos-setup-initramfs.service

    mkdir -p "$initdir$systemdutildir/system-generators"
    ln -sfn /usr/bin/cosette "$initdir$systemdutildir/system-generators/cosette-generator"
    # The stage rootfs reads the documents of the image that is mounted at /sysroot.
    [ -e "$initdir/system" ] || ln -sn sysroot/system "$initdir/system"

    # Early, while the disks are still looked for: the immutable root does not have to wait for them then.
    mkdir -p "$initdir/etc/modules-load.d"
    printf 'loop\noverlay\n' >"$initdir/etc/modules-load.d/cosette.conf"

    inst_hook cmdline 30 "$moddir/image-is-root.sh"
}
