//! From a source to a tree: what becomes the image of a system.

use super::failure::{Class, Classify as _};
use anyhow::{Context as _, Result, bail};
use cosette_plugins::System;
use cosette_plugins::image::{self, Request};
use std::fmt;
use std::path::{Path, PathBuf};

/// Where a system comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// `oci:…` and its like: an image of containers.
    Container(Request),
    /// `dir:/path`: a directory that holds a system.
    Directory(PathBuf),
    /// `file:/path`: an image of a system that somebody has built. There is no tree of it: see
    /// [`super::image_file::adopt`].
    File(PathBuf),
}

impl Source {
    /// Reads a source.
    pub fn parse(text: &str) -> Result<Self> {
        let local = |scheme: &str| {
            let path = text.strip_prefix(scheme)?;
            Some(PathBuf::from(path.strip_prefix("//").filter(|path| path.starts_with('/')).unwrap_or(path)))
        };
        let source = match (local("dir:"), local("file:")) {
            (Some(path), _) => Self::Directory(path),
            (_, Some(path)) => Self::File(path),
            _ => Self::Container(Request {
                source: image::Source::parse(text)?,
                platform: None,
                insecure: None,
            }),
        };
        match &source {
            Self::Directory(path) | Self::File(path) if !path.is_absolute() => {
                bail!("{text:?} is no absolute path")
            }
            _ => Ok(source),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Container(request) => request.source.fmt(f),
            Self::Directory(path) => write!(f, "dir:{}", path.display()),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

/// Makes the tree of a source be in a directory, which is new, with the directories that a system needs to boot. Returns
/// warnings.
pub fn acquire(sys: &System, source: &Source, tree: &Path) -> Result<Vec<String>> {
    let acquire = || match source {
        Source::Container(request) => {
            Ok(image::unpack(sys, request, &image::Policy::default(), tree, &mut ())?.warnings)
        }
        Source::Directory(from) => {
            let directory = sys.directory(sys.real_path(from)?)?;
            let directory = directory.with_context(|| format!("there is no directory {}", from.display()))?;
            sys.copy_dir(&directory, tree)?;
            Ok(Vec::new())
        }
        Source::File(path) => bail!("{} is an image, not a tree", path.display()),
    };
    acquire().class(Class::Source)
}
