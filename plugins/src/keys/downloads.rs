//! Downloads files.
//!
//! ```yaml
//! downloads:
//! - path: /usr/local/bin/tool
//!   url: http://files.example/tool
//!   permissions: 0755
//!   checksum: sha256:fe8edeeb98cc6d3b93cf2d57000254b84bd9eba34b4df7ce4b87db8b937b7703
//! - path: /opt/
//!   url: http://files.example/data.txt
//!   owner: 1000
//! ```
//!
//! ```text answers
//! http://files.example/tool t
//! http://files.example/data.txt u
//! ```
//!
//! ```text after
//! -- /usr/local/bin/tool 0755
//! t
//! -- /opt/ 0755 1000:0
//! -- /opt/data.txt 0644 1000:0
//! u
//! ```
//!
//! The content is streamed into a temporary file, which takes the place of the old one when all of it has come
//! and, with `checksum` (`sha256:` or `sha512:`), has been found to be right: the old file is untouched until then.
//! A transfer that breaks off goes on where it was if the server still has the same content, else begins anew,
//! with growing pauses; `timeout` limits each try, in seconds, and what stands still for half a minute is given up.
//! Servers prove who they are, and proxies are those of the environment.
//!
//! The second run changes nothing. A file with the right checksum is not asked for again. Otherwise the server is
//! asked whether its content is another by now (the file remembers its `ETag` or `Last-Modified` in an extended
//! attribute, as long as nobody changes it), and what has come all the same replaces the file only if it differs.
//!
//! If the path is a directory or ends with `/`, the file gets the name that the server proposes
//! (`Content-Disposition`), or the one at the end of the address, in that directory.
//!
//! Differences from yip: an existing file is not taken for complete, or appended to, because of its size; without
//! `permissions` a new file gets 0644 and an existing one keeps its mode; the time of the file is that of the
//! download. `checksum` is an addition.

mod checksum;
mod transfer;
mod version;

use crate::accounts::owner::{self, Number};
use crate::path::AbsolutePath;
use crate::system::http::{Request, name_of, proposed_name, shown};
use crate::system::{File, Kind, Mode, Owner};
use crate::{Context, Plugin, System};
use anyhow::{Context as _, Result};
use checksum::Checksum;
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Permissions, Shape, Span, Spanned, record};
use std::time::Duration;
use transfer::{TRIES, transfer};
use version::Version;

/// Files, downloaded in the order in which they stand.
pub(crate) struct Downloads(Vec<Entry>);

record! {
    /// One file.
    struct Entry {
        /// Where it goes: a path, or a directory.
        path: AbsolutePath = required,
        /// Where it comes from: an address that begins with `https://` or `http://`.
        url: Address = required,
        /// What its content must add up to: `sha256:` or `sha512:` and hexadecimal digits.
        checksum: Option<Checksum>,
        /// How long one try may take, in seconds; 0, as when it is left out, means as long as something comes.
        timeout: Option<u32>,
        /// Its mode.
        permissions: Option<Permissions>,
        /// The number of the user that owns it.
        owner: Option<Number>,
        /// The number of its group.
        group: Option<Number>,
        /// `user` or `user:group`, names of the root; wins over `owner` and `group`.
        owner_string: Option<String> as "owner_string" | "ownerstring",
    }
}

/// An address that can be downloaded from.
struct Address(String);

impl Decode for Address {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let text = Spanned::<String>::decode(node, findings)?;
        let text = text.trim();
        let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        match scheme.as_deref() {
            Some("http" | "https") => return Some(Self(text.to_owned())),
            Some("file") => findings
                .error(node.span, "files of this machine are not downloaded")
                .help("use `commands` with cp, or `links`"),
            _ => findings
                .error(node.span, "this is no address that can be downloaded from")
                .help("it begins with `https://` or `http://`"),
        };
        None
    }

    fn shape() -> Shape {
        Shape::matching("address", "^\\s*[hH][tT][tT][pP][sS]?://")
    }
}

impl Decode for Downloads {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        Decode::decode(node, findings).map(Self)
    }

    fn shape() -> Shape {
        <Vec<Entry> as Decode>::shape()
    }
}

impl Plugin for Downloads {
    const KEY: &'static str = "downloads";

