//! Loads modules into the running kernel.
//!
//! ```text before
//! -- /lib/modules/6.12/modules.dep
//! br_netfilter.ko: bridge.ko
//! bridge.ko:
//! loop.ko:
//! -- /lib/modules/6.12/br_netfilter.ko
//! -- /lib/modules/6.12/bridge.ko
//! -- /lib/modules/6.12/loop.ko
//! parmtype=max_loop:int
//! ```
//!
//! ```text kernel
//! /proc/sys/kernel/osrelease 6.12
//! /proc/modules nf_conntrack 200704 0 - Live 0x0
//! ```
//!
//! ```yaml
//! modules:
//!   - nf-conntrack
//!   - br-netfilter
//!   - loop max_loop=64
//! ```
//!
//! ```text modules
//! bridge
//! br_netfilter
//! loop max_loop=64
//! ```
//!
//! What follows the name are parameters. `-` and `_` are the same; other names that depmod(8) knows (`fs-ext4`) do
//! as well. A module that is loaded already, or built in, is left alone; a warning says if it has other
//! parameters than those wanted, and if it has no such parameter. (yip loads it again, which is an error.)
//!
//! **What modprobe.d(5) says counts**, as for modprobe(8): `options` (and `module.parameter=` on the kernel command
//! line), `alias` and `softdep`. `blacklist` does not, because it is about modules that nobody has named. A module with
//! an `install` line is not loaded, which is an error: such a line mostly forbids it, and the command in it is not run.
//!
//! Modules are those of the root for the running kernel; packed ones (`.ko.gz`, `.ko.xz`, `.ko.zst`) are unpacked by the
//! kernel, or before; for xz that takes an insmod(8) in the root. Where the root is not the machine's own (a
//! chroot, `--root`) nothing is loaded, and a warning says so. For each boot before this stage, see modules-load.d(5).

use crate::kernel_modules::{Loader, Wanted};
use crate::{Context, Plugin, System};
use anyhow::Result;
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Shape, Spanned};

/// Modules to load, in this order. Parameters may be secrets, and so this has no `Debug`.
pub(crate) struct Modules(Vec<Entry>);

struct Entry(Spanned<Wanted>);

impl Decode for Modules {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        Decode::decode(node, findings).map(Self)
    }

    fn shape() -> Shape {
        Vec::<Entry>::shape()
    }
}

impl Decode for Entry {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let Spanned { value, span } = Spanned::<String>::decode(node, findings)?;
        let (name, parameters) = value.trim().split_once([' ', '\t']).unwrap_or((value.trim(), ""));
        if name.is_empty() {
            findings.error(span, "a module needs a name");
        } else if value.trim().contains(|c: char| c.is_control() && c != '\t') {
            findings.error(span, "a module and its parameters stand on one line, without control characters");
        } else if name.contains('/') || name.starts_with('.') {
            findings
                .error(span, format!("{name:?} is no name of a module"))
                .help("give the name, not the file");
        } else if name.contains('=') {
            findings
                .error(span, "a parameter, but no module before it")
                .help("write `module parameter=value`");
        } else {
            let wanted = Wanted { name: name.to_owned(), parameters: parameters.trim().to_owned() };
            return Some(Self(Spanned { value: wanted, span }));
        }
        None
    }

    fn shape() -> Shape {
        Shape::text("module, with parameters")
    }
}

