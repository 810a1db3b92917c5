//! Writes files.
//!
//! ```yaml
//! files:
//! - path: /etc/issue
//!   content: |
//!     Welcome
//! - path: /usr/local/bin/app
//!   permissions: 04755
//!   owner_string: root:app
//!   encoding: gz+b64
//!   content: |
//!     H4sIAAAAAAACA1NW1E/KzNMvzuBKTc7IVzDmAgBX3gE7EQAAAA==
//! - path: /etc/hosts
//!   append: true
//!   content: |
//!     10.0.0.1 registry
//! ```
//!
//! ```text before
//! -- /etc/hosts 0600
//! 127.0.0.1 localhost
//! -- /etc/passwd
//! root:x:0:0:root:/root:/bin/sh
//! -- /etc/group
//! app:x:400:
//! -- /usr/local/bin/
//! ```
//!
//! ```text after
//! -- /etc/issue 0644
//! Welcome
//! -- /usr/local/bin/app 4755 0:400
//! #!/bin/sh
//! echo 3
//! -- /etc/hosts 0600
//! 127.0.0.1 localhost
//! 10.0.0.1 registry
//! ```
//!
//! Everything that can go wrong without the machine, decoding first of all, goes wrong before anything is
//! touched; and each file fails for itself.
//!
//! The text is a template after decoding, as in yip, unless `template: false`; content that is not UTF-8 never
//! is. A template that cannot be rendered is kept as it is, with a warning.
//!
//! `append: true` adds the content to the end of the file, on a new line, unless its lines stand in the file
//! already, one after the other. A template that changes from boot to boot is therefore added at each boot.
//!
//! Differences from yip: without `permissions` a new file gets 0644 and an existing one keeps its mode (yip
//! sets mode 0000), and likewise for the owner; set-user-id, set-group-id and sticky bits are honoured; names
//! of owners are those of the root; an unknown encoding is an error. `append` and `template` are additions.

pub(crate) mod append;
pub(crate) mod encoding;

use crate::accounts::owner::{self, Number};
use crate::path::AbsolutePath;
use crate::system::File;
use crate::{Context, Plugin, System, template};
use anyhow::Result;
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Permissions, Shape, Span, Spanned, Text, record};
use encoding::Encoding;
use std::borrow::Cow;

/// Files, written in the order in which they stand.
pub(crate) struct Files(Vec<Entry>);

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
        /// Its mode.
        permissions: Option<Permissions>,
        /// The number of the user that owns it.
        owner: Option<Number>,
        /// The number of its group.
        group: Option<Number>,
        /// `user` or `user:group`, names of the root; wins over `owner` and `group`.
        owner_string: Option<String> as "owner_string" | "ownerstring",
        /// Whether the content is a template; true when it is left out.
        template: Option<bool>,
        /// Whether the content is added to what is in the file.
        append: bool,
    }
}

impl Decode for Files {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        Decode::decode(node, findings).map(Self)
    }

    fn shape() -> Shape {
        Vec::<Entry>::shape()
    }
}

impl Decode for Entry {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let keys = Keys::decode(node, findings)?;
        if keys.path.as_str().ends_with('/') {
            findings
                .error(keys.path.span(), format!("{:?} is the path of a directory", keys.path.as_str()))
                .help("take the `/` from its end, or use `directories`");
            return None;
        }
        match keys.encoding.decode(keys.content.as_str()) {
            Ok(decoded) => Some(Self { keys, decoded }),
            Err(error) => {
                // Not the place of the content, which few may be allowed to read.
                findings.error(
                    keys.encoding.span,
                    format!("the content of {} cannot be decoded: {error:#}", keys.path.as_str()),
                );
                None
            }
        }
    }

    fn shape() -> Shape {
        Keys::shape()
    }
}

impl Plugin for Files {
    const KEY: &'static str = "files";

    fn replaces(&self) -> Vec<(&str, Span)> {
        let whole = self.0.iter().filter(|entry| !entry.keys.append);
        whole.map(|Entry { keys, .. }| (keys.path.as_str(), keys.path.span())).collect()
    }

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        for entry in &self.0 {
            cx.attempt(entry.keys.path.span(), entry.write(cx, sys));
        }
        Ok(())
    }
}

impl Entry {
    fn write(&self, cx: &Context, sys: &System) -> Result<bool> {
        let keys = &self.keys;
        let owner = owner::requested(sys, keys.owner, keys.group, keys.owner_string.as_deref())?;
        let mut content = self.content(cx, sys)?;
        if keys.append {
            let existing = sys.read_to_write(&keys.path)?.map(|(_, existing)| existing).unwrap_or_default();
            content = Cow::Owned(append::appended(existing, &content));
        }
        let mut file = File::new(keys.path.as_str(), content.into_owned()).default_mode(0o644);
        if let Some(Permissions(mode)) = keys.permissions {
            file = file.mode(mode);
        }
        if let Some(owner) = owner {
            file = file.owner(owner);
        }
        sys.write(file)
    }

