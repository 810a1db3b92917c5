//! Writes files, before users are made.
//!
//! ```yaml
//! #cloud-config
//! write_files:
//! - path: /etc/app/app.conf
//!   content: |
//!     mode = fast
//!   owner: root:app
//!   permissions: '0640'
//! - path: /usr/local/bin/app
//!   permissions: 0755
//!   encoding: gz+b64
//!   content: H4sIAAAAAAACA1NW1E/KzNMvzuBKTc7IVzDmAgBX3gE7EQAAAA==
//! - path: /etc/hosts
//!   append: true
//!   content: |
//!     10.0.0.1 registry
//! ```
//!
//! ```text before
//! -- /etc/passwd
//! root:x:0:0:root:/root:/bin/sh
//! -- /etc/group
//! app:x:400:
//! -- /etc/hosts 0600
//! 127.0.0.1 localhost
//! -- /usr/local/bin/
//! ```
//!
//! ```text after
//! -- /etc/app/ 0755 0:400
//! -- /etc/app/app.conf 0640 0:400
//! mode = fast
//! -- /usr/local/bin/app 0755
//! #!/bin/sh
//! echo 3
//! -- /etc/hosts 0644
//! 127.0.0.1 localhost
//! 10.0.0.1 registry
//! ```
//!
//! Without `permissions` and `owner` a file gets mode 0644 and belongs to root, also one that exists. A file with
//! `defer: true` is written in `network.after` instead, where its owner may be a user who is only made by now.
//! Missing directories are made with mode 0755 and belong to the owner of the file. Content is never a template
//! here: use `files` in a step of `stages:` for that.
//!
//! Differences from cloud-init: an unknown encoding or mode is an error, where cloud-init writes the text as it is
//! or takes 0644; lines that `append` adds are not added to a file that has them already; an owner without a group
//! brings the primary group of the user.

use crate::accounts::owner;
use crate::keys::files::append::appended;
use crate::keys::files::encoding::Encoding;
use crate::path::AbsolutePath;
use crate::system::http::Request;
use crate::system::{File, Owner};
use crate::{Context, Plugin, System};
use anyhow::{Result, anyhow};
use cosette_schema::cloud_config::is_deferred;
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Named, Permissions, Shape, Span, Spanned, Text, record};
use std::borrow::Cow;

/// The largest content that is fetched.
const LARGEST: u64 = 64 << 20;

record! {
    /// Files that are written early.
    pub(crate) struct WriteFiles {
        /// The files.
        write_files: Files<false>,
    }
}

/// The files that are deferred, or those that are not.
#[derive(Default)]
pub(super) struct Files<const DEFERRED: bool>(Vec<Entry>);

/// One file, its content decoded.
struct Entry {
    keys: Keys,
    /// What the content stands for, where it is encoded.
    decoded: Option<Vec<u8>>,
}

record! {
    /// One file.
    struct Keys {
        /// Where it goes.
        path: AbsolutePath = required,
        /// What is in it.
        content: Text,
        /// How the content is written here: as it is, or as base64 or gzip or both.
        encoding: Spanned<Encoding>,
        /// Its mode; 0644 when it is left out.
        permissions: Option<Permissions>,
        /// `user` or `user:group`; root when it is left out.
        owner: String,
        /// Whether the content is added to what is in the file.
        append: bool,
        /// Whether it is written only when everything else is there.
        defer: bool,
        /// Where the content is fetched from; `content` stands in where that fails.
        source: Option<Source>,
    }
}

record! {
    /// Where content is fetched from.
    struct Source {
        /// The address: `https://...`.
        uri: Spanned<String> = required,
        /// Headers of the request.
        headers: Named<String>,
    }
}

