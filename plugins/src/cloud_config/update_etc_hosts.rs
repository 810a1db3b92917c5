//! Keeps the names of this machine in `/etc/hosts`, at every boot.
//!
//! ```yaml
//! #cloud-config
//! manage_etc_hosts: localhost
//! fqdn: web.example.org
//! ```
//!
//! ```text before
//! -- /etc/hosts
//! # static names
//! 127.0.0.1 localhost
//! 10.0.0.1  registry
//! ```
//!
//! ```text after
//! -- /etc/hostname
//! web
//! -- /etc/hosts
//! # static names
//! 127.0.0.1 localhost
//! 10.0.0.1  registry
//! 127.0.1.1 web.example.org web
//! ```
//!
//! With `localhost` one line changes, that for 127.0.1.1. With `true` (or `template`) the whole file is written: from
//! `/etc/cloud/templates/hosts.ID.tmpl` (`ID` as in os-release) or `hosts.tmpl` if the root has one, with `{{fqdn}}`
//! and `{{hostname}}` filled in, else with the usual lines. Without `hostname` and `fqdn`, which are templates as in
//! `set_hostname`, it is the name that the machine has.

use crate::keys::hostname::{hosts, validate};
use crate::system::File;
use crate::{Context, Plugin, System};
use anyhow::{Result, bail};
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Shape, Text, record};

/// Where cloud-init has its templates.
const TEMPLATES: &str = "/etc/cloud/templates";

/// What is written where there is no template.
const LINES: &str = "\
127.0.1.1 {{fqdn}} {{hostname}}
127.0.0.1 localhost

::1 localhost ip6-localhost ip6-loopback
ff02::1 ip6-allnodes
ff02::2 ip6-allrouters
";

record! {
    /// The file of hosts.
    pub(crate) struct UpdateEtcHosts {
        /// `true`, `false` or `localhost`.
        manage_etc_hosts: Managed,
        /// The name of the machine.
        hostname: Text,
        /// The name with its domain.
        fqdn: Text,
    }
}

/// How much of the file is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Managed {
    #[default]
    Nothing,
    Line,
    All,
}

impl Decode for Managed {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        match &*node.text().unwrap_or_default().to_ascii_lowercase() {
            "localhost" => Some(Self::Line),
            "template" => Some(Self::All),
            _ => Some(if bool::decode(node, findings)? { Self::All } else { Self::Nothing }),
        }
    }

    fn shape() -> Shape {
        Shape::Boolean.or(Shape::Choice(&["localhost", "template"]))
    }
}

impl Plugin for UpdateEtcHosts {
    const KEY: &'static str = "update_etc_hosts";

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        if self.manage_etc_hosts == Managed::Nothing {
            return Ok(());
        }
        let Some((fqdn, hostname)) = self.names(cx, sys)? else { return Ok(()) };
        validate(&fqdn)?;
        validate(&hostname)?;
        let content = if self.manage_etc_hosts == Managed::All {
            fill(&template(cx, sys)?, &fqdn, &hostname)?.into_bytes()
        } else {
            let names = if fqdn == hostname { &[&*fqdn][..] } else { &[&*fqdn, &*hostname] };
            hosts::with_line(&sys.read("/etc/hosts")?.unwrap_or_default(), "127.0.1.1", names)
        };
        sys.write(File::new("/etc/hosts", content))?;
        Ok(())
    }
}

impl UpdateEtcHosts {
    /// The name with its domain, and the one without; nothing if a template could not be rendered.
    fn names(&self, cx: &Context, sys: &System) -> Result<Option<(String, String)>> {
        let running = sys.hostname()?;
        let hostname = match self.hostname.as_str().trim() {
            // What a template gave is what the machine has been called since.
            name if name.is_empty() || name.contains("{{") => running,
            name => name.to_owned(),
        };
        let Some(fqdn) = cx.render_required(&self.fqdn) else { return Ok(None) };
        let fqdn = match fqdn.trim() {
            "" => hostname.clone(),
            fqdn => fqdn.to_owned(),
        };
        let named = !self.hostname.as_str().trim().is_empty();
        let short = if named { &hostname } else { &fqdn };
        let short = short.split('.').next().unwrap_or_default().to_owned();
        Ok(Some((fqdn, short)))
    }
}

fn template(cx: &Context, sys: &System) -> Result<String> {
    let of_distribution =
        cx.facts().os_id().filter(|id| !id.contains('/')).map(|id| format!("hosts.{id}.tmpl"));
    for name in of_distribution.into_iter().chain(["hosts.tmpl".to_owned()]) {
        if let Some(text) = sys.read_text(format!("{TEMPLATES}/{name}"))? {
            return Ok(text);
        }
    }
    Ok(LINES.to_owned())
}

