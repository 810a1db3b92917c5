//! Where an image comes from, as documents write it.

use super::Digest;
use anyhow::{Result, bail};
use oci_spec::distribution::Reference;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

/// A place that holds an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `quay.io/org/name:tag`, `docker:…` or `oci:…`: in a registry.
    Registry(Reference),
    /// `oci-layout:/path:tag`: a directory.
    Layout(Local),
    /// `oci-archive:/path:tag`: such a directory as a tar archive.
    Archive(Local),
    /// `dir:/path`: a directory with the files themselves.
    Directory(PathBuf),
    /// `file:/path`: a file system in a file.
    File(PathBuf),
}

/// A path below the root, and which of the images there it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// The path.
    pub path: PathBuf,
    /// The name that an index gives to the image, where it has several.
    pub tag: Option<String>,
}

impl Source {
    /// Reads a source.
    pub fn parse(text: &str) -> Result<Self> {
        if let Some(rest) = text.strip_prefix("oci-layout:") {
            return local(rest).map(Self::Layout);
        }
        if let Some(rest) = text.strip_prefix("oci-archive:") {
            return local(rest).map(Self::Archive);
        }
        if let Some(rest) = text.strip_prefix("dir:") {
            return absolute(rest).map(Self::Directory);
        }
        if let Some(rest) = text.strip_prefix("file:") {
            return absolute(rest).map(Self::File);
        }
        let name = ["docker:", "oci:"].iter().find_map(|scheme| text.strip_prefix(scheme)).unwrap_or(text);
        let name = name.strip_prefix("//").unwrap_or(name);
        // Not repeated: it may hold a password.
        if name.contains("://") {
            bail!("an image is named without http:// or https://: quay.io/org/name:tag");
        }
        // Capitals that are allowed in a registry are not where it turns out to be none.
        let small = |reference: &Reference| !reference.repository().contains(char::is_uppercase);
        let Some(reference) = name.parse::<Reference>().ok().filter(small) else {
            let lower = if name.contains('@') { "" } else { &*name.to_lowercase() };
            if lower.parse::<Reference>().is_ok() {
                bail!("the name of an image has small letters only: {lower}");
            }
            if name.contains('@') && !name.contains("@sha") {
                bail!("it is not the name of an image, such as quay.io/org/name:tag or name@sha256:…");
            }
            if name.starts_with('/') {
                bail!(
                    "an image on the disk is `oci-layout:{name}` or, as a tar archive, `oci-archive:{name}`"
                );
            }
            bail!("{name:?} is not the name of an image, such as quay.io/org/name:tag or name@sha256:…");
        };
        if let Some(digest) = reference.digest() {
            Digest::parse(digest)?;
        }
        Ok(Self::Registry(reference))
    }

    /// What stays the same when the image is renewed: the source without tag and digest.
    pub fn name(&self) -> String {
        match self {
            Self::Registry(reference) => format!("{}/{}", reference.registry(), reference.repository()),
            Self::Layout(local) => format!("oci-layout:{}", local.path.display()),
            Self::Archive(local) => format!("oci-archive:{}", local.path.display()),
            Self::Directory(path) => format!("dir:{}", path.display()),
            Self::File(path) => format!("file:{}", path.display()),
        }
    }