impl<const DEFERRED: bool> Decode for Files<DEFERRED> {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        // The others are read, and what is wrong with them is reported, where they are written.
        let theirs = |node: &&Node| is_deferred(node) == DEFERRED;
        if !matches!(node.value, cosette_schema::yaml::Value::List(_)) {
            return Vec::decode(node, findings).map(Self);
        }
        let items = node.items().iter().filter(theirs);
        Some(Self(items.filter_map(|item| Entry::decode(item, findings)).collect()))
    }

    fn shape() -> Shape {
        Vec::<Entry>::shape()
    }
}

impl Decode for Entry {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let keys = Keys::decode(node, findings)?;
        let path = keys.path.as_str();
        if path.ends_with('/') {
            findings
                .error(keys.path.span(), format!("{path:?} is the path of a directory"))
                .help("take the `/` from its end");
            return None;
        }
        match keys.encoding.decode(keys.content.as_str()) {
            Ok(decoded) => Some(Self { keys, decoded }),
            Err(error) => {
                let message = format!("the content of {path} cannot be decoded: {error:#}");
                findings.error(keys.encoding.span, message);
                None
            }
        }
    }

    fn shape() -> Shape {
        Keys::shape()
    }
}

impl<const DEFERRED: bool> Files<DEFERRED> {
    /// See [`Plugin::replaces`].
    pub(super) fn replaces(&self) -> Vec<(&str, Span)> {
        let whole = self.0.iter().filter(|entry| !entry.keys.append);
        whole.map(|Entry { keys, .. }| (keys.path.as_str(), keys.path.span())).collect()
    }

    /// Looks for what yip would have rendered.
    pub(super) fn check(&self, findings: &mut Findings) {
        for Entry { keys, .. } in &self.0 {
            if keys.content.as_str().contains("{{ .Values.") {
                findings
                    .warn(
                        keys.path.span(),
                        format!("the content of {} is not a template here", keys.path.as_str()),
                    )
                    .help("`files` in a step below `stages:` renders templates");
            }
        }
    }

    /// Writes all of them, each for itself.
    pub(super) fn write(&self, cx: &Context, sys: &System) {
        for entry in &self.0 {
            cx.attempt(entry.keys.path.span(), entry.write(cx, sys));
        }
    }
}

impl Entry {
    fn write(&self, cx: &Context, sys: &System) -> Result<bool> {
        let keys = &self.keys;
        let owner = match keys.owner.trim() {
            "" => Owner { uid: 0, gid: 0 },
            owner => owner::resolve(sys, owner).map_err(|error| match keys.defer {
                true => error,
                false => anyhow!("{error:#}; with `defer: true` the file is written once users are made"),
            })?,
        };
        let Some(mut content) = self.content(cx, sys)? else { return Ok(false) };
        if keys.append {
            let existing = sys.read_to_write(&keys.path)?.map(|(_, existing)| existing).unwrap_or_default();
            content = Cow::Owned(appended(existing, &content));
        }
        let mode = keys.permissions.map_or(0o644, |Permissions(mode)| mode);
        if let Some(directory) = keys.path.as_ref().parent()
            && !sys.exists(directory)?
        {
            sys.create_dir(directory, None, Some(owner))?;
        }
        sys.write(File::new(keys.path.as_str(), content.into_owned()).mode(mode).owner(owner))
    }

    /// The content that was fetched, or that stands in the document. Nothing where a plan would have to fetch it.
    fn content(&self, cx: &Context, sys: &System) -> Result<Option<Cow<'_, [u8]>>> {
        let keys = &self.keys;
        let written = self.decoded.as_deref().unwrap_or(keys.content.as_str().as_bytes());
        let Some(source) = &keys.source else { return Ok(Some(Cow::Borrowed(written))) };
        let mut request = Request::get(source.uri.trim()).largest(LARGEST);
        for (name, value) in &source.headers.0 {
            request = request.header(&name.value, value);
        }
        match sys.fetch_body(&request) {
            Ok(Some(body)) => Ok(Some(Cow::Owned(body))),
            Ok(None) => {
                let message =
                    format!("the content of {} is fetched when the step really runs", keys.path.as_str());
                cx.leave_to_a_run(source.uri.span, message);
                Ok(None)
            }
            Err(error) if written.is_empty() => Err(error),
            Err(error) => {
                let message = format!("{} gets the content of the document: {error:#}", keys.path.as_str());
                cx.warn(source.uri.span, message);
                Ok(Some(Cow::Borrowed(written)))
            }
        }
    }
}

