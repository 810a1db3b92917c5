//! What a module does once for each instance of the machine: whether it has been done, and the record of it.
//!
//! A record is a small file for each module and document: the document, the instance, and the SHA-256 of what the
//! module was told. It lies in `/etc/cosette/instance` for what the module does to `/etc`, so that a machine whose `/etc`
//! is made anew at each boot gets it back each time, and all others get it once, as with cloud-init. What acts on
//! other things is recorded where it outlives that: below `/usr/local` if there is one that can be written, or
//! below `/var/lib`.
//!
//! **Architecture invariant:** a plan reads records and writes none.

use crate::conditions::Verdict;
use crate::facts::hexadecimal;
use crate::plugin::Instance;
use crate::system::{File, Mode, NoChroot, NoProgram};
use crate::{Context, System, records};
use anyhow::{Context as _, Result};
use cosette_schema::cloud_config::{Frequency, Module};
use cosette_schema::yaml::{Node, Style, Value};
use cosette_schema::{Origin, Span};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::rc::Rc;

/// Where records lie that are forgotten together with `/etc`.
const WITH_ETC: &[&str] = &["/etc/cosette"];

/// All directories of records.
#[cfg(any(test, feature = "testing"))]
pub(crate) const RECORDS: &[&str] =
    &["/etc/cosette/instance", "/usr/local/.cosette/instance", "/var/lib/cosette/instance"];

/// Where the id of the instance stands: as the metadata of a cloud has it, or cloud-init found it.
const INSTANCE_IDS: [&str; 2] = ["/run/config/instance_id", "/var/lib/cloud/data/instance-id"];

/// Where the id of the hardware, or of what pretends to be it, stands.
const MACHINE_ID: &str = "/sys/class/dmi/id/product_uuid";

/// What is done once.
pub(crate) struct Once {
    module: &'static Module,
    span: Span,
    document: String,
    digest: String,
}

/// Who the machine is. Metadata may be out of reach for once, and not every machine has a number of its own.
struct Identity {
    instance: Option<String>,
    machine: Option<String>,
}

impl Once {
    /// What the module does with this configuration in the document that came from `origin`; nothing when it does
    /// it always.
    pub(crate) fn of(module: &'static Module, config: &Node, origin: &Origin) -> Option<Self> {
        if module.frequency == Frequency::Always {
            return None;
        }
        let mut hash = Sha256::new();
        add(&mut hash, config);
        let digest = hexadecimal(&hash.finalize());
        // A line break would be the end of its line in the record.
        let document = origin.as_str().replace(char::is_control, " ");
        Some(Self { module, span: config.span, document, digest })
    }

    /// Whether it is still to be done.
    pub(crate) fn evaluate(&self, sys: &System) -> Result<Verdict> {
        let identity = Identity::of(sys);
        for path in self.paths() {
            let Some(record) = sys.read(&path)? else { continue };
            if self.is_done(&String::from_utf8_lossy(&record), &identity) {
                return Ok(Verdict::Skip(format!("done before on this instance, as {path} records")));
            }
        }
        Ok(Verdict::Run)
    }

    fn paths(&self) -> impl Iterator<Item = String> {
        let directories = match self.module.frequency {
            Frequency::Always | Frequency::Instance => WITH_ETC,
            Frequency::Lasting | Frequency::AtMostOnce => &records::LASTING,
        };
        let of_document = &hexadecimal(&Sha256::digest(&self.document))[..16];
        let name = format!("{}.{of_document}", self.module.name);
        directories.iter().map(move |directory| format!("{directory}/instance/{name}"))
    }

    fn is_done(&self, record: &str, identity: &Identity) -> bool {
        let line = |name: &str| record.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line("document") == Some(&self.document)
            && line("digest") == Some(&self.digest)
            && match (line("instance"), &identity.instance) {
                (Some(then), Some(now)) => then == now,
                _ => line("machine") == identity.machine.as_deref(),
            }
    }

    fn record(&self, sys: &System) -> Result<()> {
        if sys.mode() == Mode::Plan {
            return Ok(());
        }
        let Identity { instance, machine } = Identity::of(sys);
        let line = |name: &str, value: Option<String>| {
            value.map(|value| format!("{name}: {value}\n")).unwrap_or_default()
        };
        let mut text = format!("document: {}\n", self.document);
        text += &line("instance", instance);
        text += &line("machine", machine);
        text += &format!("digest: {}\n", self.digest);
        let mut result = Ok(());
        for path in self.paths() {
            if !records::may_take(&path, sys)? {
                continue;
            }
            let write = || {
                // Left to the file, the directories would be closed to others.
                if let Some(directory) = Path::new(&path).parent() {
                    sys.create_dir(directory, None, None)?;
                }
                sys.write(File::new(&path, text.as_bytes()).mode(0o600).durable())
            };
            match write() {
                Ok(_) => return Ok(()),
                Err(error) => result = Err(error),
            }
        }
        result
    }

