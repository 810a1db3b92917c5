//! What distributions do each in their own way.

use crate::System;
use anyhow::Result;

/// Whether the root is a Debian or one of its children.
pub(super) fn is_debian(sys: &System) -> Result<bool> {
    sys.exists("/etc/debian_version")
}