impl Plugin for WriteFiles {
    const KEY: &'static str = "write_files";

    fn check(&self, findings: &mut Findings) {
        self.write_files.check(findings);
    }

    fn replaces(&self) -> Vec<(&str, Span)> {
        self.write_files.replaces()
    }

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        self.write_files.write(cx, sys);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Machine;

    const ROOT: &str =
        "-- /etc/passwd\nroot:x:0:0::/root:/bin/sh\nbin:x:1:1::/:/bin/false\n-- /etc/group\nbin:x:1:\n";

    #[test]
    fn modes_and_owners_of_files_that_exist_are_those_of_the_document_or_its_defaults() {
        let machine = Machine::new(&format!("{ROOT}-- /a 0600 5:5\nold\n-- /b 0600 5:5\nb\n"));
        machine.check(
            "#cloud-config\nwrite_files:\n- {path: /a, content: new, encoding: text/plain}\n\
             - {path: /b, content: b, owner: bin, permissions: '04755'}\n- path: /c\n",
            "-- /a no-newline\nnew\n-- /b 4755 1:1 no-newline\nb\n-- /c\n",
        );
    }

    #[test]
    fn one_that_cannot_be_written_or_read_stops_no_other() {
        let machine = Machine::new(&format!("{ROOT}-- /etc/keep\nkeep\n-- /dir/\n"));
        let outcome = machine.apply(
            "#cloud-config\nwrite_files:\n- {path: /etc/keep, content: '!CANARY', encoding: b64}\n- {content: CANARY}\n\
             - {path: /x, owner: ghost, content: CANARY}\n- {path: /dir, content: CANARY}\n- {path: /y, permissions: rw}\n\
             - {path: /ok, contents: CANARY, content: ok}\n- {path: /template, content: '{{ .Values.os.name }}'}\n",
        );
        let messages = outcome.messages();
        for part in [
            "3:51: the content of /etc/keep cannot be decoded: its character 1 is none of base64",
            "4:3: missing key `path`",
            "5:10: no user \"ghost\" in /etc/passwd; with `defer: true` the file is written once users are made",
            "6:10: cannot write /dir",
            "`rw` is not a file mode",
            "8:15: unknown key `contents`; did you mean `content`?",
            "the content of /template is not a template here",
        ] {
            assert!(messages.contains(part), "{part}\n{messages}");
        }
        assert!(!messages.contains("CANARY"), "{messages}");
        machine.assert_tree("-- /ok no-newline\nok\n-- /template no-newline\n{{ .Values.os.name }}\n");
    }

    #[test]
    fn what_is_no_list_of_files_is_an_error() {
        let machine = Machine::new("");
        assert!(
            machine.apply("#cloud-config\nwrite_files: {path: /a}").messages().contains("expected a list")
        );
        assert!(machine.apply("#cloud-config\nwrite_files: [/a]").messages().contains("expected a map"));
        machine.check("#cloud-config\nwrite_files:\n", "");
        machine.check("#cloud-config\nwrite_files: []\n", "");
    }

    #[test]
    fn links_of_users_are_not_followed() {
        let machine = Machine::new(&format!("{ROOT}-- /home/bin/ 0755 1:1\n-- /etc/secret 0600\nsecret\n"));
        std::os::unix::fs::symlink("/etc/secret", machine.root().join("home/bin/f")).unwrap();
        let text = "#cloud-config\nwrite_files: [{path: /home/bin/f, content: x, append: true, defer: true}]";
        assert!(machine.apply(text).messages().starts_with("Error"));
        machine.assert_tree("-- /home/bin/f -> /etc/secret\n");
    }
}
