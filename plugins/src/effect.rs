//! Effects: what was done to the machine, or found to be so already.
//!
//! The list of effects is the plan, the report, the provenance for `explain` and the expectation of tests.

use std::ffi::OsStr;

/// One thing that was done, or found to be so already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// What was done.
    pub action: Action,
    /// To what: a path inside the root, a host name, `commands[2]`. Never a secret.
    pub target: String,
    /// Whether anything changed by it.
    pub changed: bool,
    /// What changes, for people; only of what is not done, in plan mode or in a view, and never for content that not everybody may read.
    pub diff: Option<Diff>,
    /// What a changed file was before.
    pub before: Before,
}

/// What was there before a change, as far as everybody may know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Before {
    /// It is not noted.
    #[default]
    Unknown,
    /// There was nothing.
    Nothing,
    /// A file, whose content not everybody may read.
    File,
    /// A file of so many bytes; as many as there can be, if they are more.
    Bytes(u32),
}

/// What a person sees of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Diff {
    /// The text before and after, or the target of a link; before is nothing for something new.
    Text {
        /// The content before.
        before: Option<String>,
        /// The content after.
        after: String,
    },
    /// A table before (nothing for something new) and after, which is shown as a whole.
    Table(Box<[String; 2]>),
    /// The content is not shown, for the reason given: `not readable by everybody`, `binary`, `larger than
    /// 64 KiB`.
    Hidden(&'static str),
    /// Attributes: `mode 0644 -> 0600`.
    Attributes(String),
}

impl Diff {
    /// Why the content of a file of this name is never shown, whatever its mode: password hashes stay secret
    /// even where a machine has them lying open.
    pub fn hidden_by_name(name: &OsStr) -> Option<&'static str> {
        let databases = ["shadow", "shadow-", "gshadow", "gshadow-"];
        databases.iter().any(|database| name == *database).then_some("it holds password hashes")
    }
}

/// The kinds of things that are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// A file got new content (and mode and owner).
    Write,
    /// A directory was made.
    CreateDirectory,
    /// A symbolic link was made.
    Link,
    /// A file, link or directory was removed.
    Remove,
    /// The mode or the owner was changed, and nothing else, also where a file or a directory was asked for.
    SetAttributes,
    /// A command was run.
    Run,
    /// A repository was cloned, or brought to another commit.
    Checkout,
    /// The name of the running machine was set.
    SetHostname,
    /// A parameter of the running kernel was set.
    SetKernelParameter,
    /// A module was loaded into the running kernel.
    LoadModule,
    /// The running systemd was asked for something: `start web.service`.
    Systemd,
    /// A server was told something.
    Send,
    /// An image was unpacked into a directory.
    Unpack,
    /// Something was mounted.
    Mount,
    /// The table of partitions of a disk was written.
    Partition,
    /// A file system was made. Only views of a machine say so; elsewhere it is what a program does.
    MakeFileSystem,
    /// A partition grew to the end of its disk. Only views of a machine say so.
    GrowPartition,
    /// A file system grew to the size of its device.
    GrowFileSystem,
}

impl Action {
    /// Whether it happens every time, whatever it finds: a command runs again at each boot, a unit is restarted, a
    /// server is told.
    pub fn always_happens(self) -> bool {
        matches!(self, Self::Run | Self::Systemd | Self::Send)
    }

    /// The word for it in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::CreateDirectory => "create-directory",
            Self::Link => "link",
            Self::Remove => "remove",
            Self::SetAttributes => "set-attributes",
            Self::Run => "run",
            Self::Checkout => "checkout",
            Self::SetHostname => "set-hostname",
            Self::SetKernelParameter => "set-kernel-parameter",
            Self::LoadModule => "load-module",
            Self::Systemd => "systemd",
            Self::Send => "send",
            Self::Unpack => "unpack",
            Self::Mount => "mount",
            Self::Partition => "partition",
            Self::MakeFileSystem => "make-file-system",
            Self::GrowPartition => "grow-partition",
            Self::GrowFileSystem => "grow-file-system",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tens_of_thousands_of_effects_are_cheap() {
        assert!(std::mem::size_of::<Effect>() <= 88);
    }
}
