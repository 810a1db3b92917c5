//! What a file costs: new, unchanged, and with other content. `cargo bench -p cosette-plugins --bench files`;
//! with `COUNT=1000` under `strace -c -f` it tells the system calls.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]

use cosette_plugins::System;
use cosette_plugins::system::{File, Live, Mode};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

fn main() {
    let count: u32 = std::env::var("COUNT").ok().and_then(|count| count.parse().ok()).unwrap_or(20_000);
    let rounds = std::env::var("ROUNDS").unwrap_or_else(|_| "new unchanged changed plan".to_owned());
    let at = if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" };
    let dir = tempfile::tempdir_in(at).unwrap();
    let apply = || System::new(dir.path(), Arc::new(Live), Mode::Apply).unwrap();
    let write = |sys: &System, text: &str| {
        for number in 0..count {
            let path = format!("/etc/dir-{}/file-{number}", number % 10);
            sys.write(File::new(path, format!("{text} {number}\n"))).unwrap();
        }
    };
    for round in rounds.split_whitespace() {
        let sys = if round == "plan" {
            System::new(dir.path(), Arc::new(Live), Mode::Plan).unwrap()
        } else {
            apply()
        };
        let started = Instant::now();
        write(&sys, if round == "changed" || round == "plan" { "other text" } else { "text" });
        let micros = started.elapsed().as_secs_f64() * 1e6 / f64::from(count);
        println!("{round}: {micros:.2} µs a file");
    }
}