    /// The content, decoded and rendered.
    fn content(&self, cx: &Context, sys: &System) -> Result<Cow<'_, [u8]>> {
        let bytes = self.decoded.as_deref().unwrap_or(self.keys.content.as_str().as_bytes());
        let (true, Ok(text)) = (self.keys.template.unwrap_or(true), str::from_utf8(bytes)) else {
            return Ok(Cow::Borrowed(bytes));
        };
        Ok(match template::render(text, cx.facts()) {
            Ok(Cow::Borrowed(text)) => Cow::Borrowed(text.as_bytes()),
            Ok(Cow::Owned(text)) => Cow::Owned(text.into_bytes()),
            Err(error) => {
                let (line, column, path) = (error.line, error.column, self.keys.path.as_str());
                // A message, or the line of the source next to it, may quote what few may read.
                if !self.is_public(sys)? {
                    let message = format!(
                        "the template of {path} is kept as it is: line {line}, column {column} of its content"
                    );
                    cx.warn(self.keys.path.span(), message);
                } else if self.decoded.is_some() {
                    let message = format!(
                        "the template of {path} is kept as it is: line {line}, column {column} of its decoded content: {}",
                        error.message
                    );
                    cx.warn(self.keys.content.span(), message);
                } else {
                    let message = format!("the template of {path} is kept as it is: {}", error.message);
                    cx.warn(self.keys.content.locate(line, column), message);
                }
                Cow::Borrowed(bytes)
            }
        })
    }

    /// Whether everybody may read the file that comes of it.
    fn is_public(&self, sys: &System) -> Result<bool> {
        let mode = match self.keys.permissions {
            Some(Permissions(mode)) => mode,
            None => sys.metadata(&self.keys.path)?.map_or(0o644, |found| found.mode),
        };
        Ok(mode & 0o004 != 0)
    }
}

#[cfg(test)]
mod tests {
    use crate::effect::Diff;
    use crate::system::Mode;
    use crate::testing::{Machine, Tree};

    #[test]
    fn a_new_file_without_permissions_gets_0644_and_its_directories_0755() {
        let machine = Machine::new("");
        machine.check("files: [{path: /a/b/c, content: x}]", "-- /a/b/c no-newline\nx\n");
    }

    #[test]
    fn an_existing_file_keeps_mode_and_owner_unless_they_are_given() {
        let tree = "-- /a 0600 5:6\nold\n";
        let step = |keys: &str| format!("files: [{{path: /a, content: \"new\\n\"{keys}}}]");
        Machine::new(tree).check(&step(""), "-- /a 0600 5:6\nnew\n");
        Machine::new(tree).check(&step(", permissions: 04711"), "-- /a 4711 5:6\nnew\n");
        Machine::new(tree).check(&step(", owner: 1"), "-- /a 0600 1:0\nnew\n");
    }

    #[test]
    fn a_file_that_cannot_be_written_does_not_stop_the_others() {
        let machine = Machine::new("-- /dir/inside\nkeep me\n-- /file\nkeep me too\n");
        let outcome = machine.apply(
            "files:\n- {path: /one, content: 1}\n- {path: /dir, content: 2}\n- {path: /file/sub, content: 3}\n- {path: /four, content: 4}\n",
        );
        assert_eq!(outcome.findings.len(), 2, "{}", outcome.messages());
        assert!(outcome.messages().contains("test.yaml:3:10"), "{}", outcome.messages());
        assert!(outcome.messages().contains("test.yaml:4:10"), "{}", outcome.messages());
        machine.assert_tree("-- /one no-newline\n1\n-- /four no-newline\n4\n");
    }

    #[test]
    fn what_cannot_be_understood_leaves_the_file_alone() {
        let machine = Machine::new("-- /a\nkeep me\n");
        let outcome = machine.apply(
            "files:\n- {path: /a, content: '!!', encoding: b64}\n- {path: /a, content: x, encoding: rot13}\n\
             - {path: a, content: x}\n- {path: /a/, content: x}\n- {content: x}\n- {path: /b, content: x}\n",
        );
        let messages = outcome.messages();
        assert_eq!(outcome.findings.len(), 5, "{messages}");
        for part in [
            "test.yaml:2:39: the content of /a cannot be decoded: its character 1 is none of base64",
            "unknown encoding \"rot13\"; the encodings are b64, base64, gz, gzip, gz+b64",
            "the path \"a\" is not absolute; write \"/a\"",
            "\"/a/\" is the path of a directory",
            "missing key `path`",
        ] {
            assert!(messages.contains(part), "{part} is not in {messages}");
        }
        machine.assert_tree("-- /b no-newline\nx\n");
    }