    /// The digest that the source demands.
    pub fn pinned(&self) -> Option<Digest> {
        match self {
            Self::Registry(reference) => Digest::parse(reference.digest()?).ok(),
            _ => None,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tag = match self {
            Self::Registry(reference) => return write!(f, "{reference}"),
            Self::Layout(Local { tag, .. }) | Self::Archive(Local { tag, .. }) => tag,
            Self::Directory(_) | Self::File(_) => &None,
        };
        f.write_str(&self.name())?;
        tag.as_ref().map_or(Ok(()), |tag| write!(f, ":{tag}"))
    }
}

/// `/path`, also as `///path`.
fn absolute(text: &str) -> Result<PathBuf> {
    let path = without_host(text);
    if !path.starts_with('/') || path.contains(char::is_control) {
        bail!("{text:?} is no absolute path");
    }
    Ok(path.into())
}

/// A path in the form of a URL begins with an empty host.
fn without_host(text: &str) -> &str {
    if text.starts_with("///") { &text[2..] } else { text }
}

/// `/path` or `/path:tag`.
fn local(text: &str) -> Result<Local> {
    let text = without_host(text);
    let (path, tag) = match text.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag.to_owned())),
        _ => (text, None),
    };
    if !path.starts_with('/') || path.contains(char::is_control) || tag.as_deref() == Some("") {
        bail!("{text:?} is no absolute path, perhaps with the name of an image behind a colon");
    }
    Ok(Local { path: path.into(), tag })
}

/// Whether the registry is this machine itself, where there is nobody on the line.
pub(super) fn is_loopback(registry: &str) -> bool {
    let host = match registry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => host,
        _ => registry,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (String, String) {
        let source = Source::parse(text).unwrap();
        (source.to_string(), source.name())
    }

    #[test]
    fn names_get_what_everybody_leaves_out() {
        let parsed = |text| parsed(text).0;
        assert_eq!(parsed("debian"), "docker.io/library/debian:latest");
        assert_eq!(parsed("docker:org/name:1"), "docker.io/org/name:1");
        assert_eq!(parsed("oci://quay.io/a/b/c"), "quay.io/a/b/c:latest");
        assert_eq!(parsed("docker://localhost:5000/x:y"), "localhost:5000/x:y");
        let digest = Digest::of(b"");
        assert_eq!(parsed(&format!("x@{digest}")), format!("docker.io/library/x@{digest}"));
        let pinned = Source::parse(&format!("oci:quay.io/x/y:z@{digest}")).unwrap();
        assert_eq!(pinned.pinned(), Some(digest));
    }

    #[test]
    fn directories_and_archives_have_a_path_and_perhaps_a_tag() {
        let expected = ("oci-layout:/a/b:c".to_owned(), "oci-layout:/a/b".to_owned());
        assert_eq!(parsed("oci-layout:/a/b:c"), expected);
        assert_eq!(parsed("oci-layout:///a/b:c"), expected);
        assert_eq!(parsed("oci-archive:/a:b/c").1, "oci-archive:/a:b/c");
        assert!(Source::parse("oci-layout:a").is_err() && Source::parse("oci-archive:/a:").is_err());
        assert_eq!(parsed("dir:///a:b").0, "dir:/a:b");
        assert_eq!(parsed("file:/a/b.img"), ("file:/a/b.img".to_owned(), "file:/a/b.img".to_owned()));
        assert!(Source::parse("dir:a").is_err() && Source::parse("file:").is_err());
    }

    #[test]
    fn what_is_no_name_is_refused_and_a_password_is_not_repeated() {
        let error = |text| Source::parse(text).unwrap_err().to_string();
        assert!(error("Debian").contains("small letters only: debian"));
        assert!(error("Org/name").contains("small letters only: org/name"));
        assert!(error("a b").contains("\"a b\" is not the name"));
        assert!(error("").contains("is not the name"));
        assert!(!error("https://user:secret@host/x").contains("secret"));
        assert!(!error("user:secret@host/x").contains("secret"));
        assert!(Source::parse("x@sha256:abcd").is_err());
        assert!(Source::parse(&format!("x@sha384:{}", "0".repeat(96))).is_err());
    }

    #[test]
    fn loopback_is_known_by_name_and_number() {
        for here in ["localhost", "localhost:5000", "127.0.0.1", "127.9.9.9:80", "[::1]:5000"] {
            assert!(is_loopback(here), "{here}");
        }
        for there in ["localhost.example", "128.0.0.1", "docker.io", "::2", "127.0.0.1.example:5000"] {
            assert!(!is_loopback(there), "{there}");
        }
    }
}
