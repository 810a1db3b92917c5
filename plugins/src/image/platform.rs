//! Platforms, and which image of several runs on one.

use anyhow::{Result, bail};
use std::fmt;

/// Operating system, architecture and its variant: `linux/arm/v7`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    os: String,
    architecture: String,
    /// Nothing for the first of an architecture, and where there are none.
    variant: String,
}

impl Platform {
    /// Reads `os/architecture` or `os/architecture/variant`.
    pub fn parse(text: &str) -> Result<Self> {
        let is_word = |part: &&str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        };
        let parts: Vec<&str> = text.split('/').collect();
        match &parts[..] {
            [os, architecture] if parts.iter().all(is_word) => Ok(Self::new(os, architecture, "")),
            [os, architecture, variant] if parts.iter().all(is_word) => {
                Ok(Self::new(os, architecture, variant))
            }
            _ => bail!("{text:?} is no platform: write it like linux/amd64 or linux/arm/v7"),
        }
    }

    /// The platform with the names that images use.
    pub fn new(os: &str, architecture: &str, variant: &str) -> Self {
        let architecture = architecture.to_lowercase();
        let variant = variant.to_lowercase();
        let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
            ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
            ("x86_64" | "x86-64", variant) => ("amd64", variant),
            ("i386" | "i686", _) => ("386", ""),
            ("aarch64" | "arm64", "8" | "v8") => ("arm64", ""),
            ("aarch64", variant) => ("arm64", variant),
            ("armhf", "") | ("arm", "" | "7") => ("arm", "v7"),
            ("armel", "") | ("arm", "6") => ("arm", "v6"),
            ("arm", "5") => ("arm", "v5"),
            (architecture, variant) => (architecture, variant),
        };
        Self { os: os.to_lowercase(), architecture: architecture.to_owned(), variant: variant.to_owned() }
    }

    /// How well an image for the other platform runs here: the lowest is the best, nothing is not at all. A
    /// processor runs what was made for those before it.
    pub fn rank(&self, other: &Self) -> Option<u32> {
        if (&self.os, &self.architecture) != (&other.os, &other.architecture) {
            return None;
        }
        if self.variant == other.variant {
            return Some(0);
        }
        let level = |platform: &Self| match (self.architecture.as_str(), platform.variant.as_str()) {
            ("amd64", "") => Some(1),
            ("arm64", "") => Some(8),
            ("amd64" | "arm64" | "arm", variant) => variant.strip_prefix('v')?.parse::<u32>().ok(),
            _ => None,
        };
        level(self)?.checked_sub(level(other)?)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, "/{}", self.variant) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(wanted: &str, offered: &str) -> Option<u32> {
        Platform::parse(wanted).unwrap().rank(&Platform::parse(offered).unwrap())
    }

    #[test]
    fn one_platform_has_many_names() {
        let same = [
            ("linux/amd64", "Linux/x86_64"),
            ("linux/amd64/v1", "linux/amd64"),
            ("linux/arm64", "linux/aarch64/v8"),
            ("linux/arm/v7", "linux/armhf"),
            ("linux/arm", "linux/arm/7"),
            ("linux/386", "linux/i686"),
        ];
        for (one, other) in same {
            assert_eq!(rank(one, other), Some(0), "{one} {other}");
        }
        assert_eq!(Platform::parse("linux/aarch64/v8").unwrap().to_string(), "linux/arm64");
    }

    #[test]
    fn a_processor_runs_what_was_made_for_those_before_it_and_nothing_else() {
        assert_eq!(rank("linux/arm/v7", "linux/arm/v6"), Some(1));
        assert_eq!(rank("linux/arm/v6", "linux/arm/v7"), None);
        assert_eq!(rank("linux/amd64/v3", "linux/amd64"), Some(2));
        assert_eq!(rank("linux/amd64", "linux/amd64/v2"), None);
        assert_eq!(rank("linux/arm64/v9", "linux/arm64"), Some(1));
        assert_eq!(rank("linux/arm64", "linux/arm/v7"), None);
        assert_eq!(rank("linux/amd64", "windows/amd64"), None);
        assert_eq!(rank("linux/mips64le/hardfloat", "linux/mips64le/softfloat"), None);
    }

    #[test]
    fn what_is_no_platform_is_refused() {
        for wrong in ["", "linux", "linux/", "/amd64", "linux/arm/v7/x", "linux/a b"] {
            assert!(Platform::parse(wrong).is_err(), "{wrong}");
        }
    }
}
