//! Sets the clock by time servers.
//!
//! ```yaml
//! #cloud-config
//! ntp:
//!   servers: [time.example.org]
//!   pools: [0.pool.example.org]
//! ```
//!
//! ```text before
//! -- /usr/sbin/chronyd 0755
//! -- /etc/chrony/chrony.conf
//! # comment
//! pool 2.debian.pool.ntp.org iburst
//! driftfile /var/lib/chrony/chrony.drift
//! -- /usr/lib/systemd/system/chrony.service
//! [Install]
//! WantedBy=multi-user.target
//! -- /usr/lib/systemd/system/multi-user.target
//! ```
//!
//! ```text after
//! -- /etc/chrony/chrony.conf
//! # comment
//! driftfile /var/lib/chrony/chrony.drift
//! server time.example.org iburst
//! pool 0.pool.example.org iburst
//! -- /etc/systemd/system/multi-user.target.wants/chrony.service -> /usr/lib/systemd/system/chrony.service
//! ```
//!
//! `ntp_client` is `chrony`, `systemd-timesyncd`, `ntp` or `ntpsec`; `auto` takes the first of these that the root has, and
//! one that it does not have is an error: nothing is installed. The service is enabled, and started where systemd runs.
//!
//! In the file of chrony or ntp, the given `servers`, `pools` and `peers` take the place of those that stand there, and the
//! networks of `allow` are added; all else stays. Without any of them the client keeps those of its distribution.
//! systemd-timesyncd knows neither peers nor clients. Of `config`, `confpath` and `service_name` are known; a `template` is
//! not: give the whole file in `write_files`. `enabled: false` leaves all as it is.

mod sources;

use crate::path::AbsolutePath;
use crate::system::File;
use crate::units::{self, UnitName, Verb};
use crate::{Context, Plugin, System, time_sync};
use anyhow::{Context as _, Result, bail};
use cosette_schema::{Findings, Spanned, record};

record! {
    /// Time servers.
    pub(crate) struct Ntp {
        /// Which ones, and who asks them.
        ntp: Spanned<Settings>,
    }
}

record! {
    /// Time servers, and the client that asks them.
    #[derive(Default)]
    struct Settings {
        /// Whether anything is done; true when it is left out.
        enabled: Option<bool>,
        /// The client, or `auto`.
        ntp_client: Option<String>,
        /// Servers by name or address.
        servers: Vec<Spanned<String>>,
        /// Names that stand for several servers.
        pools: Vec<Spanned<String>>,
        /// Servers that also ask this machine.
        peers: Vec<Spanned<String>>,
        /// Networks that may ask this machine.
        allow: Vec<Spanned<String>>,
        /// Where the client differs from what is known of it.
        config: Config,
    }
}

record! {
    /// What is special about the client.
    #[derive(Default)]
    struct Config {
        /// Its file.
        confpath: Option<AbsolutePath>,
        /// Its service.
        service_name: Option<String>,
        /// Not supported.
        template: Option<String>,
        /// Ignored.
        check_exe: Option<String>,
        /// Ignored: nothing is installed.
        packages: Vec<String>,
    }
}

/// A client that is known.
struct Client {
    name: &'static str,
    program: &'static str,
    /// Its file: the first that is there, else the first.
    files: &'static [&'static str],
    /// Its service: the first that is there.
    services: &'static [&'static str],
}

/// The clients in the order in which `auto` looks for them, which is that of cloud-init.
const CLIENTS: [Client; 4] = [
    Client {
        name: "chrony",
        program: "/usr/sbin/chronyd",
        files: &["/etc/chrony/chrony.conf", "/etc/chrony.conf"],
        services: &["chrony.service", "chronyd.service"],
    },
    Client {
        name: "systemd-timesyncd",
        program: "/usr/lib/systemd/systemd-timesyncd",
        files: &[],
        services: &["systemd-timesyncd.service"],
    },
    Client {
        name: "ntpsec",
        program: "/usr/sbin/ntpd",
        files: &["/etc/ntpsec/ntp.conf"],
        services: &["ntpsec.service"],
    },
    Client {
        name: "ntp",
        program: "/usr/sbin/ntpd",
        files: &["/etc/ntp.conf", "/etc/ntpsec/ntp.conf"],
        services: &["ntp.service", "ntpd.service", "ntpsec.service"],
    },
];

