//! The kinds of file systems, by the bytes at their beginning.

/// As many bytes of a device as it takes to know its file system.
pub const HEAD: usize = 68 << 10;

/// The kind of the file system that begins like this, as mount(2) wants to hear it.
pub fn file_system(head: &[u8]) -> Option<&'static str> {
    let at = |offset: usize, magic: &[u8]| head.get(offset..offset + magic.len()) == Some(magic);
    let is_fat = at(510, &[0x55, 0xaa]) && (at(54, b"FAT") || at(82, b"FAT"));
    match () {
        () if at(0, b"XFSB") => Some("xfs"),
        () if at(0, b"hsqs") => Some("squashfs"),
        // Its driver mounts the older two as well.
        () if at(1080, &[0x53, 0xef]) => Some("ext4"),
        () if at(1024, &[0xe2, 0xe1, 0xf5, 0xe0]) => Some("erofs"),
        () if at(1024, &[0x10, 0x20, 0xf5, 0xf2]) => Some("f2fs"),
        () if at(0x10040, b"_BHRfS_M") => Some("btrfs"),
        () if at(0x8001, b"CD001") => Some("iso9660"),
        () if is_fat => Some("vfat"),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_known_by_its_bytes_and_nothing_else_is() {
        for (offset, magic, kind) in [
            (0, &b"XFSB"[..], "xfs"),
            (0, b"hsqs", "squashfs"),
            (1080, &[0x53, 0xef], "ext4"),
            (1024, &[0xe2, 0xe1, 0xf5, 0xe0], "erofs"),
            (0x10040, b"_BHRfS_M", "btrfs"),
            (0x8001, b"CD001", "iso9660"),
        ] {
            let mut head = vec![0; HEAD];
            head[offset..offset + magic.len()].copy_from_slice(magic);
            assert_eq!(file_system(&head), Some(kind));
            assert_eq!(file_system(&head[..offset + magic.len() - 1]), None);
        }
        assert_eq!((file_system(&[]), file_system(&[0; HEAD])), (None, None));
    }
}