    fn replaces(&self) -> Vec<(&str, Span)> {
        let named = self.0.iter().filter(|entry| !entry.path.as_str().ends_with('/'));
        named.map(|entry| (entry.path.as_str(), entry.path.span())).collect()
    }

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        for entry in &self.0 {
            cx.attempt(entry.path.span(), entry.download(sys));
        }
        Ok(())
    }
}

impl Entry {
    fn download(&self, sys: &System) -> Result<bool> {
        let owner = owner::requested(sys, self.owner, self.group, self.owner_string.as_deref())?;
        let url = &self.url.0;
        let name = if self.is_directory(sys)? { Some(name_of(url)) } else { None };
        // The name that is likely, where the server has the last word.
        let likely = match &name {
            None => Some(self.path.as_str().to_owned()),
            Some(name) => name.as_ref().map(|name| self.inside(name)),
        };
        let known = likely.as_deref().map_or(Ok(Known::Nothing), |path| self.known(sys, path))?;
        let mut request = Request::get(url).largest(u64::MAX).tries(TRIES);
        if let Some(seconds) = self.timeout.filter(|seconds| *seconds > 0) {
            request = request.timeout(Duration::from_secs(seconds.into()));
        }
        let conditional = match (&known, &likely) {
            (Known::Right, Some(path)) => return sys.keep(&self.file(path, owner)),
            (Known::Version(version), _) => version.unless_same(request.clone()),
            _ => request.clone(),
        };
        let context = || format!("cannot download {}", shown(url));
        let Some(response) = sys.fetch(&conditional).with_context(context)? else {
            let path = likely.unwrap_or_else(|| self.path.as_str().to_owned());
            return sys.write_stream(&self.file(&path, owner), |_| Ok(()));
        };
        if let (304, Some(path)) = (response.status(), &likely) {
            return sys.keep(&self.file(path, owner));
        }
        let proposed = response.header("content-disposition").and_then(proposed_name);
        let path = match (name, proposed) {
            (None, _) => self.path.as_str().to_owned(),
            (Some(_), Some(name)) | (Some(Some(name)), None) => self.inside(&name),
            (Some(None), None) => {
                let why = "the server proposes no name for it: put the name at the end of the path";
                return Err(anyhow::anyhow!(why)).with_context(context);
            }
        };
        let same = Some(&path) != likely.as_ref()
            && match self.known(sys, &path)? {
                Known::Right => true,
                Known::Version(known) => Some(known) == Version::of(&response),
                Known::Nothing => false,
            };
        if same {
            return sys.keep(&self.file(&path, owner));
        }
        sys.write_stream(&self.file(&path, owner), |sink| {
            let checksum = self.checksum.as_ref();
            let version = transfer(sys.host(), &request, response, checksum, sink).with_context(context)?;
            if let Some(version) = version {
                sink.remember(version.memory(url));
            }
            Ok(())
        })
    }

    fn is_directory(&self, sys: &System) -> Result<bool> {
        Ok(self.path.as_str().ends_with('/')
            || sys.metadata(&self.path)?.is_some_and(|found| found.kind == Kind::Directory))
    }

    fn inside(&self, name: &str) -> String {
        format!("{}/{name}", self.path.as_str().trim_end_matches('/'))
    }

    fn file(&self, path: &str, owner: Option<Owner>) -> File {
        let mut file = File::new(path, "").default_mode(0o644);
        if let Some(Permissions(mode)) = self.permissions {
            file = file.mode(mode);
        }
        match owner {
            Some(owner) => file.owner(owner),
            None => file,
        }
    }

    /// What is known of the file that is there.
    fn known(&self, sys: &System, path: &str) -> Result<Known> {
        if let Some(checksum) = &self.checksum {
            let mut sum = checksum.begin();
            let there = sys.read_pieces(path, |piece| sum.add(piece))?;
            return Ok(if there && checksum.fits(sum) { Known::Right } else { Known::Nothing });
        }
        let memory = if sys.mode() == Mode::Apply { sys.recall(path)? } else { None };
        let version = memory.and_then(|memory| Version::remembered(&memory, &self.url.0));
        Ok(version.map_or(Known::Nothing, Known::Version))
    }
}

/// What is known of a file that is there.
enum Known {
    /// Nothing that helps.
    Nothing,
    /// It is what it shall be.
    Right,
    /// Which version it was downloaded in, if nobody has changed it since.
    Version(Version),
}

#[cfg(test)]
mod tests;
