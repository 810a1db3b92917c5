//! No template panics, hangs or takes the memory, whatever its text.
//!
//! Run it with `cargo +nightly fuzz run -s none template -- -rss_limit_mb=2048 -timeout=10`: nothing here is
//! unsafe, and the address sanitizer makes the longest searches a hundred times as long.

#![no_main]

use cosette_plugins::facts::Facts;
use cosette_plugins::system::Mode;
use cosette_plugins::template::{check, render};
use cosette_plugins::testing::Machine;
use libfuzzer_sys::fuzz_target;

thread_local! {
    /// One machine for all inputs; it lives as long as the process. It is kept here, so that the search for leaks at
    /// the end does not take it for one.
    static MACHINE: (&'static Machine, &'static Facts<'static>) = {
        let machine: &'static Machine = Box::leak(Box::new(Machine::new(
            "-- /etc/machine-id\n0123456789abcdef0123456789abcdef\n\
             -- /etc/os-release\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID=\"12\"\n",
        )));
        machine.host.kernel_file("/proc/cpuinfo", "processor\t: 0\nmodel name\t: CPU\nphysical id\t: 0\ncore id\t: 0\n");
        let system = Box::leak(Box::new(machine.system(Mode::Plan)));
        (machine, Box::leak(Box::new(Facts::new(system))))
    };
}

fuzz_target!(|text: &str| {
    let rendered = MACHINE.with(|(_, facts)| render(text, facts).map(|text| text.into_owned()));
    if let Err(error) = &rendered {
        let lines = text.matches('\n').count() + 1;
        assert!((1..=lines).contains(&(error.line as usize)) && error.column > 0, "{error:?}");
    }
    // What cannot be parsed cannot be rendered.
    assert!(check(text).is_ok() || rendered.is_err());
});