    fn forget(&self, sys: &System) -> Result<()> {
        for path in self.paths() {
            if sys.exists(&path)? {
                sys.remove(path)?;
            }
        }
        Ok(())
    }
}

impl Identity {
    fn of(sys: &System) -> Self {
        let machine = sys.host().kernel_file(Path::new(MACHINE_ID)).ok().flatten().and_then(id);
        Self { instance: instance_id(sys), machine }
    }
}

/// The id of the instance, if metadata gave the machine one.
pub(super) fn instance_id(sys: &System) -> Option<String> {
    INSTANCE_IDS.iter().find_map(|path| id(sys.read(path).ok()??))
}

fn id(bytes: Vec<u8>) -> Option<String> {
    let text = String::from_utf8_lossy(&bytes).trim().replace(char::is_control, " ");
    (!text.is_empty()).then_some(text)
}

/// Takes a value in: what it says, not how it is laid out in the document.
fn add(hash: &mut Sha256, node: &Node) {
    let mut begin = |kind: char, length: usize| hash.update(format!("{kind}{length}:"));
    match &node.value {
        Value::Scalar(scalar) => {
            begin(if scalar.style == Style::Plain { 'p' } else { 't' }, scalar.text.len());
            hash.update(scalar.text.as_bytes());
        }
        Value::List(items) => {
            begin('l', items.len());
            items.iter().for_each(|item| add(hash, item));
        }
        Value::Map(entries) => {
            begin('m', entries.len());
            for (key, value) in entries {
                add(hash, key);
                add(hash, value);
            }
        }
    }
}

/// A plugin that acts once, and what records it.
pub(crate) struct Recorded {
    /// What is recorded.
    pub(crate) once: Rc<Once>,
    /// What acts.
    pub(crate) plugin: Box<dyn Instance>,
}

