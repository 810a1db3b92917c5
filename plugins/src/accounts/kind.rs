//! The four account databases and their columns: passwd(5), shadow(5), group(5) and gshadow(5).

/// One of the account databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `/etc/passwd`.
    User,
    /// `/etc/shadow`.
    Shadow,
    /// `/etc/group`.
    Group,
    /// `/etc/gshadow`.
    Gshadow,
}

/// A column of a database, by its place in the line and its name in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its place, counted from 0.
    pub index: usize,
    /// What it is called in messages.
    pub name: &'static str,
}

const fn column(index: usize, name: &'static str) -> Column {
    Column { index, name }
}

/// The name, which comes first everywhere.
pub const NAME: Column = column(0, "name");
/// The password, which comes second everywhere.
pub const PASSWORD: Column = column(1, "password");

/// The columns of `/etc/passwd`.
pub mod passwd {
    use super::{Column, column};

    /// The number of the user.
    pub const UID: Column = column(2, "uid");
    /// The number of the primary group.
    pub const GID: Column = column(3, "gid");
    /// The full name and other remarks.
    pub const GECOS: Column = column(4, "gecos");
    /// The home directory.
    pub const HOME: Column = column(5, "home directory");
    /// The login shell.
    pub const SHELL: Column = column(6, "shell");
}

/// The columns of `/etc/shadow`.
pub mod shadow {
    use super::{Column, column};

    /// When the password was changed, in days since 1970.
    pub const LAST_CHANGED: Column = column(2, "day of the last change");
    /// Days before it may be changed again.
    pub const MINIMUM: Column = column(3, "minimum age");
    /// Days after which it must be changed.
    pub const MAXIMUM: Column = column(4, "maximum age");
    /// Days of warning before that.
    pub const WARN: Column = column(5, "warning period");
    /// Days after that until the account is disabled.
    pub const INACTIVE: Column = column(6, "inactivity period");
    /// When the account expires, in days since 1970.
    pub const EXPIRE: Column = column(7, "day of expiry");
    /// Without meaning so far.
    pub const RESERVED: Column = column(8, "reserved field");
}

/// The columns of `/etc/group`.
pub mod group {
    use super::{Column, column};

    /// The number of the group.
    pub const GID: Column = column(2, "gid");
    /// Its members, separated by commas.
    pub const MEMBERS: Column = column(3, "list of members");
}

/// The columns of `/etc/gshadow`.
pub mod gshadow {
    use super::{Column, column};

    /// Its administrators, separated by commas.
    pub const ADMINISTRATORS: Column = column(2, "list of administrators");
    /// Its members, separated by commas.
    pub const MEMBERS: Column = column(3, "list of members");
}

impl Kind {
    /// All of them in the order in which they are written: an account that is half there never has an entry
    /// in passwd, so that the next run makes the rest of it.
    pub const ALL: [Self; 4] = [Self::Group, Self::Gshadow, Self::Shadow, Self::User];

    /// Where it is.
    pub fn path(self) -> &'static str {
        match self {
            Self::User => "/etc/passwd",
            Self::Shadow => "/etc/shadow",
            Self::Group => "/etc/group",
            Self::Gshadow => "/etc/gshadow",
        }
    }

    /// How many columns its lines have.
    pub fn columns(self) -> usize {
        match self {
            Self::User => 7,
            Self::Shadow => 9,
            Self::Group | Self::Gshadow => 4,
        }
    }

    /// How many columns a line must have to be an entry. The C library reads shorter lines than shadow-utils
    /// writes: an entry that counts for it must count here, or it would be added a second time.
    pub(super) fn least_columns(self) -> usize {
        match self {
            Self::User => 4,
            Self::Group => 3,
            Self::Shadow | Self::Gshadow => 2,
        }
    }

    /// The columns that hold the number of a user or group.
    pub(super) fn id_columns(self) -> &'static [Column] {
        match self {
            Self::User => &[passwd::UID, passwd::GID],
            Self::Group => &[group::GID],
            Self::Shadow | Self::Gshadow => &[],
        }
    }

    /// Whether only root may read it.
    pub fn is_secret(self) -> bool {
        matches!(self, Self::Shadow | Self::Gshadow)
    }
}
