//! The accounts of a root: its passwd, shadow, group and gshadow databases, passwords and SSH keys.
//!
//! **Architecture invariant:** only the files of the root are asked, never the name service of the running
//! system. What is written into an image or a sysroot depends on nothing but that tree.
//!
//! **Architecture invariant:** lines that are not edited stay as they are, byte for byte: comments, blank and
//! malformed lines, NIS entries and line endings.
//!
//! **Architecture invariant:** no password, hash or key is part of an error, a warning or a `Debug` output.

pub mod allocate;
pub mod authorized_keys;
pub mod database;
pub mod defaults;
pub mod entity;
pub mod entity_edit;
pub mod field;
pub mod homes;
pub mod ids;
pub mod kind;
pub mod lookup;
pub(crate) mod make_users;
pub(crate) mod owner;
pub mod password;
mod remote_keys;
pub(crate) mod set_passwords;
mod skeleton;
pub mod table;

pub use database::Accounts;
pub use field::Names;
pub use kind::Kind;
pub use lookup::{Group, User, group, group_by_id, user, user_by_id};
pub use table::Table;