impl Plugin for Modules {
    const KEY: &'static str = "modules";

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        let Some(Entry(first)) = self.0.first() else { return Ok(()) };
        if !sys.is_own_kernel() {
            cx.warn(
                first.span,
                "nothing is loaded: modules are for a running machine, and this root is not its own",
            );
            return Ok(());
        }
        let mut loader = Loader::new(sys)?;
        for Entry(module) in &self.0 {
            for warning in cx.attempt(module.span, loader.load(module)).unwrap_or_default() {
                cx.warn(module.span, warning);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Machine, Outcome};
    use nix::errno::Errno;

    const LIBRARY: &str = "\
-- /lib/modules/6.1/modules.dep
kernel/net/nf_conntrack.ko: kernel/net/nf_defrag.ko kernel/lib/crc.ko
kernel/net/nf_defrag.ko: kernel/lib/crc.ko
kernel/lib/crc.ko:
kernel/net/br_netfilter.ko: kernel/net/bridge.ko
kernel/net/bridge.ko:
kernel/drivers/snd-hda.ko:
kernel/drivers/usb_storage.ko:
kernel/gone.ko:
-- /lib/modules/6.1/modules.builtin
kernel/fs/ext4/ext4.ko
-- /lib/modules/6.1/modules.alias
# Aliases
alias net-pf-31 snd_hda
alias pci:v00008086d*sv* snd_hda
alias fs-ext4 ext4
-- /lib/modules/6.1/modules.softdep
softdep snd_hda pre: bridge nowhere post: crc
-- /lib/modules/6.1/kernel/net/nf_conntrack.ko
-- /lib/modules/6.1/kernel/net/nf_defrag.ko
-- /lib/modules/6.1/kernel/net/br_netfilter.ko
-- /lib/modules/6.1/kernel/net/bridge.ko
-- /lib/modules/6.1/kernel/lib/crc.ko
-- /lib/modules/6.1/kernel/drivers/usb_storage.ko
-- /lib/modules/6.1/kernel/drivers/snd-hda.ko
ELF\0parmtype=model:charp\0parmtype=power_save:int\0
-- /etc/modprobe.d/local.conf
options snd-hda power_save=1
blacklist bridge
install usb-storage /bin/false
";

    fn running(tree: &str) -> Machine {
        let machine = Machine::new(tree);
        machine.host.live_here();
        machine.host.kernel_file("/proc/sys/kernel/osrelease", "6.1\n");
        machine.host.kernel_file("/proc/modules", "dm_mod 16384 0 - Live 0x0000000000000000\n");
        machine
    }

    fn effects(outcome: &Outcome) -> Vec<(&str, bool)> {
        outcome.effects.iter().map(|effect| (effect.target.as_str(), effect.changed)).collect()
    }

    #[test]
    fn what_a_module_needs_comes_first_and_what_is_there_is_left_alone() {
        let machine = running(LIBRARY);
        let outcome =
            machine.check("modules: [nf-conntrack, nf_conntrack, dm-mod, ext4, fs-ext4, br_netfilter]", "");
        assert_eq!(
            effects(&outcome),
            [
                ("crc", true),
                ("nf_defrag", true),
                ("nf_conntrack", true),
                ("nf_conntrack", false),
                ("dm_mod", false),
                ("ext4", false),
                ("ext4", false),
                ("bridge", true),
                ("br_netfilter", true),
            ]
        );
        assert_eq!(
            machine.host.take_modules(),
            ["crc", "nf_defrag", "nf_conntrack", "bridge", "br_netfilter"]
        );
    }

    #[test]
    fn parameters_come_from_modprobe_d_and_the_step_and_unknown_ones_are_told() {
        let machine = running(LIBRARY);
        let outcome = machine.apply("modules: ['net-pf-31 model=\"a b\" power_sav=2']");
        assert_eq!(
            outcome.messages(),
            "Warning: test.yaml:1:11: the module `snd_hda` has no parameter `power_sav`: did you mean `power_save`?\n"
        );
        assert_eq!(
            machine.host.take_modules(),
            ["bridge", "snd_hda power_save=1 model=\"a b\" power_sav=2", "crc"]
        );
        machine.host.kernel_file("/sys/module/snd_hda/parameters/power_save", "1\n");
        let outcome = machine.apply("modules: [snd-hda power_save=2, snd-hda power_save=on]");
        assert!(outcome.messages().contains("loaded already, with another value of `power_save`"));
        assert_eq!((outcome.findings.len(), machine.host.take_modules().len()), (1, 0));
    }

    #[test]
    fn a_view_only_says_what_the_kernel_of_the_root_would_load() {
        let step = "modules: [nf-conntrack, br_netfilter, br-netfilter, dm-mod]";
        let machine = running(LIBRARY);
        machine.host.be_a_view();
        let here = machine.apply(step);
        let names = ["crc", "nf_defrag", "nf_conntrack", "bridge", "br_netfilter"];
        let loaded = |outcome: &Outcome| -> Vec<String> {
            let changed = outcome.effects.iter().filter(|effect| effect.changed);
            changed.map(|effect| effect.target.clone()).collect()
        };
        assert_eq!((loaded(&here), here.findings.len()), (names.map(str::to_owned).to_vec(), 0));
        // Of another kernel, with what that one has.
        machine.host.kernel_file("/proc/sys/kernel/osrelease", "6.2\n");
        let other = machine.apply(step);
        assert_eq!(loaded(&other), names);
        assert!(other.messages().contains("the kernel 6.1 has no module `dm-mod`"), "{}", other.messages());
        // Of none, as in a container.
        let bare = Machine::new("");
        bare.host.be_a_view();
        let none = bare.apply(step);
        assert_eq!(loaded(&none), ["nf_conntrack", "br_netfilter", "dm_mod"]);
        assert!(none.findings.is_empty(), "{}", none.messages());
        assert!(machine.host.take_modules().is_empty() && bare.host.take_modules().is_empty());
    }

    #[test]
    fn what_cannot_be_loaded_says_why_and_the_others_are() {
        let machine = running(LIBRARY);
        machine.host.refuse_module("bridge", Errno::EKEYREJECTED);
        let outcome = machine.apply(
            "modules:\n- nf_contrack\n- usb-storage\n- gone\n- br_netfilter\n- crc\n- ''\n- ../evil\n- x=1\n- \"a\\x01b\"\n- [a]\n",
        );
        assert_eq!(
            outcome.messages(),
            "Error: test.yaml:7:3: a module needs a name\n\
             Error: test.yaml:8:3: \"../evil\" is no name of a module; give the name, not the file\n\
             Error: test.yaml:9:3: a parameter, but no module before it; write `module parameter=value`\n\
             Error: test.yaml:10:3: a module and its parameters stand on one line, without control characters\n\
             Error: test.yaml:11:3: expected a text, found a list\n\
             Error: test.yaml:2:3: the kernel 6.1 has no module `nf_contrack`: did you mean `nf_conntrack`?\n\
             Error: test.yaml:3:3: `usb_storage` is not loaded: an `install` line in /etc/modprobe.d/local.conf has a \
             command in its place, mostly to forbid it; remove the line, or run the command yourself\n\
             Error: test.yaml:4:3: cannot load `gone` from /lib/modules/6.1/kernel/gone.ko: there is no such file: \
             run `depmod`\n\
             Error: test.yaml:5:3: `br_netfilter` needs `bridge`: cannot load `bridge` from \
             /lib/modules/6.1/kernel/net/bridge.ko: the kernel accepts only modules that are signed with a key that it \
             trusts (Secure Boot, or module.sig_enforce)\n"
        );
        assert_eq!(machine.host.take_modules(), ["crc"]);
    }

    #[test]
    fn a_root_without_the_modules_of_the_running_kernel_says_which_it_has() {
        for (tree, expected) in [
            ("-- /usr/lib/modules/6.2/modules.dep\n", "no modules for the running kernel 6.1, only for 6.2"),
            ("", "the root has no modules: /lib/modules/6.1 does not exist"),
            ("-- /usr/lib/modules/6.1/\n", "modules.dep is missing or empty: run `depmod 6.1`"),
        ] {
            let outcome = running(tree).apply("modules: [dm_mod, loop]");
            assert!(outcome.messages().contains(expected), "{}", outcome.messages());
            assert_eq!(effects(&outcome), [("dm_mod", false)]);
        }
    }

    #[test]
    fn a_kernel_without_modules_has_some_built_in() {
        let machine = Machine::new("");
        machine.host.live_here();
        machine.host.kernel_file("/sys/module/loop/parameters/max_loop", "8\n");
        let outcome = machine.apply("modules: [loop, nbd]");
        assert_eq!(effects(&outcome), [("loop", false)]);
        assert!(outcome.messages().contains("this kernel loads no modules, and has no `nbd` built in"));
    }

    #[test]
    fn packed_modules_are_unpacked_by_the_kernel_or_before() {
        use std::io::Write as _;
        let tree = "-- /lib/modules/6.1/modules.dep\na.ko.gz:\nb.ko.zst:\nc.ko.xz:\nd.ko.gz:\n";
        let machine = running(tree);
        let write = |name: &str, content: &[u8]| {
            let path = machine.root().join("lib/modules/6.1").join(name);
            #[allow(clippy::disallowed_methods, reason = "no text")]
            std::fs::write(path, content).unwrap();
        };
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"parmtype=x:int\0").unwrap();
        write("a.ko.gz", &gzip.finish().unwrap());
        write("b.ko.zst", &zstd::stream::encode_all(&b"parmtype=x:int\0"[..], 1).unwrap());
        write("c.ko.xz", b"xz");
        write("d.ko.gz", b"no gzip");
        let step = "modules: [a y=1, b x=1, c x=1, d]";
        let outcome = machine.apply(step);
        assert!(outcome.messages().contains("`a` has no parameter `y`"), "{}", outcome.messages());
        assert!(outcome.messages().contains("d.ko.gz: it cannot be unpacked"), "{}", outcome.messages());
        assert_eq!(outcome.commands, [format!("insmod {} x=1", "/lib/modules/6.1/c.ko.xz")]);
        assert_eq!(machine.host.take_modules(), ["a y=1 (bytes)", "b x=1 (bytes)"]);

        machine.host.kernel_file("/proc/modules", "");
        machine.host.kernel_file("/sys/module/compression", "xz\n");
        machine.apply(step);
        assert_eq!(machine.host.take_modules(), ["a y=1 (bytes)", "b x=1 (bytes)", "c x=1 (packed)"]);
    }

    #[test]
    fn modules_that_want_each_other_are_loaded_once() {
        let machine = running(
            "-- /lib/modules/6.1/modules.dep\na.ko: b.ko\nb.ko: a.ko\n-- /lib/modules/6.1/a.ko\n-- /lib/modules/6.1/b.ko\n\
             -- /etc/modprobe.d/x.conf\nsoftdep a pre: b a post: b\nsoftdep b pre: a\n",
        );
        machine.check("modules: [a]", "");
        assert_eq!(machine.host.take_modules(), ["b", "a"]);
    }

    #[test]
    fn a_plan_and_another_root_load_nothing() {
        let machine = running(LIBRARY);
        let outcome = machine.plan("modules: [br_netfilter, bridge]");
        assert_eq!(effects(&outcome), [("bridge", true), ("br_netfilter", true), ("bridge", false)]);
        assert!(machine.host.take_modules().is_empty());
        let outcome = Machine::new(LIBRARY).apply("modules: [br_netfilter, bridge]");
        assert_eq!(
            outcome.messages(),
            "Warning: test.yaml:1:11: nothing is loaded: modules are for a running machine, and this root is not its own\n"
        );
    }
}
