//! Tells an address that the machine is there, and who it is.
//!
//! ```yaml
//! #cloud-config
//! phone_home:
//!   url: http://registry.example.org/$INSTANCE_ID/
//!   post: [hostname, instance_id, pub_key_ed25519]
//!   tries: 5
//! ```
//!
//! It gets a form by `POST`, with `pub_key_rsa`, `pub_key_ecdsa`, `pub_key_ed25519`, `instance_id`, `hostname` and `fqdn`, or those of
//! them that `post` lists (`all` without it); what the machine does not have is `N/A`. `$INSTANCE_ID` in the address is the
//! id that metadata gave the machine, else one that stands for it here only. It is asked `tries` times at most
//! (10), while it cannot be reached or is in trouble, and again at the next boot if that was in vain.

use super::once::instance_id;
use crate::system::http::{Method, Request};
use crate::{Context, Plugin, System};
use anyhow::Result;
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Shape, Spanned, record};

/// What is told, in the order in which it is told.
const FIELDS: [&str; 6] =
    ["pub_key_rsa", "pub_key_ecdsa", "pub_key_ed25519", "instance_id", "hostname", "fqdn"];

/// What cloud-init tells, and no machine has any more.
const GONE: &str = "pub_key_dsa";

/// What stands for something that is not there.
const MISSING: &str = "N/A";

record! {
    /// Whom the machine tells that it is there.
    pub(crate) struct PhoneHome {
        /// Whom, and what.
        phone_home: Spanned<Call> = required,
    }
}

record! {
    /// A call.
    struct Call {
        /// The address.
        url: String = required,
        /// What is told: `all`, or a list.
        post: Told,
        /// How often it is tried; 10 times when it is left out.
        tries: Option<u32>,
    }
}

/// The fields of the form.
struct Told(Vec<&'static str>);

impl Default for Told {
    fn default() -> Self {
        Self(FIELDS.to_vec())
    }
}

impl Decode for Told {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        if node.text() == Some("all") {
            return Some(Self::default());
        }
        let names = Vec::<Spanned<String>>::decode(node, findings)?;
        let mut told = Vec::new();
        for name in names {
            match FIELDS.into_iter().chain([GONE]).find(|field| *field == name.value) {
                Some(field) => told.push(field),
                None => {
                    findings
                        .error(name.span, "this is nothing that can be told")
                        .help(format!("`post` is `all`, or a list of {}", FIELDS.join(", ")));
                }
            }
        }
        Some(Self(told))
    }

    fn shape() -> Shape {
        Shape::Choice(&["all"]).or(Shape::Choice(&FIELDS).list())
    }
}

impl Plugin for PhoneHome {
    const KEY: &'static str = "phone_home";

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        if !sys.host().lives_in(sys.root()) {
            return Ok(());
        }
        let Call { url, post, tries } = &self.phone_home.value;
        let id = instance_id(sys).or_else(|| cx.facts().protected_id()).unwrap_or_else(|| MISSING.to_owned());
        let url = url.replace("${INSTANCE_ID}", &encoded(&id)).replace("$INSTANCE_ID", &encoded(&id));
        let mut form = Vec::new();
        for name in &post.0 {
            let value = match *name {
                "instance_id" => id.clone(),
                "hostname" => sys.hostname()?.split('.').next().unwrap_or_default().to_owned(),
                "fqdn" => sys.hostname()?,
                key => public_key(sys, key.trim_start_matches("pub_key_"))?,
            };
            form.push(format!("{name}={}", encoded(&value)));
        }
        let request = Request::new(Method::Post, url, form.join("&"))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .tries(tries.unwrap_or(10).max(1));
        sys.fetch(&request)?;
        Ok(())
    }
}

/// The public key of a kind by which the machine proves who it is.
fn public_key(sys: &System, kind: &str) -> Result<String> {
    let content = sys.read(format!("/etc/ssh/ssh_host_{kind}_key.pub"))?;
    Ok(content.map_or(MISSING.to_owned(), |key| String::from_utf8_lossy(&key).trim().to_owned()))
}

/// A text as it stands in a form or an address.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use crate::testing::{Answer, Machine, Server};

    fn machine() -> Machine {
        let machine = Machine::new(
            "-- /run/config/instance_id\ni-1/2\n-- /etc/ssh/ssh_host_ed25519_key.pub\nssh-ed25519 AAAA+b= root@x\n\
             -- /etc/ssh/ssh_host_ed25519_key 0600\nsecret\n",
        );
        machine.host.live_here();
        machine
    }

    #[test]
    fn a_form_is_posted() {
        let server = Server::new(|_| Answer::ok("thanks"));
        let machine = machine();
        let outcome = machine
            .check(&format!("#cloud-config\nphone_home: {{url: {}}}", server.url("/$INSTANCE_ID/")), "");
        assert_eq!(outcome.effects[0].target, server.url("/i-1%2F2/"));
        let request = server.take_requests().remove(0);
        assert_eq!((&*request.method, &*request.path), ("POST", "/i-1%2F2/"));
        assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
        assert_eq!(
            String::from_utf8(request.body).unwrap(),
            "pub_key_rsa=N%2FA&pub_key_ecdsa=N%2FA&pub_key_ed25519=ssh-ed25519%20AAAA%2Bb%3D%20root%40x&\
             instance_id=i-1%2F2&hostname=machine&fqdn=machine"
        );
    }

    #[test]
    fn only_what_is_listed_is_told_and_what_cannot_be_told_is_named() {
        let server = Server::new(|_| Answer::ok(""));
        let url = server.url("/");
        let outcome = machine().apply(&format!(
            "#cloud-config\nphone_home: {{url: \"{url}\", post: [hostname, shadow, pub_key_dsa]}}"
        ));
        assert!(outcome.messages().contains("this is nothing that can be told"), "{}", outcome.messages());
        assert_eq!(server.take_requests()[0].body, b"hostname=machine&pub_key_dsa=N%2FA");
    }

    #[test]
    fn a_server_in_trouble_is_asked_so_often_and_its_address_keeps_its_secrets() {
        let server = Server::new(|_| Answer::status(503));
        let machine = machine();
        let url = server.url("/?token=hunter2");
        let outcome = machine.apply(&format!("#cloud-config\nphone_home: {{url: \"{url}\", tries: 2}}"));
        assert_eq!((outcome.findings.len(), server.take_requests().len()), (1, 2), "{}", outcome.messages());
        assert!(!outcome.messages().contains("hunter2"));
    }

    #[test]
    fn a_plan_and_a_tree_that_is_no_machine_tell_nobody() {
        let server = Server::new(|_| Answer::ok(""));
        let text = format!("#cloud-config\nphone_home: {{url: {}}}", server.url("/"));
        machine().plan(&text);
        Machine::new("").check(&text, "");
        assert!(server.take_requests().is_empty());
    }
}
