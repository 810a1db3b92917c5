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
//!     H4sIAAAAAAAC/1NW1E/KzNMvzuBKTc7IVzDmAgBrgMs2EgAAAA==
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

mod append;
mod encoding;

use crate::accounts::owner;
use crate::path::AbsolutePath;
use crate::system::File;
use crate::{Context, Plugin, System, template};
use anyhow::{Context as _, Result};
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Permissions, Text, record};
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
        encoding: Encoding,
        /// Its mode.
        permissions: Option<Permissions>,
        /// The number of the user that owns it.
        owner: Option<u32>,
        /// The number of its group.
        group: Option<u32>,
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
                findings.error(
                    keys.content.span(),
                    format!("the content of {} cannot be decoded: {error:#}", keys.path.as_str()),
                );
                None
            }
        }
    }
}

impl Plugin for Files {
    const KEY: &'static str = "files";

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
            let existing = sys.read(&keys.path)?.unwrap_or_default();
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
