//! Sets the host name: that of the running machine, `/etc/hostname` and `/etc/hosts`.
//!
//! ```yaml
//! hostname: web
//! ```
//!
//! ```text before
//! -- /etc/hosts
//! # static names
//! 127.0.0.1 localhost loopback
//! 10.0.0.1  registry
//! ```
//!
//! ```text after
//! -- /etc/hostname
//! web
//! -- /etc/hosts
//! # static names
//! 127.0.0.1 localhost loopback web
//! 10.0.0.1  registry
//! ```
//!
//! The name is a template: `node-{{ trunc 4 .MachineID }}`. Unlike elsewhere, one that cannot be rendered is an
//! error, and so is a name that hostname(7) does not allow. Of the three places each is attempted; the name of
//! the running machine is set only if the root is its own.
//!
//! **A name with a random part** (`.UUID`, `.Random`, `uuidv4`, `rand...`) is chosen once: `/etc/hostname` keeps its
//! name while that has the shape of a newly made one, which is to begin and end with the text around the first
//! and last `{{ }}`, to be as long, and to have dots and hyphens at the same places. yip chooses another name
//! every time. Where `/etc/hostname` does not outlive a boot, the name does not either. Likewise, a name that is
//! made from the one before (`n-{{ .Values.node.hostname }}`) is kept while it is that of the running machine and
//! begins and ends as the template does: it does not grow.
//!
//! **In `/etc/hosts`** one line changes: the first for 127.0.1.1, where there is one (as on Debian), else the
//! first for 127.0.0.1, on which `localhost` is put first if it is missing. There the name takes the place of
//! the one that `/etc/hostname` held before, or stands behind the others; yip drops the others. A missing line
//! or file is made.

pub(crate) mod hosts;

use crate::system::File;
use crate::{Context, Plugin, System};
use anyhow::{Result, bail};
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Shape, Span, Text};

/// The longest name that Linux takes, in bytes.
const LONGEST_NAME: usize = 64;

/// The longest label of a name, in bytes.
const LONGEST_LABEL: usize = 63;

/// What makes a template give another text every time.
const RANDOM_SOURCES: [&str; 4] = [".UUID", ".Random", "uuidv4", "rand"];

/// The name of the machine.
pub(crate) struct Hostname(Text);

impl Decode for Hostname {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        Decode::decode(node, findings).map(Self)
    }

    fn shape() -> Shape {
        Shape::text("host name")
    }
}

impl Plugin for Hostname {
    const KEY: &'static str = "hostname";

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        set(cx, sys, &self.0, Wishes { first_label: false, new_file: true, hosts: true })
    }
}

/// How a name is set.
pub(crate) struct Wishes {
    /// Only what stands before the first dot of the name is.
    pub(crate) first_label: bool,
    /// Whether `/etc/hostname` is made where there is none.
    pub(crate) new_file: bool,
    /// Whether it is entered into `/etc/hosts`.
    pub(crate) hosts: bool,
}

/// Sets the name that a template gives.
pub(crate) fn set(cx: &Context, sys: &System, text: &Text, wishes: Wishes) -> Result<()> {
    let (template, span) = (text.as_str().trim(), text.span());
    if template.is_empty() {
        return Ok(());
    }
    let Some(rendered) = cx.render_required(text) else { return Ok(()) };
    let rendered = match rendered.trim() {
        name if wishes.first_label => name.split('.').next().unwrap_or_default(),
        name => name,
    };
    validate(rendered)?;
    // What cannot be read is reported when it cannot be written either.
    let before = current(sys).unwrap_or_default();
    let kept = before.as_deref().filter(|before| {
        validate(before).is_ok() && was_made_by(template, rendered, before, cx.facts().hostname())
    });
    put(cx, sys, span, kept.unwrap_or(rendered), before.as_deref(), &wishes)
}

/// Sets a name that is no template.
pub(crate) fn set_name(cx: &Context, sys: &System, span: Span, name: &str) -> Result<()> {
    validate(name)?;
    let before = current(sys).unwrap_or_default();
    put(cx, sys, span, name, before.as_deref(), &Wishes { first_label: false, new_file: true, hosts: true })
}

