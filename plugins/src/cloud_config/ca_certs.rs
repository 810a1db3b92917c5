//! Adds certificates of authorities that the system shall trust.
//!
//! ```yaml
//! #cloud-config
//! ca_certs:
//!   remove_defaults: true
//!   trusted:
//!   - |
//!     -----BEGIN CERTIFICATE-----
//!     MIIBszCCARygAwIBAgIB
//!     -----END CERTIFICATE-----
//! ```
//!
//! ```text before
//! -- /etc/ca-certificates.conf
//! # all of them
//! mozilla/ACCVRAIZ1.crt
//! -- /usr/local/share/ca-certificates/cloud-init-ca-cert-1.crt
//! old
//! -- /usr/local/share/ca-certificates/cloud-init-ca-cert-2.crt
//! old
//! ```
//!
//! ```text after
//! -- /etc/ca-certificates.conf
//! # all of them
//! !mozilla/ACCVRAIZ1.crt
//! -- /usr/local/share/ca-certificates/cloud-init-ca-cert-1.crt
//! -----BEGIN CERTIFICATE-----
//! MIIBszCCARygAwIBAgIB
//! -----END CERTIFICATE-----
//! -- /usr/local/share/ca-certificates/cloud-init-ca-cert-2.crt removed
//! ```
//!
//! ```text commands
//! update-ca-certificates
//! ```
//!
//! Each certificate becomes a file of its own, where the distribution has such anchors, and those of an earlier
//! document go; then the program of the distribution gathers what is trusted. `remove_defaults` works where there is
//! an `/etc/ca-certificates.conf`.

use crate::program::{remedy, run};
use crate::system::{File, Kind};
use crate::{Context, Plugin, System};
use anyhow::{Result, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Shape, Spanned, record};

/// Where distributions keep what an administrator trusts, by a directory that tells them apart, and the program that
/// gathers it.
const ANCHORS: [(&str, &str, &str); 3] = [
    ("/etc/pki/ca-trust/source", "/etc/pki/ca-trust/source/anchors", "update-ca-trust"),
    ("/etc/pki/trust", "/etc/pki/trust/anchors", "update-ca-certificates"),
    ("/etc/ca-certificates/trust-source", "/etc/ca-certificates/trust-source/anchors", "update-ca-trust"),
];

/// The same of Debian, Alpine and their children.
const DEFAULT: (&str, &str) = ("/usr/local/share/ca-certificates", "update-ca-certificates");

/// The list of what Debian and Alpine trust by themselves; a `!` takes a line out.
const DEFAULTS: &str = "/etc/ca-certificates.conf";

/// How the files are named, which is as cloud-init names them.
const PREFIX: &str = "cloud-init-ca-cert-";

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

record! {
    /// What the system trusts.
    pub(crate) struct CaCerts {
        /// Certificates, and what becomes of the others.
        ca_certs: Spanned<Settings> as "ca_certs" | "ca-certs" = required,
    }
}

record! {
    /// Certificates of authorities.
    struct Settings {
        /// Whether those that the distribution trusts are trusted no longer.
        remove_defaults: bool as "remove_defaults" | "remove-defaults",
        /// Certificates in PEM.
        trusted: Vec<Option<Certificates>>,
    }
}

/// The certificates in one text, each in the form in which it is written.
struct Certificates(Vec<String>);

impl Decode for Certificates {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        match certificates(&String::decode(node, findings)?) {
            Ok(certificates) => Some(Self(certificates)),
            // What it is instead may be a key.
            Err(reason) => {
                findings
                    .error(node.span, format!("this is no certificate in PEM: {reason}"))
                    .help(format!("a certificate begins with `{BEGIN}`, in a block behind `- |`"));
                None
            }
        }
    }

    fn shape() -> Shape {
        Shape::text("PEM certificate")
    }
}

/// The certificates in a text. What stands between them is left out, as by other programs.
fn certificates(text: &str) -> Result<Vec<String>, &'static str> {
    if text.contains("PRIVATE KEY-----") {
        return Err("there is a private key in it, which is nobody's to have");
    }
    let mut found = Vec::new();
    for part in text.split(BEGIN).skip(1) {
        let Some((body, _)) = part.split_once(END) else { return Err("its end is missing") };
        let lines: Vec<&str> = body.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        match BASE64_STANDARD.decode(lines.concat()) {
            // A sequence, of which the length takes more than one byte.
            Ok(der) if der.starts_with(&[0x30]) && der.get(1).is_some_and(|length| length & 0x80 != 0) => {}
            Ok(_) => return Err("it holds something else"),
            Err(_) => return Err("it is not written in base64"),
        }
        found.push(format!("{BEGIN}\n{}\n{END}\n", lines.join("\n")));
    }
    if found.is_empty() { Err("it has no beginning") } else { Ok(found) }
}

