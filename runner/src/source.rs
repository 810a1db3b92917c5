//! Sources: where stage documents come from, and their texts in order.
//!
//! A source is a file, a directory (walked in byte order, files whose names end in `.yaml` or `.yml`), an
//! `http(s)://` or `file://` URL, `-` for standard input, or `builtin:`.

use crate::builtin;
use cosette_plugins::System;
use cosette_plugins::system::{Kind, http};
use cosette_schema::{Diagnostic, Findings, Origin, text_of};
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The largest document that is read, in bytes. Larger ones are refused before they are read.
pub const LARGEST: u64 = 16 << 20;

/// How long one try of fetching a document may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The directories that a stage runs by default, in their order (yip, cOS, elemental).
pub const DEFAULT_DIRECTORIES: [&str; 3] = ["/system/oem", "/oem", "/usr/local/cloud-config"];

/// One place documents come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file or a directory.
    Path(PathBuf),
    /// An address to fetch.
    Url(String),
    /// Standard input.
    Stdin,
    /// The set of documents that the binary carries.
    Builtin,
}

impl Source {
    /// Reads what a user wrote.
    pub fn parse(text: &str) -> Self {
        match text {
            "-" => Self::Stdin,
            "builtin:" => Self::Builtin,
            _ => match text.strip_prefix("file://") {
                Some(path) => Self::Path(path.into()),
                None if text.starts_with("http://") || text.starts_with("https://") => {
                    Self::Url(text.to_owned())
                }
                None => Self::Path(text.into()),
            },
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Url(url) => f.write_str(&http::shown(url)),
            Self::Stdin => f.write_str("<stdin>"),
            Self::Builtin => f.write_str("builtin:"),
        }
    }
}

/// Where the paths of sources lie.
pub struct Place<'s> {
    /// The tree.
    pub sys: &'s System,
    /// The directory in it at which relative paths begin.
    pub directory: PathBuf,
}

impl<'s> Place<'s> {
    /// The tree itself.
    pub fn root(sys: &'s System) -> Self {
        Self { sys, directory: "/".into() }
    }

    fn at(&self, path: &Path) -> PathBuf {
        self.directory.join(path)
    }
}

/// A text and where it came from.
#[derive(Debug)]
pub struct Loaded {
    /// Where it came from.
    pub origin: Origin,
    /// The text.
    pub text: String,
}

/// Reads sources in their order. What cannot be read is a finding, and the others are still read.
///
/// Paths are those of `place`: the machine itself for what a user names on the command line, the root for the
/// default directories.
pub fn load(sources: &[Source], place: &Place) -> (Vec<Loaded>, Vec<Diagnostic>) {
    let mut reader = Reader { place, loaded: Vec::new(), findings: Vec::new() };
    for source in sources {
        reader.source(source);
    }
    (reader.loaded, reader.findings)
}

/// The default directories that exist in this root.
pub fn defaults(sys: &System) -> Vec<Source> {
    let exists = |path: &&&str| matches!(sys.metadata(path), Ok(Some(_)) | Err(_));
    DEFAULT_DIRECTORIES.iter().filter(exists).map(|path| Source::Path(path.into())).collect()
}

