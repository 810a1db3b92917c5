//! Configures systemd-timesyncd, which sets the clock by time servers.
//!
//! ```yaml
//! timesyncd:
//!   NTP: 0.pool.ntp.org 1.pool.ntp.org
//!   FallbackNTP: ""
//! ```
//!
//! ```text after
//! -- /etc/systemd/timesyncd.conf.d/10-yip.conf
//! [Time]
//! NTP=0.pool.ntp.org 1.pool.ntp.org
//! FallbackNTP=
//! ```
//!
//! The keys are those of timesyncd.conf(5). The file is that of yip, whose name therefore stays; what else is in it
//! stays as well. If it has changed and the service is running, it is started again.

use crate::{Context, Plugin, System, time_sync};
use anyhow::Result;
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Named, Shape, Spanned, suggest};

/// Settings of the section `[Time]`, in the order of the source.
#[derive(Debug)]
pub(crate) struct Timesyncd(Vec<(Spanned<String>, String)>);

impl Decode for Timesyncd {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let Named(mut settings) = Named::<String>::decode(node, findings)?;
        settings.retain_mut(|(key, value)| {
            *value = value.trim().to_owned();
            let is_key = |c: char| c.is_ascii_alphanumeric() || c == '-';
            if key.is_empty() || !key.chars().all(is_key) {
                findings.error(key.span, format!("{:?} is no key of timesyncd.conf(5)", key.value));
                return false;
            }
            if value.contains(char::is_control) {
                let message =
                    format!("the value of `{}` holds a line break or another control character", key.value);
                findings
                    .error(key.span, message)
                    .help("several servers stand on one line, with blanks between them");
                return false;
            }
            true
        });
        Some(Self(settings))
    }

    fn shape() -> Shape {
        Named::<String>::shape()
    }
}

impl Plugin for Timesyncd {
    const KEY: &'static str = "timesyncd";

    fn check(&self, findings: &mut Findings) {
        for (key, _) in self.0.iter().filter(|(key, _)| !time_sync::KEYS.contains(&&*key.value)) {
            let finding = findings.warn(key.span, format!("timesyncd.conf(5) has no key `{}`", key.value));
            match suggest(key, time_sync::KEYS) {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding.help(format!("its keys are {}", time_sync::KEYS.join(", "))),
            };
        }
    }

    fn units(&self) -> Vec<String> {
        vec![time_sync::UNIT.to_owned()]
    }

    fn apply(&self, _cx: &Context, sys: &System) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let settings: Vec<(&str, &str)> =
            self.0.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        time_sync::configure(sys, &settings)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{JobAnswer, Machine};

    #[test]
    fn what_is_in_the_file_stays_and_keys_that_nobody_reads_are_told() {
        let machine =
            Machine::new("-- /etc/systemd/timesyncd.conf.d/10-yip.conf 0600\n[Time]\nNTP = old\n# mine\n");
        let outcome = machine.apply(
            "timesyncd:\n  ntp: x\n  NTP: new\n  Polls: 1\n  'a=b': 1\n  FallbackNTP: |\n    a\n    b\n",
        );
        assert_eq!(
            outcome.messages(),
            "Error: test.yaml:5:3: \"a=b\" is no key of timesyncd.conf(5)\n\
             Error: test.yaml:6:3: the value of `FallbackNTP` holds a line break or another control character; several \
             servers stand on one line, with blanks between them\n\
             Warning: test.yaml:2:3: timesyncd.conf(5) has no key `ntp`; did you mean `NTP`?\n\
             Warning: test.yaml:4:3: timesyncd.conf(5) has no key `Polls`; its keys are NTP, FallbackNTP, \
             RootDistanceMaxSec, PollIntervalMinSec, PollIntervalMaxSec, ConnectionRetrySec, SaveIntervalSec\n"
        );
        machine.assert_tree(
            "-- /etc/systemd/timesyncd.conf.d/10-yip.conf\n[Time]\nNTP=new\n# mine\nntp=x\nPolls=1\n",
        );
    }

    #[test]
    fn a_running_service_is_started_again_if_something_changed() {
        let machine = Machine::new("-- /run/systemd/system/\n");
        let refused = JobAnswer::Refused("org.freedesktop.systemd1.NoSuchUnit", "no such unit");
        let systemd = machine.boot(&[]);
        let step = "timesyncd: {NTP: a}";
        machine.apply(step);
        assert_eq!(systemd.take_requests(), ["TryRestartUnit systemd-timesyncd.service"]);
        machine.apply(step);
        assert!(systemd.take_requests().is_empty());
        let systemd = machine.boot(&[("systemd-timesyncd.service", refused)]);
        let outcome = machine.apply("timesyncd: {NTP: b}");
        assert!(
            outcome.messages().contains("the settings are written, but count only when"),
            "{}",
            outcome.messages()
        );
        systemd.take_requests();
        machine.plan("timesyncd: {NTP: c}");
        assert!(systemd.take_requests().is_empty());
        assert!(machine.apply("timesyncd: {}").effects.is_empty());
    }

    #[test]
    fn a_directory_in_the_place_of_the_file_is_an_error() {
        let machine = Machine::new("-- /etc/systemd/timesyncd.conf.d/10-yip.conf/\n");
        let outcome = machine.apply("timesyncd: {NTP: a}");
        assert_eq!(outcome.findings.len(), 1, "{}", outcome.messages());
        machine.assert_tree("");
    }
}
