//! Disks of any bytes: what is on them is told, or is an error.
#![no_main]

use cosette_plugins::testing::{FakeDisk, probe_disk};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // The signs that are far from the beginning: each piece says where it goes.
    const PLACES: [u64; 8] = [0, 2, 8, 64, 128, 256, 1024 - 16, 1024 - 128];
    let disk = FakeDisk::new(512, 1 << 19);
    for piece in data.chunks(1025) {
        let Some((place, content)) = piece.split_first() else { continue };
        for (number, sector) in (PLACES[usize::from(*place) % 8]..1024).zip(content.chunks(512)) {
            disk.put(number, sector.to_vec());
        }
    }
    probe_disk(&disk);
});