struct Reader<'s> {
    place: &'s Place<'s>,
    loaded: Vec<Loaded>,
    findings: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn source(&mut self, source: &Source) {
        match source {
            Source::Path(path) => self.path(path),
            Source::Url(url) => self.url(url),
            Source::Stdin => {
                let mut bytes = Vec::new();
                match std::io::stdin().take(LARGEST + 1).read_to_end(&mut bytes) {
                    Ok(_) => self.bytes(Origin::new("<stdin>"), bytes),
                    Err(error) => self.unreadable("<stdin>", format!("cannot be read: {error}"), None),
                }
            }
            Source::Builtin => self.loaded.extend(builtin::DOCUMENTS.iter().map(|(name, text)| Loaded {
                origin: Origin::new(format!("builtin:{name}")),
                text: (*text).to_owned(),
            })),
        }
    }

    /// Also where nothing else is done: what a plan is made of, must be read.
    fn url(&mut self, url: &str) {
        let request = http::Request::get(url).largest(LARGEST).timeout(TIMEOUT);
        match http::body(self.place.sys.host(), &request) {
            Ok(bytes) => self.bytes(Origin::new(http::shown(url)), bytes),
            Err(error) if matches!(error.downcast_ref(), Some(http::Failure::TooLarge(_))) => {
                self.too_large(http::shown(url));
            }
            Err(error) => self.unreadable(http::shown(url), format!("cannot be fetched: {error:#}"), None),
        }
    }

    fn path(&mut self, path: &Path) {
        match self.place.sys.metadata(self.place.at(path)) {
            Ok(Some(found)) if found.kind == Kind::Directory => self.directory(path),
            Ok(Some(_)) => self.file(path),
            Ok(None) => self.unreadable(
                path.display(),
                "there is no such file or directory",
                Some("a source is a file, a directory, a URL, `-` or `builtin:`"),
            ),
            Err(error) => self.refused(path, &error),
        }
    }

    /// Names in byte order, directories among the files, as yip walks them; links to directories inside are
    /// not followed, so that no loop can come of them.
    fn directory(&mut self, path: &Path) {
        let names = match self.place.sys.read_dir(self.place.at(path)) {
            Ok(names) => names.unwrap_or_default(),
            Err(error) => return self.refused(path, &error),
        };
        for name in names {
            let child = path.join(name);
            let yaml = child.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
            match self.place.sys.symlink_metadata(self.place.at(&child)) {
                Ok(Some(found)) if found.kind == Kind::Directory => self.directory(&child),
                Ok(_) if yaml => self.file(&child),
                Ok(_) => {}
                Err(error) => self.refused(&child, &error),
            }
        }
    }

    fn file(&mut self, path: &Path) {
        match self.place.sys.metadata(self.place.at(path)) {
            Ok(Some(found)) if found.kind == Kind::Directory => {
                let help = "a directory among documents must not be called like one: rename it";
                self.unreadable(path.display(), "is a directory, not a document", Some(help));
            }
            // Opening one could wait for ever, or do something: devices are not even opened.
            Ok(Some(found)) if found.kind != Kind::File => {
                let help = "a document is a regular file; `-` reads standard input";
                self.unreadable(path.display(), format!("is {}, not a document", found.kind), Some(help));
            }
            Ok(Some(found)) if found.size > LARGEST => self.too_large(path.display()),
            Ok(Some(_)) => match self.place.sys.read(self.place.at(path)) {
                Ok(Some(bytes)) => self.bytes(Origin::new(path.to_string_lossy()), bytes),
                Ok(None) => {}
                Err(error) => self.refused(path, &error),
            },
            Ok(None) => {
                let help = "the link leads nowhere: mend or remove it";
                self.unreadable(path.display(), "there is no such file", Some(help));
            }
            Err(error) => self.refused(path, &error),
        }
    }

    fn bytes(&mut self, origin: Origin, bytes: Vec<u8>) {
        if bytes.len() as u64 > LARGEST {
            return self.too_large(&origin);
        }
        match text_of(&bytes, &origin) {
            Ok(text) => self.loaded.push(Loaded { text: text.to_owned(), origin }),
            Err(finding) => self.findings.push(*finding),
        }
    }

    fn too_large(&mut self, what: impl fmt::Display) {
        let help = "put large content into an image, or let a step download it";
        self.unreadable(what, format!("is larger than {} MiB", LARGEST >> 20), Some(help));
    }

    /// What the kernel has against a path, without the path itself: the finding begins with it.
    fn refused(&mut self, path: &Path, error: &anyhow::Error) {
        self.unreadable(path.display(), format!("cannot be read: {}", error.root_cause()), None);
    }

    fn unreadable(&mut self, what: impl fmt::Display, message: impl Into<String>, help: Option<&str>) {
        let mut findings = Findings::new(Origin::new(what.to_string()));
        let finding = findings.error(None, message);
        if let Some(help) = help {
            finding.help(help);
        }
        self.findings.extend(findings.into_vec());
    }
}