    #[test]
    fn the_owner_is_looked_up_before_anything_is_written() {
        let machine = Machine::new("-- /a\nkeep me\n");
        let outcome =
            machine.apply("files: [{path: /a, content: x, ownerstring: nosuch, permissions: 0600}]");
        assert_eq!(outcome.messages(), "Error: test.yaml:1:16: no user \"nosuch\" in /etc/passwd\n");
        machine.assert_tree("");
    }

    #[test]
    fn links_lead_nowhere_outside_the_root() {
        let outside = tempfile::tempdir().unwrap();
        let target = outside.path().display();
        let machine = Machine::new(&format!("-- /away -> {target}\n-- /loop -> loop\n"));
        let outcome = machine.apply(
            "files: [{path: /away/x, content: x}, {path: /loop/x, content: x}, {path: /../../y, content: x}]",
        );
        assert!(outcome.messages().contains("/loop"), "{}", outcome.messages());
        assert_eq!(Tree::read(outside.path(), &machine.host).unwrap(), Tree::default());
        assert!(machine.system(Mode::Apply).exists("/y").unwrap());
    }

    #[test]
    fn what_is_appended_is_appended_once() {
        let machine = Machine::new("-- /a 0600 5:6\none");
        let step = "files:\n- {path: /a, content: \"two\\n\", append: true}\n\
                    - {path: /a, content: \"three\\n\", append: true}\n\
                    - {path: /b, content: \"new\\n\", append: true, permissions: 0755}\n";
        machine.check(step, "-- /a 0600 5:6\none\ntwo\nthree\n-- /b 0755\nnew\n");
    }

    #[test]
    fn content_is_a_template_after_decoding_unless_that_is_switched_off() {
        let machine = Machine::new("");
        // "e3sgdXBwZXIgImEiIH19Cg==" is `{{ upper "a" }}`.
        let step = "files:\n- {path: /plain, content: \"{{ upper \\\"a\\\" }}\\n\"}\n\
                    - {path: /base64, content: e3sgdXBwZXIgImEiIH19Cg==, encoding: b64}\n\
                    - {path: /raw, content: e3sgdXBwZXIgImEiIH19Cg==, encoding: b64, template: false}\n";
        machine.check(step, "-- /plain\nA\n-- /base64\nA\n-- /raw\n{{ upper \"a\" }}\n");
    }

    #[test]
    fn binary_content_is_no_template() {
        let machine = Machine::new("");
        // The bytes 0xff, `{{ upper "a" }}` and a line feed.
        machine.apply("files: [{path: /a, content: /3t7IHVwcGVyICJhIiB9fQo=, encoding: b64}]");
        assert_eq!(machine.system(Mode::Apply).read("/a").unwrap().unwrap(), b"\xff{{ upper \"a\" }}\n");
    }

    #[test]
    fn a_template_that_cannot_be_rendered_is_kept_with_a_warning() {
        let machine = Machine::new("");
        let outcome = machine.apply("files:\n- path: /a\n  content: |\n    x\n    y {{ bad\n");
        assert_eq!(outcome.findings.len(), 1, "{}", outcome.messages());
        assert!(outcome.messages().starts_with("Warning: test.yaml:5:"), "{}", outcome.messages());
        machine.assert_tree("-- /a\nx\ny {{ bad\n");
    }

    #[test]
    fn content_that_not_everybody_may_read_shows_up_nowhere() {
        let machine = Machine::new("-- /b 0600\n");
        let step = "files:\n- {path: /a, content: 'hunter2 {{ hunter2', permissions: 0640}\n\
                    - {path: /b, content: 'hunter2 {{ hunter2'}\n\
                    - {path: /c, content: 'hunter2+++{{', encoding: b64, permissions: 0600}\n";
        let plan = machine.plan(step);
        let outcome = machine.apply(step);
        assert_eq!(outcome.findings.len(), 3, "{}", outcome.messages());
        for outcome in [plan, outcome] {
            assert!(!format!("{outcome:?}").contains("hunter2"), "{outcome:#?}");
            assert!(!outcome.effects.iter().any(|effect| matches!(effect.diff, Some(Diff::Text { .. }))));
            // The source next to the finding may be shown: it must not be the line of the content.
            assert!(outcome.findings.iter().take(2).all(|finding| finding.span.is_some()));
        }
    }

    #[test]
    fn large_content_is_written_whole() {
        let machine = Machine::new("");
        let line = "x".repeat(4 << 20);
        machine.check(&format!("files: [{{path: /a, content: \"{line}\\n\"}}]"), &format!("-- /a\n{line}\n"));
    }

    #[test]
    fn planning_writes_nothing_and_sees_what_it_planned() {
        let machine = Machine::new("");
        let step =
            "files:\n- {path: /a, content: \"one\\n\"}\n- {path: /a, content: \"one\\n\", append: true}\n";
        let outcome = machine.plan(step);
        let changed: Vec<_> = outcome.effects.iter().map(|effect| effect.changed).collect();
        assert_eq!(changed, [true, false]);
        machine.assert_tree("");
    }
}