fn put(
    cx: &Context,
    sys: &System,
    span: Span,
    name: &str,
    before: Option<&str>,
    wishes: &Wishes,
) -> Result<()> {
    cx.attempt(span, sys.set_hostname(name));
    if wishes.new_file || sys.exists("/etc/hostname")? {
        cx.attempt(span, sys.write(File::new("/etc/hostname", format!("{name}\n"))));
    }
    if wishes.hosts {
        cx.attempt(span, write_hosts(sys, name, before));
    }
    Ok(())
}

/// The name in `/etc/hostname`.
fn current(sys: &System) -> Result<Option<String>> {
    let content = sys.read("/etc/hostname")?.unwrap_or_default();
    let content = String::from_utf8_lossy(&content);
    // Comments are allowed by hostname(5).
    let name = content.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(name.map(str::to_owned))
}

fn write_hosts(sys: &System, name: &str, before: Option<&str>) -> Result<bool> {
    let content = match sys.read("/etc/hosts")? {
        Some(content) => hosts::with_name(&content, name, before),
        None => hosts::new(name),
    };
    sys.write(File::new("/etc/hosts", content))
}

/// Whether `name` is what the template gave at an earlier time, when chance or the name of the running machine
/// were different.
fn was_made_by(template: &str, rendered: &str, name: &str, running: &str) -> bool {
    let Some(((begin, _), (_, end))) = template.split_once("{{").zip(template.rsplit_once("}}")) else {
        return false;
    };
    if !name.starts_with(begin) || !name.ends_with(end) {
        return false;
    }
    let actions = || template.split("{{").skip(1).filter_map(|part| part.split_once("}}"));
    let mentions = |what: &str| actions().any(|(action, _)| action.contains(what));
    let same_shape = || {
        let bytes = name.bytes().zip(rendered.bytes());
        name.len() == rendered.len()
            && bytes.into_iter().all(|(a, b)| a == b || !b".-".contains(&a) && !b".-".contains(&b))
    };
    RANDOM_SOURCES.into_iter().any(mentions) && same_shape()
        || mentions(".hostname") && name == running && !(begin.is_empty() && end.is_empty())
}