/// Fills the names in. What else Jinja has in stock is no part of a file of hosts, but for comments.
fn fill(template: &str, fqdn: &str, hostname: &str) -> Result<String> {
    let (mut text, mut rest) = (String::new(), template);
    if template.starts_with("## template") {
        rest = template.split_once('\n').unwrap_or_default().1;
    }
    while let Some(at) = rest.find('{') {
        text += &rest[..at];
        let Some((close, kind)) =
            [("}}", "{{"), ("#}", "{#")].into_iter().find(|(_, open)| rest[at..].starts_with(open))
        else {
            if rest[at..].starts_with("{%") {
                bail!(
                    "the template of /etc/hosts in {TEMPLATES} has statements, and only names can be filled in"
                );
            }
            text.push('{');
            rest = &rest[at + 1..];
            continue;
        };
        let Some((inner, behind)) = rest[at + kind.len()..].split_once(close) else {
            bail!("the template of /etc/hosts in {TEMPLATES} has a `{kind}` without `{close}`");
        };
        match (kind, inner.trim()) {
            ("{#", _) => {}
            (_, "fqdn") => text += fqdn,
            (_, "hostname") => text += hostname,
            _ => bail!("the template of /etc/hosts in {TEMPLATES} uses more than `fqdn` and `hostname`"),
        }
        rest = behind;
    }
    Ok(text + rest)
}

#[cfg(test)]
mod tests {
    use super::{UpdateEtcHosts, fill};
    use crate::facts::Facts;
    use crate::system::Mode;
    use crate::testing::Machine;
    use crate::{Context, Plugin};
    use cosette_schema::{Decode, Findings, Origin, yaml};

    #[test]
    fn the_whole_file_is_written_for_the_name_that_the_machine_has() {
        let machine = Machine::new("-- /etc/hosts\n10.0.0.1 old\n");
        machine.check(
            "#cloud-config\nmanage_etc_hosts: true",
            "-- /etc/hosts\n127.0.1.1 machine machine\n127.0.0.1 localhost\n\n::1 localhost ip6-localhost ip6-loopback\n\
             ff02::1 ip6-allnodes\nff02::2 ip6-allrouters\n",
        );
    }

    #[test]
    fn names_are_templates_as_those_of_the_machine_are() {
        let machine = Machine::new("-- /etc/hosts\n-- /etc/machine-id\nabc\n");
        // The module alone: another one would set the names.
        let apply = |text: &str| {
            let sys = machine.system(Mode::Apply);
            let (facts, origin) = (Facts::new(&sys), Origin::new("test.yaml"));
            let node = yaml::parse(text, &mut Findings::new(origin.clone())).unwrap();
            let cx = Context::new(&origin, &facts, &[]);
            let module = UpdateEtcHosts::decode(&node, &mut Findings::new(origin.clone())).unwrap();
            module.apply(&cx, &sys).unwrap();
            cx.into_findings().iter().map(ToString::to_string).collect::<String>()
        };
        let names = "fqdn: '{{ .MachineID }}.example.org', hostname: 'n-{{ .Random }}'";
        assert_eq!(apply(&format!("{{manage_etc_hosts: localhost, {names}}}")), "");
        machine.assert_tree("-- /etc/hosts\n127.0.1.1 abc.example.org machine\n");
        let messages = apply("{manage_etc_hosts: localhost, fqdn: '{{ nosuch }}'}");
        assert!(messages.contains("the template cannot be rendered"), "{messages}");
    }

    #[test]
    fn a_template_of_the_root_is_used() {
        let machine = Machine::new(
            "-- /etc/os-release\nID=debian\n-- /etc/cloud/templates/hosts.tmpl\nx\n\
             -- /etc/cloud/templates/hosts.debian.tmpl\n## template:jinja\n{# c\n#}127.0.1.1 {{fqdn}} {{ hostname }}\n",
        );
        machine
            .check("#cloud-config\nmanage_etc_hosts: template", "-- /etc/hosts\n127.0.1.1 machine machine\n");
    }

    #[test]
    fn a_template_with_more_in_it_is_an_error() {
        assert_eq!(fill("a{b}{{fqdn}}", "f", "h").unwrap(), "a{b}f");
        for template in ["{% if x %}", "{{ x }}", "{{fqdn", "{#"] {
            assert!(fill(template, "f", "h").is_err(), "{template}");
        }
    }

    #[test]
    fn a_name_cannot_add_lines_and_false_changes_nothing() {
        let machine = Machine::new("-- /etc/hosts\n10.0.0.1 x\n");
        let outcome = machine.apply("#cloud-config\nmanage_etc_hosts: localhost\nfqdn: \"a\\n6.6.6.6 bank\"");
        assert!(outcome.messages().contains("is not a host name"), "{}", outcome.messages());
        machine.check("#cloud-config\nmanage_etc_hosts: false", "");
    }
}