impl Client {
    fn is_in(&self, sys: &System) -> Result<bool> {
        Ok(sys.exists(self.program)? && (self.files.is_empty() || first(sys, self.files)?.is_some()))
    }
}

/// The first of some files that is there.
fn first<'f>(sys: &System, files: &[&'f str]) -> Result<Option<&'f str>> {
    for file in files {
        if sys.exists(file)? {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

impl Plugin for Ntp {
    const KEY: &'static str = "ntp";

    fn check(&self, findings: &mut Findings) {
        if self.ntp.config.template.is_some() {
            findings
                .error(self.ntp.span, "a `template` is not supported, and ignored")
                .help("write the file of the client with `write_files`");
        }
    }

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        let Spanned { value: settings, span } = &self.ntp;
        if settings.enabled == Some(false) {
            return Ok(());
        }
        settings.validate()?;
        let client = settings.client(sys)?;
        let changed = if client.files.is_empty() {
            if !settings.peers.is_empty() || !settings.allow.is_empty() {
                cx.warn(*span, "systemd-timesyncd knows neither `peers` nor `allow`: they are ignored");
            }
            let servers = settings.servers.iter().chain(&settings.pools).map(|server| server.as_str());
            let servers = servers.collect::<Vec<_>>().join(" ");
            if !servers.is_empty() {
                time_sync::configure(sys, &[("NTP", &servers)])?;
            }
            false
        } else {
            let path = match &settings.config.confpath {
                Some(path) => path.as_str(),
                None => first(sys, client.files)?.unwrap_or(client.files[0]),
            };
            let before = sys.read(path)?.unwrap_or_default();
            sys.write(File::new(path, sources::with(&before, &settings.sources(), &settings.allowed())))?
        };
        settings.start(cx, *span, sys, client, changed)
    }
}

impl Settings {
    /// What becomes a word of a line can be nothing else.
    fn validate(&self) -> Result<()> {
        for word in [&self.servers, &self.pools, &self.peers, &self.allow].into_iter().flatten() {
            if word.is_empty() || word.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#') {
                bail!("{:?} is neither a name nor an address", word.value);
            }
        }
        Ok(())
    }

    fn sources(&self) -> Vec<String> {
        let lines = [("server", &self.servers), ("pool", &self.pools), ("peer", &self.peers)];
        let line = |keyword: &str, name: &str| match keyword {
            "peer" => format!("peer {name}"),
            keyword => format!("{keyword} {name} iburst"),
        };
        lines
            .into_iter()
            .flat_map(|(keyword, names)| names.iter().map(move |name| line(keyword, name)))
            .collect()
    }

    fn allowed(&self) -> Vec<String> {
        self.allow.iter().map(|network| format!("allow {}", network.value)).collect()
    }

    fn client(&self, sys: &System) -> Result<&'static Client> {
        let wanted = self.ntp_client.as_deref().filter(|name| !name.is_empty() && *name != "auto");
        let Some(name) = wanted else {
            for client in &CLIENTS {
                if client.is_in(sys)? {
                    return Ok(client);
                }
            }
            bail!(
                "the root has none of the time clients chrony, systemd-timesyncd, ntpsec and ntp: install one"
            );
        };
        let Some(client) = CLIENTS.iter().find(|client| client.name == name) else {
            bail!("the time client {name:?} is not supported: use chrony, systemd-timesyncd, ntpsec or ntp");
        };
        if !sys.exists(client.program)? {
            bail!("the root has no {name}, which is to be at {}: install it", client.program);
        }
        Ok(client)
    }

    /// Enables the service of the client, and starts it where systemd runs.
    fn start(
        &self,
        cx: &Context,
        span: cosette_schema::Span,
        sys: &System,
        client: &Client,
        changed: bool,
    ) -> Result<()> {
        let mut service = self.config.service_name.clone();
        for name in client.services {
            if service.is_none() && sys.exists(format!("/usr/lib/systemd/system/{name}"))? {
                service = Some((*name).to_owned());
            }
        }
        // Where there is no systemd, somebody else starts it.
        let Some(service) = service else { return Ok(()) };
        let service = UnitName::complete(&service)?;
        let enabled = units::enable(sys, &service)?;
        for error in enabled.errors {
            cx.attempt::<()>(span, Err(error));
        }
        if units::systemd_is_running(sys)? {
            if enabled.changed {
                units::reload(sys)?;
            }
            let verb = if changed { Verb::Restart } else { Verb::Start };
            units::control_one(sys, verb, service.as_str())
                .context("the time client is configured, but does not run")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Machine;

    const TIMESYNCD: &str = "-- /usr/lib/systemd/systemd-timesyncd 0755\n";

    #[test]
    fn timesyncd_is_told_in_its_own_way() {
        let machine = Machine::new(TIMESYNCD);
        machine.check(
            "#cloud-config\nntp: {servers: [a], pools: [b, c]}",
            "-- /etc/systemd/timesyncd.conf.d/10-yip.conf\n[Time]\nNTP=a b c\n",
        );
        let outcome = machine.apply("#cloud-config\nntp: {servers: [a], peers: [b], allow: [10.0.0.0/8]}");
        assert!(outcome.messages().contains("systemd-timesyncd knows neither"), "{}", outcome.messages());
    }

    #[test]
    fn the_service_is_started_again_only_if_its_file_changed() {
        let machine = Machine::new(
            "-- /usr/sbin/ntpd 0755\n-- /etc/ntp.conf\nserver old\n-- /run/systemd/system/\n\
             -- /usr/lib/systemd/system/ntpd.service\n[Service]\n",
        );
        let systemd = machine.boot(&[]);
        let text = "#cloud-config\nntp: {ntp_client: ntp, servers: [a], peers: [b], allow: [10.0.0.0/8]}";
        machine.check(text, "-- /etc/ntp.conf\nserver a iburst\npeer b\nallow 10.0.0.0/8\n");
        assert_eq!(systemd.take_requests(), ["RestartUnit ntpd.service", "StartUnit ntpd.service"]);
    }

    #[test]
    fn a_client_that_is_missing_is_an_error_with_a_remedy() {
        let messages = |tree: &str, text: &str| {
            Machine::new(tree).apply(&format!("#cloud-config\nntp: {text}")).messages()
        };
        assert!(messages("", "{}").contains("the root has none of the time clients"));
        assert!(
            messages(TIMESYNCD, "{ntp_client: chrony}")
                .contains("has no chrony, which is to be at /usr/sbin/chronyd")
        );
        assert!(
            messages(TIMESYNCD, "{ntp_client: openntpd}")
                .contains("\"openntpd\" is not supported: use chrony")
        );
        assert!(messages("", "{enabled: false}").is_empty());
        assert!(messages(TIMESYNCD, "{config: {template: x}}").contains("a `template` is not supported"));
    }

    #[test]
    fn a_name_cannot_add_lines() {
        for text in ["servers: [\"a\\nallow all\"]", "pools: ['a b']", "allow: ['']", "peers: ['#']"] {
            let machine = Machine::new("-- /usr/sbin/chronyd 0755\n-- /etc/chrony.conf\npool x\n");
            let outcome = machine.apply(&format!("#cloud-config\nntp: {{{text}}}"));
            assert_eq!(outcome.findings.len(), 1, "{}", outcome.messages());
            machine.assert_tree("");
        }
    }

    #[test]
    fn another_file_and_service_can_be_named() {
        let machine = Machine::new("-- /usr/sbin/chronyd 0755\n-- /etc/chrony.conf\npool x\n");
        machine.check(
            "#cloud-config\nntp: {ntp_client: chrony, servers: [a], config: {confpath: /etc/time.conf}}",
            "-- /etc/time.conf\nserver a iburst\n",
        );
    }
}
