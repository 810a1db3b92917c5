//! Where documents come from: the directories of a root, its kernel command line, files, links and directories.

#![allow(clippy::unwrap_used, missing_docs)]

use cosette::source::{Place, Source};
use cosette::stage::{Documents, Prepared};
use cosette_plugins::system::Mode;
use cosette_plugins::testing::Machine;

/// The documents whose steps run, in order, and the findings.
fn found(prepared: &Prepared) -> String {
    let steps = prepared.plan.steps.iter().map(|step| format!("{}\n", step.origin));
    let findings = prepared.findings.iter().map(|finding| format!("{:?} {finding}\n", finding.severity));
    steps.chain(findings).collect()
}

fn machine(paths: &[&str]) -> Machine {
    let document = "stages: {boot: [{commands: [x]}]}";
    Machine::new(&paths.iter().map(|path| format!("-- {path}\n{document}\n")).collect::<String>())
}

fn run(machine: &Machine, cmdline: &str) -> String {
    machine.host.kernel_file("/proc/cmdline", cmdline);
    found(&Prepared::defaults("boot", &[], &machine.system(Mode::Apply)))
}

fn read(machine: &Machine, source: &str) -> String {
    let sys = machine.system(Mode::Apply);
    found(&Documents::read(&[Source::parse(source)], &Place::root(&sys)).plan("boot"))
}

#[test]
fn the_default_directories_come_in_their_order_then_what_the_kernel_command_line_names() {
    let machine = machine(&[
        "/usr/local/cloud-config/user.yaml",
        "/oem/90.yaml",
        "/oem/100.yaml",
        "/system/oem/99.yaml",
        "/etc/more.yaml",
    ]);
    assert_eq!(
        run(&machine, "quiet cos.setup=/etc/more.yaml stages.boot[0].commands[0]=y"),
        "/system/oem/99.yaml\n/oem/100.yaml\n/oem/90.yaml\n/usr/local/cloud-config/user.yaml\n\
         /etc/more.yaml\nkernel command line\n"
    );
}

#[test]
fn the_name_of_a_source_on_the_kernel_command_line_may_hold_an_equals_sign() {
    let machine = machine(&["/oem/a?b=c.yaml", "/etc/d.yaml"]);
    assert_eq!(
        run(&machine, "cos.setup=/oem/a?b=c.yaml elemental.setup=\"/etc/d.yaml\""),
        "/oem/a?b=c.yaml\n/oem/a?b=c.yaml\n/etc/d.yaml\n"
    );
}

#[test]
fn a_file_on_the_kernel_command_line_that_is_not_there_yet_is_worth_a_warning() {
    assert_eq!(
        run(&machine(&[]), "cos.setup=/oem/later.yaml cos.setup= cos.setup"),
        "Warning kernel command line:1:1: `/oem/later.yaml`: there is no such file in this stage\n"
    );
}

#[test]
fn a_path_that_does_not_exist_is_an_error() {
    assert_eq!(
        read(&machine(&[]), "/no/such.yaml"),
        "Error /no/such.yaml: there is no such file or directory; a source is a file, a directory, a URL, `-` \
         or `builtin:`\n"
    );
}

#[test]
fn a_file_may_be_named_as_url_and_have_any_extension() {
    let machine = machine(&["/etc/config"]);
    assert_eq!(read(&machine, "file:///etc/config"), "/etc/config\n");
    assert_eq!(read(&machine, "/etc/config"), "/etc/config\n");
}

#[test]
fn links_to_directories_and_to_files_are_followed() {
    let machine = Machine::new(
        "-- /srv/set/a.yaml\nstages: {boot: [{commands: [x]}]}\n-- /oem -> srv/set\n\
         -- /srv/set/b.yaml -> a.yaml\n-- /srv/set/dangling.yaml -> nowhere\n-- /srv/set/dir.yaml -> ../empty\n\
         -- /srv/empty/\n",
    );
    let expected = "/oem/a.yaml\n/oem/b.yaml\n";
    let found = read(&machine, "/oem");
    assert!(found.starts_with(expected), "{found}");
    assert!(found.contains("Error /oem/dangling.yaml"), "{found}");
    assert_eq!(run(&machine, ""), found);
}

#[test]
fn conditions_of_the_first_stage_know_which_system_was_booted() {
    let document = "stages: {rootfs.before: [{if_files: {all: [/run/cos/recovery_mode]}, commands: [x]}]}";
    for (cmdline, lives_here, ran) in [
        ("cos-img/filename=/cOS/recovery.img", true, "x"),
        ("cos-img/filename=/cOS/active.img note=recovery_mode", true, ""),
        ("cos-img/filename=/cOS/recovery.img", false, ""),
    ] {
        for mode in [Mode::Plan, Mode::Apply] {
            let machine = Machine::new(&format!("-- /oem/a.yaml\n{document}\n"));
            machine.host.kernel_file("/proc/cmdline", cmdline);
            if lives_here {
                machine.host.live_here();
            }
            let sys = machine.system(mode);
            let report = Prepared::defaults("rootfs", &[], &sys).execute(&sys, &mut ());
            let applied =
                report.steps.iter().any(|step| step.document == "/oem/a.yaml" && step.reason.is_none());
            assert_eq!(applied, ran == "x", "{cmdline} {mode:?}");
        }
    }
}