/// Whether hostname(7) allows the name.
pub(crate) fn validate(name: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if name.len() > LONGEST_NAME {
        bail!("the host name {name:?} is longer than {LONGEST_NAME} bytes");
    }
    for label in name.split('.') {
        if label.is_empty() || label.starts_with('-') || label.ends_with('-') || !label.bytes().all(allowed) {
            bail!(
                "{name:?} is not a host name: its labels, separated by dots, are of letters, digits and, within, \
                 hyphens (hostname(7))"
            );
        }
        if label.len() > LONGEST_LABEL {
            bail!("the host name {name:?} has a label longer than {LONGEST_LABEL} bytes");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{validate, was_made_by};
    use crate::system::Host;
    use crate::testing::Machine;

    #[test]
    fn the_old_name_makes_room_for_the_new_one() {
        let machine = Machine::new(
            "-- /etc/hostname\none\n-- /etc/hosts\n127.0.0.1 localhost one a b\n::1 localhost\n",
        );
        machine.check(
            "hostname: two",
            "-- /etc/hostname\ntwo\n-- /etc/hosts\n127.0.0.1 localhost two a b\n::1 localhost\n",
        );
    }

    #[test]
    fn a_missing_file_of_hosts_is_made() {
        let machine = Machine::new("");
        machine.check(
            "hostname: web.example.org",
            "-- /etc/hostname\nweb.example.org\n-- /etc/hosts\n127.0.0.1 localhost web.example.org\n::1 localhost\n",
        );
    }

    #[test]
    fn what_hostname_7_does_not_allow_is_an_error_and_changes_nothing() {
        let long = "a".repeat(65);
        for name in ["my_host", "a b", "-a", "a-", "a..b", ".a", "a.", "\u{e4}", "n-<no value>", &long] {
            let machine = Machine::new("");
            let outcome = machine.apply(&format!("hostname: {name:?}"));
            assert_eq!(outcome.findings.len(), 1, "{name}: {}", outcome.messages());
            assert!(outcome.effects.is_empty(), "{name}");
            machine.assert_tree("");
        }
        assert!(validate(&format!("{}.b", "a".repeat(62))).is_ok());
        assert!(validate(&"a".repeat(64)).unwrap_err().to_string().contains("label longer than 63"));
    }

    #[test]
    fn an_empty_name_changes_nothing() {
        let machine = Machine::new("");
        assert!(machine.check("hostname: ''", "").effects.is_empty());
        assert!(machine.check("hostname:", "").effects.is_empty());
    }

    #[test]
    fn each_place_is_attempted_when_another_fails() {
        let machine = Machine::new("-- /etc/hostname/\n-- /etc/hosts\n127.0.0.1 localhost\n");
        let outcome = machine.apply("hostname: web");
        assert_eq!(outcome.findings.len(), 1, "{}", outcome.messages());
        assert!(outcome.messages().contains("/etc/hostname"), "{}", outcome.messages());
        machine.assert_tree("-- /etc/hosts\n127.0.0.1 localhost web\n");
    }

    #[test]
    fn a_template_that_cannot_be_rendered_is_an_error() {
        let machine = Machine::new("");
        let outcome = machine.apply("hostname: 'node-{{ nosuch }}'");
        assert_eq!(outcome.findings.len(), 1, "{}", outcome.messages());
        assert!(outcome.messages().starts_with("Error: test.yaml:1:"), "{}", outcome.messages());
        machine.assert_tree("");
    }

    #[test]
    fn a_name_with_a_random_part_is_chosen_once() {
        for template in ["node-{{ .UUID }}", "{{ .Random }}", "{{ trunc 5 .Random }}.example.org"] {
            let machine = Machine::new("");
            let outcomes = [0, 1].map(|_| machine.apply(&format!("hostname: '{template}'")));
            assert!(outcomes.iter().all(|outcome| outcome.findings.is_empty()), "{}", outcomes[0].messages());
            assert!(outcomes[1].effects.iter().all(|effect| !effect.changed), "{template}: {outcomes:#?}");
        }
    }

    #[test]
    fn only_a_name_of_the_same_shape_is_kept() {
        let template = "n-{{ trunc 4 .MachineID }}-{{ .Random }}.x";
        let was_made_by = |template, rendered, name| was_made_by(template, rendered, name, "running");
        assert!(was_made_by(template, "n-abcd-1234.x", "n-abcd-zzzz.x"));
        for other in
            ["localhost", "n-abcd-123.x", "m-abcd-1234.x", "n-abcd-1234.y", "n-abcd-1-34.x", "n-ab.d-1234.x"]
        {
            assert!(!was_made_by(template, "n-abcd-1234.x", other), "{other}");
        }
        assert!(!was_made_by("rand-{{ .MachineID }}", "rand-1", "rand-2"));
        assert!(!was_made_by("web", "web", "web"));
    }

    #[test]
    fn a_name_made_from_the_one_before_does_not_grow() {
        let machine = Machine::new("-- /etc/hosts\n127.0.0.1 localhost\n");
        machine.host.live_here();
        machine.check(
            "hostname: 'n-{{ .Values.node.hostname }}'",
            "-- /etc/hostname\nn-machine\n-- /etc/hosts\n127.0.0.1 localhost n-machine\n",
        );
    }

    #[test]
    fn the_running_machine_is_named_only_from_its_own_root() {
        for own in [false, true] {
            let machine = Machine::new("-- /etc/hosts\n127.0.0.1 localhost\n");
            if own {
                machine.host.live_here();
            }
            machine.check("hostname: web", "-- /etc/hostname\nweb\n-- /etc/hosts\n127.0.0.1 localhost web\n");
            assert_eq!(machine.host.hostname().unwrap(), if own { "web" } else { "machine" });
        }
    }

    #[test]
    fn planning_changes_nothing() {
        let machine = Machine::new("-- /etc/hosts\n127.0.0.1 localhost\n");
        let outcome = machine.plan("hostname: web");
        assert!(outcome.findings.is_empty() && outcome.effects.iter().any(|effect| effect.changed));
        machine.assert_tree("");
    }
}