impl Instance for Recorded {
    fn key(&self) -> &'static str {
        self.plugin.key()
    }

    fn replaces(&self) -> Vec<(&str, Span)> {
        self.plugin.replaces()
    }

    fn accounts(&self) -> Vec<String> {
        self.plugin.accounts()
    }

    fn units(&self) -> Vec<String> {
        self.plugin.units()
    }

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        let Self { once, plugin } = self;
        if once.module.frequency == Frequency::AtMostOnce {
            once.record(sys)
                .context("not run, because that cannot be recorded, and it must not run twice")?;
            let result = plugin.apply(cx, sys);
            // What could not even begin has not been run.
            if result.as_ref().is_err_and(|error| error.is::<NoProgram>() || error.is::<NoChroot>()) {
                cx.attempt(once.span, once.forget(sys));
            }
            return result;
        }
        plugin.apply(cx, sys)?;
        if (once.module.done_in_part || !cx.has_failed())
            && let Err(error) = once.record(sys)
        {
            cx.warn(once.span, format!("this will be done again at the next boot: {error:#}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests forget and damage records")]

    use super::*;
    use crate::facts::Facts;
    use crate::step::Step;
    use crate::system::Interrupted;
    use crate::testing::Machine;

    /// Runs the modules of a cloud-config, as at a boot: what became of each, and the commands that ran.
    fn boot(machine: &Machine, text: &str) -> Vec<String> {
        boot_as(machine, text, Mode::Apply)
    }

    fn boot_as(machine: &Machine, text: &str, mode: Mode) -> Vec<String> {
        let (sys, origin) = (machine.system(mode), Origin::new("/oem/90.yaml"));
        let facts = Facts::new(&sys);
        let (document, findings) = cosette_schema::parse(text, &origin);
        assert!(findings.is_empty(), "{findings:?}");
        let mut lines = Vec::new();
        for raw in document.stages.into_iter().flat_map(|stage| stage.steps) {
            let step = Step::decode(raw, &origin);
            let cx = step.context(&origin, &facts);
            match step.evaluate(&cx, &sys).unwrap() {
                Verdict::Run => {}
                _ => {
                    lines.push("skipped".to_owned());
                    continue;
                }
            }
            for (span, plugin) in step.plugins() {
                cx.attempt(span, plugin.apply(&cx, &sys));
            }
            lines.extend(cx.into_findings().iter().map(|finding| finding.message.clone()));
        }
        lines.extend(machine.host.take_commands());
        lines
    }

    const RUNCMD: &str = "#cloud-config\nruncmd: [touch /srv/a]\n";

    #[test]
    fn runcmd_runs_once_whatever_is_forgotten_and_again_when_the_document_says_something_else() {
        let machine = Machine::new("-- /usr/local/\n-- /etc/issue\n");
        assert_eq!(boot_as(&machine, RUNCMD, Mode::Plan), [""; 0]);
        assert_eq!(boot(&machine, RUNCMD), ["touch /srv/a"]);
        std::fs::remove_dir_all(machine.root().join("etc")).unwrap();
        assert_eq!(boot(&machine, RUNCMD), ["skipped"]);
        assert_eq!(boot(&machine, "#cloud-config\n# remark\nruncmd:\n- touch /srv/a\n"), ["skipped"]);
        assert_eq!(boot(&machine, "#cloud-config\nruncmd: [touch /srv/b]\n"), ["touch /srv/b"]);
        assert_eq!(boot(&machine, RUNCMD), ["touch /srv/a"]);
        assert_eq!(boot(&machine, RUNCMD), ["skipped"]);
        let records = std::fs::read_dir(machine.root().join("usr/local/.cosette/instance")).unwrap();
        let records: Vec<_> = records.map(|entry| entry.unwrap().path()).collect();
        assert_eq!(records.len(), 1);
        let record = std::fs::metadata(&records[0]).unwrap();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&record.permissions()) & 0o777, 0o600);
        assert!(!std::fs::read_to_string(&records[0]).unwrap().contains("touch"));
    }

    #[test]
    fn what_lies_in_etc_is_made_once_and_comes_back_with_an_etc_that_is_made_anew() {
        let image = "-- /etc/passwd\n-- /etc/shadow 0640\n-- /etc/group\n";
        let machine = Machine::new(&format!("{image}-- /usr/local/\n"));
        let text = "#cloud-config\nusers: [{name: a, passwd: $6$a$b, lock_passwd: false}]\n";
        let shadow = || std::fs::read_to_string(machine.root().join("etc/shadow")).unwrap();
        assert_eq!(boot(&machine, text), [""; 0]);
        assert_eq!(shadow(), "a:$6$a$b:20455::::::\n");
        // The user chooses another password, which stays until the document says something else.
        std::fs::write(machine.root().join("etc/shadow"), "a:$6$own$own:20456::::::\n").unwrap();
        assert_eq!(boot(&machine, text), ["skipped"]);
        assert_eq!(shadow(), "a:$6$own$own:20456::::::\n");
        assert_eq!(boot(&machine, &text.replace("$6$a$b", "$6$c$d")), [""; 0]);
        assert_eq!(shadow(), "a:$6$c$d:20455::::::\n");
        // The machine restarts, and has the /etc of its image again.
        std::fs::remove_dir_all(machine.root().join("etc")).unwrap();
        std::fs::create_dir(machine.root().join("etc")).unwrap();
        for name in ["passwd", "shadow", "group"] {
            std::fs::write(machine.root().join("etc").join(name), "").unwrap();
        }
        assert_eq!(boot(&machine, text), [""; 0]);
        assert_eq!(shadow(), "a:$6$a$b:20455::::::\n");
        assert_eq!(boot(&machine, text), ["skipped"]);
    }

    #[test]
    fn what_has_failed_is_tried_again_and_what_is_wrong_in_the_document_is_no_reason() {
        for text in ["users: [a, {name: b, uid: x}]\n", "write_files: [{path: /etc/passwd}, {path: x}]"] {
            let (machine, text) = (Machine::new("-- /etc/passwd/\n"), format!("#cloud-config\n{text}"));
            assert!(boot(&machine, &text)[0].contains("/etc/passwd"));
            assert!(boot(&machine, &text)[0].contains("/etc/passwd"));
            std::fs::remove_dir(machine.root().join("etc/passwd")).unwrap();
            assert_eq!(boot(&machine, &text), [""; 0]);
            assert_eq!(boot(&machine, &text), ["skipped"]);
        }
    }

    #[test]
    fn a_user_who_cannot_be_made_is_no_reason_to_reset_the_passwords_of_others_at_each_boot() {
        let machine = Machine::new("-- /etc/passwd\n-- /etc/shadow 0640\n-- /etc/group\n");
        let text = "#cloud-config\nusers: [a, {name: b, primary_group: none, create_groups: false}]\n\
                    chpasswd: {users: [{name: a, password: $6$a$b}, {name: ghost, password: $6$a$b}]}\n";
        assert_eq!(boot(&machine, text).len(), 2);
        assert_eq!(boot(&machine, text), ["skipped", "skipped"]);
    }

    #[test]
    fn two_documents_have_records_of_their_own() {
        let (one, other) = (Origin::new("/oem/1.yaml"), Origin::new("/oem/2.yaml"));
        let (document, _) = cosette_schema::parse(RUNCMD, &one);
        let config = &document.stages[0].steps[0].fields[0].1;
        let module = document.stages[0].steps[0].module.unwrap();
        let path = |origin| Once::of(module, config, origin).unwrap().paths().next().unwrap();
        assert_ne!(path(&one), path(&other));
        assert_eq!(path(&one), path(&one));
    }

    #[test]
    fn another_instance_runs_again_and_metadata_that_is_out_of_reach_is_no_other_instance() {
        let machine = Machine::new("-- /usr/local/\n");
        let instance = |id: &str| {
            std::fs::create_dir_all(machine.root().join("run/config")).unwrap();
            std::fs::write(machine.root().join("run/config/instance_id"), id).unwrap();
        };
        machine.host.kernel_file("/sys/class/dmi/id/product_uuid", "one\n");
        instance("i-1\n");
        assert_eq!(boot(&machine, RUNCMD), ["touch /srv/a"]);
        std::fs::remove_dir_all(machine.root().join("run")).unwrap();
        assert_eq!(boot(&machine, RUNCMD), ["skipped"]);
        instance("i-2");
        assert_eq!(boot(&machine, RUNCMD), ["touch /srv/a"]);
        std::fs::remove_dir_all(machine.root().join("run")).unwrap();
        machine.host.kernel_file("/sys/class/dmi/id/product_uuid", "a copy of the disk\n");
        assert_eq!(boot(&machine, RUNCMD), ["touch /srv/a"]);
        assert_eq!(boot(&machine, RUNCMD), ["skipped"]);
    }

    #[test]
    fn runcmd_that_fails_or_is_interrupted_is_not_run_again_but_one_that_could_not_start_is() {
        let machine = Machine::new("");
        machine.host.answer("touch", 3, "");
        assert_eq!(boot(&machine, RUNCMD), ["runcmd ended with status 3", "touch /srv/a"]);
        assert_eq!(boot(&machine, RUNCMD), ["skipped"]);
        let machine = Machine::new("");
        machine.host.refuse("touch", || Interrupted { signal: "SIGTERM" }.into());
        assert_eq!(boot(&machine, RUNCMD), ["stopped by SIGTERM"]);
        assert_eq!(boot(&machine, RUNCMD), ["skipped"]);
        let machine = Machine::new("");
        machine.host.refuse("touch", || NoProgram { program: "/bin/sh".into() }.into());
        assert!(boot(&machine, RUNCMD)[0].contains("has no program /bin/sh"));
        assert!(boot(&machine, RUNCMD)[0].contains("has no program /bin/sh"));
    }

    #[test]
    fn what_cannot_be_recorded_is_not_run() {
        let machine = Machine::new("-- /usr/local/.cosette no-newline\n\n-- /var/lib no-newline\n\n");
        let lines = boot(&machine, RUNCMD);
        assert!(lines[0].starts_with("not run, because that cannot be recorded"), "{lines:?}");
        assert_eq!(lines.len(), 1);
    }

    #[test]
    fn a_record_that_is_damaged_is_none() {
        let machine = Machine::new("");
        assert_eq!(boot(&machine, RUNCMD), ["touch /srv/a"]);
        let directory = machine.root().join("var/lib/cosette/instance");
        for entry in std::fs::read_dir(directory).unwrap() {
            std::fs::write(entry.unwrap().path(), b"document: \xff\ndigest").unwrap();
        }
        assert_eq!(boot(&machine, RUNCMD), ["touch /srv/a"]);
    }

    #[test]
    fn values_that_differ_in_any_way_but_layout_have_other_digests() {
        let digest = |text: &str| {
            let mut findings = cosette_schema::Findings::new(Origin::new("test"));
            let mut hash = Sha256::new();
            add(&mut hash, &cosette_schema::yaml::parse(text, &mut findings).unwrap());
            hexadecimal(&hash.finalize())
        };
        let same = ["{a: [b, c]}", "a:\n- b\n- c # remark\n", "? a\n: - b\n  - c\n"];
        assert!(same.iter().all(|text| digest(text) == digest(same[0])));
        let others = ["a: [b, 'c']", "a: [bc]", "a: [[b], c]", "a: [[b, c]]", "{a: b, c: }", "[a, [b, c]]"];
        let all: std::collections::BTreeSet<_> =
            others.iter().chain(&same[..1]).map(|text| digest(text)).collect();
        assert_eq!(all.len(), others.len() + 1);
    }
}
