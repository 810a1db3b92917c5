//! Disks of any bytes: a partition table is refused, or is the same after it was written and read once more.
#![no_main]

use cosette_plugins::testing::{FakeDisk, mend_gpt, reread_gpt};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    let sector_size = if first & 1 == 0 { 512 } else { 4096 };
    // The end of what is given is the end of the disk.
    let (begin, end) = rest.split_at(rest.len() / 2);
    let sectors = 40 + u64::from(first >> 2) * 8;
    let disk = FakeDisk::of(sector_size, sectors * u64::from(sector_size), begin);
    let count = end.len().div_ceil(sector_size as usize) as u64;
    for (number, sector) in (0..count.min(sectors)).zip(end.chunks(sector_size as usize)) {
        disk.put(sectors - count.min(sectors) + number, sector.to_vec());
    }
    // Has the checksums be right, so that what is in them is looked at.
    if first & 2 != 0 {
        mend_gpt(&disk);
    }
    let _ = reread_gpt(&disk);
});