impl Plugin for CaCerts {
    const KEY: &'static str = "ca_certs";

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        let Spanned { value: settings, span } = &self.ca_certs;
        let certificates: Vec<&String> = settings.trusted.iter().flatten().flat_map(|text| &text.0).collect();
        let (directory, program) = anchors(sys)?;
        if settings.remove_defaults {
            cx.attempt(*span, distrust(sys));
        }
        for (index, certificate) in certificates.iter().enumerate() {
            let path = format!("{directory}/{PREFIX}{}.crt", index + 1);
            cx.attempt(*span, sys.write(File::new(path, certificate.as_bytes()).mode(0o644)));
        }
        for name in sys.read_dir(directory)?.unwrap_or_default() {
            let name = name.to_string_lossy();
            let number = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(".crt"));
            if number
                .is_some_and(|number| number.parse().is_ok_and(|number: usize| number > certificates.len()))
            {
                cx.attempt(*span, sys.remove(format!("{directory}/{name}")));
            }
        }
        remedy(run(sys, &[program]), "what is trusted cannot be gathered: install ca-certificates")?;
        Ok(())
    }
}

fn anchors(sys: &System) -> Result<(&'static str, &'static str)> {
    for (sign, directory, program) in ANCHORS {
        if sys.metadata(sign)?.is_some_and(|found| found.kind == Kind::Directory) {
            return Ok((directory, program));
        }
    }
    Ok(DEFAULT)
}

/// Takes out what the distribution trusts by itself.
fn distrust(sys: &System) -> Result<()> {
    let Some(list) = sys.read(DEFAULTS)? else {
        bail!("there is no {DEFAULTS} from which the defaults could be taken out");
    };
    let line = |line: &[u8]| -> Vec<u8> {
        let trusted = !line.trim_ascii().is_empty() && !line.starts_with(b"#") && !line.starts_with(b"!");
        [if trusted { &b"!"[..] } else { b"" }, line].concat()
    };
    let content: Vec<u8> = list.split_inclusive(|byte| *byte == b'\n').flat_map(line).collect();
    sys.write(File::new(DEFAULTS, content)).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::certificates;
    use crate::testing::Machine;

    const PEM: &str = "-----BEGIN CERTIFICATE-----\nMIIBszCCARygAwIBAgIB\n-----END CERTIFICATE-----\n";

    fn config(text: &str) -> String {
        format!("#cloud-config\nca_certs: {{trusted: [{text:?}]}}")
    }

    #[test]
    fn each_distribution_gets_them_where_it_looks() {
        let default = ("", super::DEFAULT.0, super::DEFAULT.1);
        for (sign, directory, program) in super::ANCHORS.into_iter().chain([default]) {
            let machine = Machine::new(&format!("-- {sign}/x\n"));
            let outcome =
                machine.check(&config(PEM), &format!("-- {directory}/cloud-init-ca-cert-1.crt\n{PEM}"));
            assert_eq!(outcome.commands, [program]);
        }
    }

    #[test]
    fn a_chain_becomes_several_files_and_what_is_between_is_left_out() {
        let chain =
            certificates(&format!("subject=a\n{PEM}\nissuer=b\r\n{}", PEM.replace('\n', "\r\n"))).unwrap();
        assert_eq!(chain, [PEM, PEM]);
    }

    #[test]
    fn what_is_no_certificate_is_refused_without_being_repeated() {
        let key = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n";
        let garbage = PEM.replace("MIIB", "!!!!");
        let other = PEM.replace("MIIBszCCARygAwIBAgIB", "c2VjcmV0");
        for text in [key, "garbage", &garbage, &other, &PEM[..40], &format!("{PEM}{key}")] {
            let machine = Machine::new("");
            let outcome = machine.apply(&config(text));
            assert_eq!(outcome.findings.len(), 1, "{}", outcome.messages());
            assert!(outcome.messages().contains("this is no certificate in PEM"));
            assert!(!outcome.messages().contains("c2Vj"));
            machine.assert_tree("");
        }
    }

    #[test]
    fn without_a_list_of_defaults_the_others_are_still_trusted() {
        let machine = Machine::new("");
        let outcome =
            machine.apply(&format!("#cloud-config\nca-certs: {{remove-defaults: true, trusted: [{PEM:?}]}}"));
        assert_eq!(outcome.findings.len(), 1, "{}", outcome.messages());
        machine.assert_tree(&format!("-- /usr/local/share/ca-certificates/cloud-init-ca-cert-1.crt\n{PEM}"));
    }

    #[test]
    fn a_program_that_fails_is_an_error_with_its_last_words() {
        let machine = Machine::new("");
        machine.host.answer("update-ca", 1, "one\nread-only file system\n");
        assert!(machine.apply(&config(PEM)).messages().contains(
            "`update-ca-certificates` ended with status 1; the end of its output:\none\nread-only file system"
        ));
    }
}
